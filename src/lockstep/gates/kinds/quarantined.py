"""Not too many rows are in quarantine: of all rows, and of those that the base held out and this branch refuses.

The second keeps a contract from being narrowed until the difficult part of the exam is gone.
"""

from __future__ import annotations

from collections.abc import Mapping

from lockstep.gates import words
from lockstep.gates.evidence import Evidence
from lockstep.gates.finding import Found, blind
from lockstep.spec import QuarantineGate


def title(gate: QuarantineGate) -> str:
    return "rows in quarantine"


def asks(gate: QuarantineGate) -> str:
    return f"at most {words.limit(100 * gate.quarantined)} %"


def slack(gate: QuarantineGate) -> float:
    return gate.quarantined


def find(gate: QuarantineGate, evidence: Evidence) -> Found:
    counted = evidence.summary.get("rows")
    if not isinstance(counted, Mapping) or not counted.get("rows") or "quarantine" not in counted:
        return blind("what prepare counted is missing")
    parts = [(int(counted["quarantine"]), int(counted["rows"]), "")]
    rows = evidence.comparison.rows
    if rows is not None and rows.refused:
        parts.append((rows.refused, rows.due, " of the base's holdout"))
    found = ", ".join(f"{words.share(part, whole)}{what}" for part, whole, what in parts)
    broken = any(part > gate.quarantined * whole for part, whole, _ in parts)
    return Found(found=found, state="broken" if broken else "holds")
