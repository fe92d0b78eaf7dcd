"""Metrics of the comparison rows that gates ask for: from the comparison's tables, or made here in the same way."""

from __future__ import annotations

import numpy as np

from lockstep.comparison.result import Comparison, Exam
from lockstep.statistics.intervals import FEWEST_BLOCKS, FEWEST_ROWS, Interval, own_interval, paired_interval
from lockstep.statistics.metrics import METRICS
from lockstep.statistics.slices import MOST, names_of

CHALLENGER, CHAMPION = "challenger", "champion"

Slices = list[tuple[str, Interval]]


def estimate(exam: Exam, metric: str) -> float | None:
    """The challenger's metric; None where it is not defined."""
    try:
        value = METRICS[metric](exam.y, exam.predictions[CHALLENGER], _threshold(exam, CHALLENGER))
    except ValueError:  # predictions that are not finite
        return None
    return value if np.isfinite(value) else None


def own(exam: Exam, metric: str) -> Interval:
    """The challenger's metric with the interval of a single model: days are drawn as weeks."""
    try:
        p = exam.predictions[CHALLENGER]
        return own_interval(metric, exam.y, p, exam.blocks, threshold=_threshold(exam, CHALLENGER))
    except ValueError as error:
        return _nothing(exam, str(error))


def difference(comparison: Comparison, exam: Exam, metric: str, opponent: str) -> Interval:
    """Challenger minus opponent."""
    told = next((row.difference for row in comparison.metrics if row.id == metric), None)
    if opponent == CHAMPION and told is not None:
        return told
    return _difference(exam, metric, opponent, np.ones(len(exam), bool))


def by_slice(comparison: Comparison, exam: Exam, metric: str, opponent: str, column: str) -> tuple[Slices, int]:
    """The same for each value of a column, and how many values are left out: of very many, the largest are judged."""
    names, ids = names_of(exam.slices[column])
    told = {row.value: row.difference for row in comparison.slices if (row.column, row.metric) == (column, metric)}
    if opponent == CHAMPION and told:
        found = [(name, interval or _nothing(exam, "too few to say")) for name, interval in told.items()]
        return found, len(set(names) - set(told))
    sizes = np.bincount(ids, minlength=len(names))
    kept = sorted(np.argsort(-sizes, kind="stable")[:MOST].tolist())
    return [(names[at], _difference(exam, metric, opponent, ids == at)) for at in kept], len(names) - len(kept)


def _difference(exam: Exam, metric: str, opponent: str, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Interval:
    first, second = exam.predictions[CHALLENGER][rows], exam.predictions[opponent][rows]
    thresholds = _threshold(exam, CHALLENGER), _threshold(exam, opponent)
    blocks = exam.blocks.take(rows) if not rows.all() else exam.blocks
    try:
        return paired_interval(metric, exam.y[rows], first, second, blocks, thresholds=thresholds)
    except ValueError as error:
        return _nothing(exam, str(error))


def too_few(exam: Exam) -> str:
    """Why these rows are too few to judge even an estimate by, or nothing: fewer than 10 blocks, fewer than 30 rows of
    either class (of the two most frequent), or of all for numbers.
    """
    if exam.blocks.count < FEWEST_BLOCKS:
        return f"too few to say: {exam.blocks.count} {exam.blocks.kind}s, fewer than {FEWEST_BLOCKS}"
    if exam.task == "regression":
        return f"too few to say: {len(exam)} rows, fewer than {FEWEST_ROWS}" if len(exam) < FEWEST_ROWS else ""
    fewest = int(np.sort(np.bincount(exam.y.astype(int), minlength=2))[-2:].min())
    return f"too few to say: {fewest} rows of a class, fewer than {FEWEST_ROWS}" if fewest < FEWEST_ROWS else ""


def _threshold(exam: Exam, who: str) -> float:
    return exam.thresholds.get(who, exam.thresholds.get(CHALLENGER, 0.5))


def _nothing(exam: Exam, note: str) -> Interval:
    return Interval(value=None, blocks=exam.blocks.count, kind=exam.blocks.kind, note=note)
