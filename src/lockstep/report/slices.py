"""Slices, the worst first."""

from __future__ import annotations

from collections.abc import Iterable

from lockstep.comparison.result import SliceRow
from lockstep.statistics.metrics import METRICS


def worst_first(slices: Iterable[SliceRow], metric: str) -> list[SliceRow]:
    """The slices of a metric: those that are worse, then by how much they lost, then those too small to say."""
    return sorted((row for row in slices if row.metric == metric), key=_rank)


def worse(slices: Iterable[SliceRow], metric: str) -> list[SliceRow]:
    """The slices of a metric that are worse, the worst first."""
    return [row for row in worst_first(slices, metric) if row.word == "worse"]


def _rank(row: SliceRow) -> tuple[int, float, int, str, str]:
    value = row.difference.value if row.difference else None
    gain = 0.0 if value is None else value if METRICS[row.metric].higher_is_better else -value
    silent = row.difference is None or row.difference.low is None
    group = 0 if row.word == "worse" else 2 if silent else 1
    return (group, gain if group < 2 else 0.0, -row.rows, row.column, row.value)
