"""Intervals: how far an estimate, or a difference of two models, may be from the truth about blocks like these.

Rows of one day share their weather, rows of one customer their customer: whole blocks are resampled, never rows that
depend on each other. The interval is estimate ± t(D - 1) · bootstrap SD · √(D / (D - 1)), D the number of blocks; where
blocks tell unequally much, t has the degrees of as many equal ones (`worth`). It speaks of blocks like these and of
this fitted model; not of next season, not of the training procedure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor, isfinite, log10, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lockstep.statistics.blocks import Blocks, Kind
from lockstep.statistics.metrics import BINS, METRICS, Metric, finite
from lockstep.statistics.totals import Floats, Scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LEVEL = 0.95
FEWEST_BLOCKS = 10
FEWEST_ROWS = 30
FEWEST_WORTH = 2.0


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and how far it reaches; `low` and `high` are None, and `note` says why, when that cannot be said.

    `blocks` is D and `kind` what the blocks are; `error` is the standard error, bootstrap SD · √(D / (D - 1)), and
    `degrees` the t distribution's: what the blocks are worth (`worth`), less one.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    blocks: int
    kind: Kind
    error: float | None = None
    degrees: float | None = None
    note: str = ""

    def document(self) -> dict[str, float | int | str | None]:
        """Rounded, as JSON holds it: never NaN, no empty note."""
        short = rounded(self)
        note = {"note": self.note} if self.note else {}
        return {"value": short.value, "low": short.low, "high": short.high, "blocks": self.blocks, **note}

    def __str__(self) -> str:
        short = rounded(self)
        if short.low is None:
            return f"{_plain(short.value)} ({self.note})"
        return f"{_plain(short.value)} [{_plain(short.low)}, {_plain(short.high)}]"


def _plain(number: float | None) -> str:
    return "–" if number is None else f"{number:,.12g}"


def rounded(interval: Interval) -> Interval:
    """The interval to what it supports: two significant digits of its half-width; three of the value without one.

    >>> rounded(Interval(value=0.68551234, low=0.6734, high=0.6976, blocks=13, kind="week")).document()
    {'value': 0.686, 'low': 0.673, 'high': 0.698, 'blocks': 13}
    """
    value, low, high = interval.value, interval.low, interval.high
    if low is not None and high is not None and high > low:
        digits = 1 - floor(log10((high - low) / 2))
    elif value is not None and isfinite(value) and value != 0:
        digits = 2 - floor(log10(abs(value)))
    else:
        digits = 3
    return replace(interval, value=_round(value, digits), low=_round(low, digits), high=_round(high, digits))


def _round(number: float | None, digits: int) -> float | None:
    if number is None or not isfinite(number):
        return None
    return round(number, min(digits, 12)) + 0.0  # never -0.0


def own_intervals(
    metrics: Iterable[str], y: npt.ArrayLike, p: npt.ArrayLike, blocks: Blocks, *, threshold: float = 0.5
) -> dict[str, Interval]:
    """A model's metrics, by id, on rows `y` (n,) and predictions `p` (n,) or (n, classes). Days are drawn as weeks.

    Raises `ValueError` on values that are not finite.
    """
    truth, predicted = finite(y, p)
    return _intervals(metrics, [Scored(truth, predicted, threshold, BINS)], blocks.weekly())


def own_interval(
    metric: str, y: npt.ArrayLike, p: npt.ArrayLike, blocks: Blocks, *, threshold: float = 0.5
) -> Interval:
    """One metric of a model: see `own_intervals`."""
    return own_intervals([metric], y, p, blocks, threshold=threshold)[metric]


def paired_intervals(
    metrics: Iterable[str],
    y: npt.ArrayLike,
    challenger: npt.ArrayLike,
    champion: npt.ArrayLike,
    blocks: Blocks,
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
) -> dict[str, Interval]:
    """Challenger minus champion, by metric, on the same rows and the same resamples. Days are drawn as days: what moves
    both models from one day to the next cancels in the difference. Raises `ValueError` on values that are not finite.
    """
    truth, first = finite(y, challenger)
    _, second = finite(y, champion)
    models = [Scored(truth, first, thresholds[0], BINS), Scored(truth, second, thresholds[1], BINS)]
    return _intervals(metrics, models, blocks)


def paired_interval(
    metric: str,
    y: npt.ArrayLike,
    challenger: npt.ArrayLike,
    champion: npt.ArrayLike,
    blocks: Blocks,
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
) -> Interval:
    """The difference in one metric: see `paired_intervals`."""
    return paired_intervals([metric], y, challenger, champion, blocks, thresholds=thresholds)[metric]


def _intervals(names: Iterable[str], models: Sequence[Scored], blocks: Blocks) -> dict[str, Interval]:
    metrics = [METRICS[name] for name in names]
    values = {metric.id: _difference([metric(m.y, m.p, m.threshold) for m in models]) for metric in metrics}
    notes = {metric.id: _too_few(metric, values[metric.id], models[0].y, blocks) for metric in metrics}
    spreads = _spreads([metric for metric in metrics if not notes[metric.id]], models, blocks)
    found = {}
    for metric in metrics:
        degrees = worth(metric, models[0].y, blocks) - 1
        value, note, spread = values[metric.id], notes[metric.id], spreads.get(metric.id)
        found[metric.id] = _interval(metric, value, spread, note, blocks, degrees, len(models))
    return found


def _difference(values: Sequence[Any]) -> Any:
    """Challenger minus champion, or the only model's value."""
    return values[0] - values[1] if len(values) == 2 else values[0]


def _too_few(metric: Metric, value: float, y: Floats, blocks: Blocks) -> str:
    """Why there is no interval, or nothing.

    Several classes: 30 rows of each class that occurs where a metric averages over classes, of the two most frequent
    otherwise, so that one rare class does not silence the log loss. Regression: 30 rows.
    """
    if not isfinite(value):
        return f"{metric.title} is not defined on these rows"
    if blocks.count < FEWEST_BLOCKS:
        return f"too few to say: {_several(blocks.count, blocks.kind)}, fewer than {FEWEST_BLOCKS}"
    if metric.tasks == ("regression",):
        return f"too few to say: {len(y)} rows, fewer than {FEWEST_ROWS}" if len(y) < FEWEST_ROWS else ""
    counts = np.bincount(y.astype(int), minlength=2)
    if metric.every_class:
        counts = counts[counts > 0]
    fewest = int(np.sort(counts)[::-1][: None if metric.every_class else 2].min())
    return (
        f"too few to say: {_several(fewest, 'row')} of a class, fewer than {FEWEST_ROWS}"
        if fewest < FEWEST_ROWS
        else ""
    )


def _several(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _spreads(metrics: Sequence[Metric], models: Sequence[Scored], blocks: Blocks) -> dict[str, float]:
    """Bootstrap SD of each metric (of the difference, with two models); nan when it is undefined in over 1 in 20.

    All metrics and both models share the resamples; metrics that sum the same statistics share their totals.
    """
    if not metrics:
        return {}
    kinds = list({metric.rows: None for metric in metrics})
    draws = [{rows: rows(model).over(blocks.ids, blocks.units) for rows in kinds} for model in models]
    samples: dict[str, list[Floats]] = {metric.id: [] for metric in metrics}
    with np.errstate(invalid="ignore", divide="ignore"):
        for weights in blocks.weights():
            totals = [{rows: draw(weights) for rows, draw in each.items()} for each in draws]
            for metric in metrics:
                samples[metric.id].append(_difference([metric.value(each[metric.rows]) for each in totals]))
    return {name: _deviation(np.concatenate(chunks)) for name, chunks in samples.items()}


def _deviation(sample: Floats) -> float:
    defined = sample[np.isfinite(sample)]
    if len(defined) < 0.95 * len(sample):
        return float("nan")
    return float(defined.std(ddof=1)) if np.ptp(defined) > 0 else 0.0


def _interval(
    metric: Metric, value: float, sd: float | None, note: str, blocks: Blocks, degrees: float, models: int
) -> Interval:
    empty = Interval(value=value if isfinite(value) else None, blocks=blocks.count, kind=blocks.kind, note=note)
    if sd is None:
        return empty
    if not isfinite(sd):
        return replace(empty, note=f"too few to say: {metric.title} is not defined in many resamples")
    if models == 1 and sd == 0 and value in metric.bounds:
        return replace(empty, note=f"too few to say: {metric.title} is {value:g} in every resample")
    # One group that holds nearly all rows is worth hardly more than one block, and one block has no spread.
    if degrees < FEWEST_WORTH - 1:
        of = "" if _alike(metric) else " of a class"
        return replace(empty, note=f"too few to say: one {blocks.kind} holds nearly all rows{of}")
    error = sd * sqrt(blocks.count / (blocks.count - 1))
    half = t_quantile(1 - (1 - LEVEL) / 2, degrees) * error
    # Ends are cut at the metric's own range: no truth lies beyond, so this cannot cost coverage.
    least, most = (
        metric.bounds if models == 1 else (metric.bounds[0] - metric.bounds[1], metric.bounds[1] - metric.bounds[0])
    )
    return replace(empty, low=max(value - half, least), high=min(value + half, most), error=error, degrees=degrees)


def worth(metric: Metric, y: Floats, blocks: Blocks) -> float:
    """How many equal blocks would tell as much about a metric on outcomes `y` (n,): see `Blocks.worth_by`.

    A row of class c tells Σ (its indicators - the classes' shares)², for two classes (y - mean y)²: of 1 % positives
    each tells as much as 99² negatives. Regression: all rows tell the same. So for average precision: by their rank
    positives tell very unequally much, and with few of them its bootstrap SD is a tenth too large as it is.
    """
    if _alike(metric):
        return blocks.worth
    shares = np.bincount(y.astype(int)) / max(1, len(y))
    return blocks.worth_by((1 - 2 * shares + (shares**2).sum())[y.astype(int)])


def _alike(metric: Metric) -> bool:
    return metric.tasks == ("regression",) or metric.id == "average_precision"


def t_quantile(share: float, degrees: float) -> float:
    """Quantile of Student's t. scipy.stats would say the same and costs every stage half a second to import."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))


def p_value(interval: Interval) -> float | None:
    """Two-sided p of "no difference", from the interval's own t; None when there is no interval. A difference that is
    zero in every resample has p 1.
    """
    from scipy.special import stdtr

    if interval.error is None or interval.degrees is None or interval.value is None:
        return None
    if interval.error == 0:
        return 1.0 if interval.value == 0 else 0.0
    return float(2 * stdtr(interval.degrees, -abs(interval.value) / interval.error))
