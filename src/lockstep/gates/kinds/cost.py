"""What the model costs, beside what the champion does."""

from __future__ import annotations

from lockstep.gates import words
from lockstep.gates.cost import COSTS
from lockstep.gates.evidence import Evidence
from lockstep.gates.finding import Found
from lockstep.spec import CostGate


def title(gate: CostGate) -> str:
    return COSTS[gate.cost][0]


def asks(gate: CostGate) -> str:
    return f"at most {words.limit(gate.at_most)} {COSTS[gate.cost][1]}"


def slack(gate: CostGate) -> float:
    return gate.at_most


def find(gate: CostGate, evidence: Evidence) -> Found:
    name, unit = COSTS[gate.cost]
    cost = next(each for each in evidence.costs if each.title == name)
    beside = "" if cost.champion is None else f" (champion {words.figure(cost.champion)} {unit})"
    found = f"{words.beside(cost.challenger, gate.at_most, words.decimals(cost.challenger))} {unit}{beside}"
    return Found(found=found, state="holds" if cost.challenger <= gate.at_most else "broken")
