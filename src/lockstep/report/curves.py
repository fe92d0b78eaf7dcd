"""Curves of champion and challenger: as lists of points for the page, as a few numbers for charts and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from lockstep.comparison.result import Exam
from lockstep.report.document import Block, Chart, Fold, Plot, Series, Table, Words, words
from lockstep.report.numbers import NONE, number
from lockstep.statistics import curves

Who = Literal["champion", "challenger"]
WHO: tuple[Who, ...] = ("champion", "challenger")
NAMES = {"champion": "champion", "challenger": "this change"}
RECALLS = tuple(round(0.1 * tenth, 1) for tenth in range(1, 11))
"""Where the precision-recall curves are read off: as many labels as a static chart can show."""

BINS = 10
FINE = 2000
"""Points of a curve that is read off at `RECALLS`."""

Points = Mapping[Who, curves.Rows]
"""A curve by who answers."""


def fold(exam: Exam | None) -> Fold | None:
    """The curves as charts and tables, for where nothing can be touched, and the place of the plot."""
    if exam is None or not len(exam):
        return None
    blocks = [*_calibration(exam), *_precision_recall(exam)]
    named = ["predicted against observed" if exam.task == "regression" else "calibration"]
    named += ["precision–recall"] if exam.task == "binary" else []
    return Fold(name="curves", summary=f"Curves: {', '.join(named)}", blocks=(Plot(name="curves"), *blocks))


def data(exam: Exam | None) -> dict[str, Any]:
    """Every curve that suits the task, by id: its points by who answers."""
    if exam is None or not len(exam):
        return {}
    if exam.task == "regression":
        return {"predicted": _of(exam, curves.predicted_against_observed)}
    found = {"calibration": _of(exam, curves.calibration)}
    if exam.task == "binary":
        found |= {"roc": _of(exam, curves.roc), "precision_recall": _of(exam, curves.precision_recall)}
    return found


def _of(exam: Exam, curve: Any, **more: int) -> Points:
    return {who: curve(exam.y, exam.predictions[who], **more) for who in WHO if who in exam.predictions}


def _calibration(exam: Exam) -> Iterator[Block]:
    regression = exam.task == "regression"
    found = _of(exam, curves.predicted_against_observed if regression else curves.calibration, bins=BINS)
    for who in reversed(WHO):
        if who in found:
            yield from _bins(who, found[who], "value" if regression else "share of positives")
    yield _bin_table(found)


def _bins(who: Who, points: curves.Rows, y: str) -> Iterator[Block]:
    observed = tuple(point["observed"] for point in points)
    # Bars start at the axis's end: below zero they would say nothing.
    kind: Literal["bar", "line"] = "bar" if min(observed, default=-1.0) >= 0 else "line"
    if len(points) > 1:
        yield Chart(
            caption=f"{NAMES[who]}, calibration: rows in bins of about equal size, by what was predicted. "
            f"{'Bars are' if kind == 'bar' else 'The coloured line is'} what was observed, the grey line what was "
            "predicted: the closer, the better.",
            x=f"{NAMES[who]}: bin",
            y=y,
            labels=tuple(str(index + 1) for index in range(len(points))),
            series=(
                Series(kind=kind, who=who, values=observed),
                Series(kind="line", who="expected", values=tuple(point["predicted"] for point in points)),
            ),
        )


def _bin_table(found: Points) -> Table:
    names = [f"{NAMES[who]}: {name}" for who in found for name in ("predicted", "observed", "rows")]
    rows = []
    for index in range(max(map(len, found.values()), default=0)):
        cells = [words(str(index + 1))]
        for points in found.values():
            cells += _bin(points[index]) if index < len(points) else [words(NONE)] * 3
        rows.append(tuple(cells))
    return Table(head=tuple(map(words, ["bin", *names])), rows=tuple(rows), right=tuple(range(len(names) + 1)))


def _bin(point: Mapping[str, float]) -> list[Words]:
    return [words(number(point["predicted"])), words(number(point["observed"])), words(f"{int(point['n']):,}")]


def _precision_recall(exam: Exam) -> Iterator[Block]:
    found = _of(exam, curves.precision_recall, points=FINE) if exam.task == "binary" else {}
    read = {who: [_precision_at(points, recall) for recall in RECALLS] for who, points in found.items() if points}
    if not read:
        return
    lines = " and ".join(f"{NAMES[who]} is {COLOURS[who]}" for who in reversed(WHO) if who in read)
    yield Chart(
        caption=f"Precision at each recall: {lines}.",
        x="recall",
        y="precision",
        labels=tuple(f"{recall:.1f}" for recall in RECALLS),
        series=tuple(Series(kind="line", who=who, values=tuple(read[who])) for who in reversed(WHO) if who in read),
    )
    rows = tuple(
        (words(f"{recall:.1f}"), *(words(number(values[index])) for values in read.values()))
        for index, recall in enumerate(RECALLS)
    )
    head = ["recall", *(f"{NAMES[who]}: precision" for who in read)]
    yield Table(head=tuple(map(words, head)), rows=rows, right=tuple(range(len(head))))


COLOURS = {"challenger": "blue", "champion": "orange"}
"""What the colours of a static chart are called: it has no legend."""


def _precision_at(points: curves.Rows, recall: float) -> float:
    """Precision where the curve first reaches a recall; it ends at recall 1."""
    return next((point["precision"] for point in points if point["recall"] >= recall - 1e-9), points[-1]["precision"])
