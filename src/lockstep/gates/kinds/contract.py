"""Whoever calls the service goes on as before."""

from __future__ import annotations

from lockstep.gates.evidence import Evidence
from lockstep.gates.finding import Found, beside_the_question
from lockstep.spec import ContractGate


def title(gate: ContractGate) -> str:
    return "contract, for callers"


def asks(gate: ContractGate) -> str:
    return "no change that breaks them"


def slack(gate: ContractGate) -> float:
    return 0.0


def find(gate: ContractGate, evidence: Evidence) -> Found:
    if evidence.comparison.verdict == "first model":
        return beside_the_question("first model: nobody calls it yet")
    breaking = [change.text for change in evidence.contract_changes if change.breaking]
    if breaking:
        return Found(found=f"{len(breaking):,} breaking: {'; '.join(breaking)}", state="broken")
    others = len(evidence.contract_changes)
    return Found(found=f"changes that break nobody: {others}" if others else "no change", state="holds")
