"""What callers get to read: predictions by task, and the sentences of a refusal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson

from lockstep.models.model import Floats, Learned
from lockstep.serving.rows import ROW, Place, Problem

MOST_PROBLEMS = 100
"""So many bad cells are named in an answer; `more` says how many there are beyond."""

Answer = dict[str, Any]
Answers = Callable[[Floats, dict[str, str]], list[Answer]]
"""Predictions and what all answers of a request share → one answer a row."""


def shortest(values: Floats) -> list[Any]:
    """`models.model.as_float32`, quickly: the fewest digits that give back the same float32; None if not finite."""
    listed = orjson.dumps(np.ascontiguousarray(values, dtype=np.float32), option=orjson.OPT_SERIALIZE_NUMPY)
    made: list[Any] = orjson.loads(listed)
    return made


def answers_of(learned: Learned) -> Answers:
    """How predictions of this model become answers."""
    return _TASKS[learned.task](learned)


def label_of(answer: Answer) -> str:
    """The label under which an answer is counted; a regression's are all counted as one."""
    label = answer.get("label", "value")
    return ("true" if label else "false") if isinstance(label, bool) else str(label)


def _binary(learned: Learned) -> Answers:
    cut = learned.cut

    def answers(predictions: Floats, same: dict[str, str]) -> list[Answer]:
        exact = predictions.tolist()
        return [
            {"label": sure >= cut, "probability": shown, "threshold": cut, **same}
            for sure, shown in zip(exact, shortest(predictions), strict=True)
        ]

    return answers


def _multiclass(learned: Learned) -> Answers:
    classes = learned.classes

    def answers(predictions: Floats, same: dict[str, str]) -> list[Answer]:
        best = predictions.argmax(axis=1).tolist()
        return [
            {
                "label": classes[at],
                "probability": shown[at],
                "probabilities": dict(zip(classes, shown, strict=True)),
                **same,
            }
            for at, shown in zip(best, shortest(predictions), strict=True)
        ]

    return answers


def _regression(learned: Learned) -> Answers:
    return lambda predictions, same: [{"value": shown, **same} for shown in shortest(predictions)]


_TASKS: dict[str, Callable[[Learned], Answers]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "regression": _regression,
}


def refusal(sentence: str, request: str, problems: Sequence[Problem] = (), place: Place = ROW) -> dict[str, Any]:
    """A refusal as JSON: a sentence, the request, and the bad cells where there are any."""
    told: dict[str, Any] = {"error": sentence, "request": request}
    if problems:
        told["problems"] = [problem.to_dict(place) for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        told["more"] = len(problems) - MOST_PROBLEMS
    return told


def broken(problems: Sequence[Problem], rows: int, place: Place = ROW) -> str:
    """What is wrong with some of so many rows.

    >>> broken([Problem(row=0, column="distance", value=-3, rule="at least 0")], 1)
    'column `distance` of row 0 breaks the contract (at least 0)'
    >>> broken([Problem(row=2, column=name, value=-3, rule="at least 0") for name in ("distance", "age")], 3)
    '2 cells of row 2 break the contract'
    """
    first = problems[0]
    one = f"{place.whole} {first.row}"
    if len(problems) == 1:
        where = f"{place.part} `{first.column}` of {one}" if first.column is not None else one
        return f"{where} breaks {place.law} ({first.rule})"
    bad = len({problem.row for problem in problems})
    where = one if bad == 1 else f"{bad:,} of {rows:,} {place.whole}s"
    return f"{len(problems):,} {place.parts} of {where} break {place.law}"
