"""Probabilities mean what they say: in no tenth of the rows are prediction and outcome further apart than asked."""

from __future__ import annotations

from lockstep.gates import gaps, words
from lockstep.gates.decide import gap_rank, together, within
from lockstep.gates.evidence import Evidence
from lockstep.gates.finding import Found, exam_of
from lockstep.spec import CalibrationGate


def title(gate: CalibrationGate) -> str:
    return "calibration, by tenths of the rows"


def asks(gate: CalibrationGate) -> str:
    return f"prediction and outcome at most {words.limit(gate.calibration)} apart"


def slack(gate: CalibrationGate) -> float:
    return gate.calibration


def find(gate: CalibrationGate, evidence: Evidence) -> Found:
    exam = exam_of(evidence, tasks=("binary", "multiclass"))
    if isinstance(exam, Found):
        return exam
    parts = sorted(within(gaps.calibration(exam), gate.calibration), key=gap_rank)
    found = words.worst(parts, [gate.calibration, -gate.calibration], "tenths")
    return Found(found=found, state=together([part.state for part in parts]))
