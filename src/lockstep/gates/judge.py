"""Gates and evidence → outcomes: this branch's gates, and those of the base that this branch has not kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from lockstep.gates.evidence import Evidence
from lockstep.gates.inherited import covered, loosened, read
from lockstep.gates.kinds import KINDS
from lockstep.gates.outcome import Judgement, Outcome
from lockstep.gates.scores import CHAMPION
from lockstep.spec import GateBase, MetricAgainst, Spec
from lockstep.spec.gate_sections import MODELS

__all__ = ["Evidence", "judge", "released_tags"]


def judge(evidence: Evidence) -> Judgement:
    """Every gate of this branch; then each of the base's gates that none of this branch's asks for as strictly, so that
    a change cannot be let in by the gate that it loosens.

    Raises `InputError` when the model's files are missing or damaged.
    """
    gates = evidence.spec.gates
    kept, _ = read(evidence.base_gates)
    dropped = [gate for gate in kept if not covered(gate, gates)]
    return Judgement(
        outcomes=(
            *(outcome(gate, evidence) for gate in gates),
            *(replace(outcome(gate, evidence), origin="base") for gate in dropped),
        ),
        loosened=loosened(evidence.spec, evidence.base_gates, evidence.base_values),
        costs=evidence.costs,
        on_worse=_on_worse(kept, evidence),
    )


def _on_worse(kept: Sequence[GateBase], evidence: Evidence) -> Literal["allowed", "refused", "unsaid"]:
    """What the base's gates on its own primary metric, against the champion and on all rows, say as the base asks."""
    primary = evidence.spec.evaluate.primary
    if _primary(evidence.base_values) != primary:
        return "unsaid"
    asking = [
        gate
        for gate in kept
        if isinstance(gate, MetricAgainst)
        if (gate.metric, gate.against, gate.slice) == (primary, CHAMPION, None)
    ]
    if not asking:
        return "unsaid"
    return "allowed" if any(outcome(gate, evidence).state == "holds" for gate in asking) else "refused"


def _primary(values: Mapping[str, Any]) -> Any:
    evaluate = values.get("evaluate")
    return evaluate.get("primary") if isinstance(evaluate, Mapping) else None


def outcome(gate: GateBase, evidence: Evidence) -> Outcome:
    """One gate, looked at and decided."""
    kind = KINDS[type(gate)]
    seen = kind.find(gate, evidence)
    if_unsure = {"as asked": getattr(gate, "unsure", "refuse"), "refuse": "refuse", "pass": "pass"}[seen.ruling]
    return Outcome(
        id=gate.id,
        title=kind.title(gate),
        asked=kind.asks(gate),
        found=seen.found,
        state=seen.state,
        passes=seen.state == "holds" or (seen.state == "cannot tell" and if_unsure == "pass"),
        smallest_drop=seen.smallest_drop,
        note=_note(seen.note, seen.state == "cannot tell" and seen.ruling == "as asked" and if_unsure == "pass"),
    )


def _note(note: str, excused: bool) -> str:
    return "; ".join(part for part in (note, "passes all the same: `unsure: pass`" if excused else "") if part)


def released_tags(spec: Spec, base_values: Mapping[str, Any]) -> list[str]:
    """The released tags that gates compare with, this branch's and the base's, in order and each once."""
    gates = [*spec.gates, *read(base_values.get("gates"))[0]]
    opponents = [gate.against for gate in gates if isinstance(gate, MetricAgainst)]
    return list(dict.fromkeys(name for name in opponents if name not in MODELS))
