"""A comparison, its gates and what changed, as one report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lockstep.comparison.result import Comparison, MetricRow, SliceRow
from lockstep.report import curves, data, folds
from lockstep.report.change import Change, Drift
from lockstep.report.document import Report
from lockstep.report.judged import Judged
from lockstep.report.lead import lead
from lockstep.report.numbers import difference, digits, number
from lockstep.report.origin import reproduce
from lockstep.statistics.intervals import Interval
from lockstep.statistics.metrics import METRICS


def compose(judged: Judged) -> Report:
    """All parts in the order in which people need them."""
    comparison, judgement, change, verdict = judged.comparison, judged.judgement, judged.change, judged.verdict
    found = [
        folds.gates(judgement),
        folds.slices(comparison),
        folds.changed(change),
        data.fold(comparison, change),
        curves.fold(comparison.exam),
        folds.cost(judgement),
        reproduce(judged.origin, comparison.champion, seeds=len(comparison.seeds.values) if comparison.seeds else 0),
    ]
    return Report(
        mark=verdict.mark,
        headline=verdict.headline,
        project=judged.spec.project.name,
        lead=tuple(lead(comparison, judgement, change, verdict)),
        folds=tuple(fold for fold in found if fold is not None),
        data=_data(comparison, change),
    )


def _data(comparison: Comparison, change: Change) -> dict[str, Any]:
    """What the page's plots draw: finite numbers or null, and text that is not yet escaped."""
    return {
        "champion": comparison.champion.short if comparison.champion else None,
        "metrics": [_metric(row) for row in comparison.metrics if row.difference is not None],
        "slices": [_slice(row) for row in comparison.slices],
        "titles": {row.id: row.title for row in sorted(comparison.metrics, key=lambda row: not row.primary)},
        "curves": curves.data(comparison.exam),
        "drift": [_drift(column) for column in change.drift],
    }


def _metric(row: MetricRow) -> dict[str, Any]:
    return {
        "title": row.title,
        "up": row.higher_is_better,
        "primary": row.primary,
        "word": row.word,
        "values": {who: number(value, digits(row.difference)) for who, value in row.values.items()},
        **_interval(row.difference),
    }


def _slice(row: SliceRow) -> dict[str, Any]:
    places = max(digits(row.difference), 0)
    return {
        "column": row.column,
        "value_name": row.value,
        "rows": row.rows,
        "metric": row.metric,
        "up": METRICS[row.metric].higher_is_better,
        "champion": number(row.champion, places),
        "challenger": number(row.challenger, places),
        "p": None if row.p is None else round(row.p, 4),
        "word": row.word,
        **_interval(row.difference),
    }


def _interval(interval: Interval | None) -> Mapping[str, Any]:
    if interval is None:
        return {"value": None, "low": None, "high": None, "text": ""}
    return {"value": interval.value, "low": interval.low, "high": interval.high, "text": difference(interval)}


def _drift(column: Drift) -> dict[str, Any]:
    return {
        "column": column.column,
        "kind": column.kind,
        "distance": round(column.distance, 4),
        "before": column.before,
        "after": column.after,
        "missing": [round(100 * share, 2) for share in column.missing],
        "drifted": column.drifted,
    }
