"""What a kind of gate found, before it is decided what that means for the change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lockstep.comparison.result import Exam
from lockstep.gates.evidence import Evidence
from lockstep.gates.outcome import State
from lockstep.gates.scores import CHALLENGER
from lockstep.spec import Task


@dataclass(frozen=True, kw_only=True)
class Found:
    """`found`, in words, and the state; `note` says what the figures do not.

    `ruling` is what a gate that cannot be told comes to: `as asked` (its `unsure` decides), `refuse` (there was nothing
    to look at, which no `unsure` excuses) or `pass` (the question does not arise).
    """

    found: str
    state: State
    smallest_drop: str = ""
    note: str = ""
    ruling: Literal["as asked", "refuse", "pass"] = "as asked"


def blind(why: str) -> Found:
    """There was nothing to look at."""
    return Found(found=why, state="cannot tell", ruling="refuse")


def beside_the_question(why: str) -> Found:
    """The question does not arise."""
    return Found(found="not judged", state="cannot tell", note=why, ruling="pass")


def exam_of(
    evidence: Evidence, *, tasks: Sequence[Task], column: str | None = None, opponent: str | None = None
) -> Exam | Found:
    """The rows to judge by; or, where they, the column or the opponent's answers are missing or the task is another
    than the gate is for (a gate of the base may be older than the question), what that means.
    """
    comparison, exam = evidence.comparison, evidence.comparison.exam
    if exam is None or not len(exam):
        return blind("; ".join(comparison.why) or "no rows were scored")
    if exam.task not in tasks:
        return blind(f"this means nothing for a {exam.task} task")
    for who in (CHALLENGER, opponent or CHALLENGER):
        if who not in exam.predictions:
            return blind(f"there are no predictions of {who} for these rows")
        if not np.isfinite(exam.predictions[who]).all():
            return blind(f"some predictions of {who} are not numbers")
    if column is not None and column not in exam.slices:
        return blind(f"the compared rows have no column {column}")
    return exam
