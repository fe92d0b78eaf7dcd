"""No group is treated otherwise than everybody else, by more than asked."""

from __future__ import annotations

from lockstep.gates import gaps, words
from lockstep.gates.decide import gap_rank, together, within
from lockstep.gates.evidence import Evidence
from lockstep.gates.finding import Found, exam_of
from lockstep.spec import FairnessGate

TITLES = {"tpr": "share of positives found", "fpr": "false alarms", "calibration_gap": "calibration gap"}


def title(gate: FairnessGate) -> str:
    return f"{TITLES[gate.fairness]}, each {gate.slice} against the rest"


def asks(gate: FairnessGate) -> str:
    return f"at most {words.limit(gate.at_most)} apart"


def slack(gate: FairnessGate) -> float:
    return gate.at_most


def find(gate: FairnessGate, evidence: Evidence) -> Found:
    exam = exam_of(evidence, tasks=("binary",), column=gate.slice)
    if isinstance(exam, Found):
        return exam
    parts = sorted(within(gaps.fairness(exam, gate.fairness, gate.slice), gate.at_most), key=gap_rank)
    found = words.worst(parts, [gate.at_most, -gate.at_most], "groups")
    return Found(found=found, state=together([part.state for part in parts]))
