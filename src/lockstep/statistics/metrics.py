"""Metrics: what a model is judged by. Each is one small definition and one line in `METRICS`.

Every metric is a function of *totals*: statistics of single rows, added up. The totals of all rows give the estimate,
exactly; the totals of each block, weighted, give the metric of a resample, so a bootstrap is a matrix product.

Shapes, everywhere: `y` is (n,) — binary 0/1, multiclass the class's index, regression the value. `p` is (n,) — binary
the probability of the positive class, regression the predicted value — or (n, classes) probabilities.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lockstep.statistics.totals import Counted, Floats, Scored, Statistics, Summed

Task = Literal["binary", "multiclass", "regression"]

BINS = 256
"""Score bins that a resample of a rank metric uses. The estimate uses every distinct score."""

CLIP = 1e-6
"""Probabilities are clipped to [CLIP, 1 - CLIP] before the log loss: one sure mistake must not decide everything."""


RowStatistics = Callable[[Scored], Statistics]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What is summed a row (`rows`), and what the totals mean (`value`). Call it to get the estimate.

    `bounds` are the ends of its range; `thresholded`: depends on the model's threshold; `every_class`: averages over
    classes, so each class needs enough rows.
    """

    id: str
    title: str
    tasks: tuple[Task, ...]
    higher_is_better: bool
    rows: RowStatistics
    value: Callable[[Floats], Floats]
    bounds: tuple[float, float] = (0.0, 1.0)
    thresholded: bool = False
    every_class: bool = False

    @property
    def definition(self) -> str:
        """What it is, its unit and range, when it is nan, its source: the docstring of the function that says so."""
        lines = inspect.getdoc(self.rows if self.value is mean else self.value) or ""
        return " ".join(lines.split(">>>")[0].split())

    def __call__(self, y: npt.ArrayLike, p: npt.ArrayLike, threshold: float = 0.5) -> float:
        """The estimate on rows `y` (n,), `p` (n,) or (n, classes). Raises `ValueError` if a value is not finite."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(self.value(self.rows(Scored(*finite(y, p), threshold)).total()))


def finite(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Floats, Floats]:
    """`y` and `p` as floats. Raises `ValueError` when lengths differ or a value is missing or infinite."""
    truth, predicted = np.asarray(y, float), np.asarray(p, float)
    if len(truth) != len(predicted):
        raise ValueError(f"{len(truth)} outcomes but {len(predicted)} predictions")
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        raise ValueError("outcomes and predictions must be finite numbers")
    return truth, predicted


# --- means over rows


def mean(totals: Floats) -> Floats:
    """Sum over count."""
    return np.asarray(totals[..., 0] / totals[..., 1])


def _mean_of(losses: npt.ArrayLike) -> Summed:
    return Summed(losses, np.ones(len(np.asarray(losses))))


def log_loss(scored: Scored) -> Summed:
    """Mean negative log of the probability given to what happened, clipped to [1e-6, 1 - 1e-6]; nats, 0 to 13.8,
    lower is better. nan without rows. Several classes: of the true class, not renormalised after clipping. Source:
    Good 1952.

    >>> round(METRICS["log_loss"]([0, 1], [0.5, 0.5]), 4)
    0.6931
    """
    y, p = scored.y, scored.p
    given = np.where(y == 1, p, 1 - p) if p.ndim == 1 else p[np.arange(len(y)), y.astype(int)]
    return _mean_of(-np.log(np.clip(given, CLIP, 1 - CLIP)))


def brier(scored: Scored) -> Summed:
    """Mean squared distance of the probability from 0 or 1; 0 to 1, lower is better. nan without rows. Several classes:
    summed over the classes, 0 to 2 (Brier's own definition, twice the binary one). Source: Brier 1950.

    >>> METRICS["brier"]([0, 1], [0.5, 1.0])
    0.125
    """
    y, p = scored.y, scored.p
    if p.ndim == 1:
        return _mean_of((p - y) ** 2)
    return _mean_of(((p - np.eye(p.shape[1])[y.astype(int)]) ** 2).sum(axis=1))


def accuracy(scored: Scored) -> Summed:
    """Share of rows called right: at the threshold, or by the likeliest class; 0 to 1, higher is better. nan without
    rows.

    >>> METRICS["accuracy"]([0, 1, 1, 1], [0.2, 0.3, 0.5, 0.9])
    0.75
    """
    p = scored.p
    called = p >= scored.threshold if p.ndim == 1 else p.argmax(axis=1)
    return _mean_of(called == scored.y)


def mae(scored: Scored) -> Summed:
    """Mean absolute error; in the target's unit, 0 up, lower is better. nan without rows.

    >>> METRICS["mae"]([0, 4], [1, 1])
    2.0
    """
    return _mean_of(np.abs(scored.p - scored.y))


def _squared(scored: Scored) -> Summed:
    return _mean_of((scored.p - scored.y) ** 2)


def rmse(totals: Floats) -> Floats:
    """Root of the mean squared error; in the target's unit, 0 up, lower is better. nan without rows.

    >>> round(METRICS["rmse"]([0, 4], [1, 1]), 4)
    2.2361
    """
    return np.sqrt(mean(totals))


def _moments(scored: Scored) -> Summed:
    y, p = scored.y, scored.p
    centred = y - y.mean() if len(y) else y  # the spread does not care, the subtraction of squares does
    return Summed((p - y) ** 2, centred**2, centred, np.ones(len(y)))


def r2(totals: Floats) -> Floats:
    """Share of the target's variance explained, 1 - squared errors / squared deviations from the mean; up to 1, higher
    is better, below 0 when worse than the mean. nan when the target does not vary.

    >>> METRICS["r2"]([1, 2, 3], [1, 2, 2])
    0.5
    """
    errors, squares, total, n = np.moveaxis(totals, -1, 0)
    spread = squares - total**2 / n
    return np.where(spread > 1e-12 * squares, 1 - errors / spread, np.nan)


# --- counts at the threshold


def _confusion(scored: Scored) -> Summed:
    """True positives, false positives, false negatives, true negatives."""
    called, positive = scored.p >= scored.threshold, scored.y == 1
    return Summed(called & positive, called & ~positive, ~called & positive, ~called & ~positive)


def precision(totals: Floats) -> Floats:
    """Share of rows called positive that are; 0 to 1, higher is better. nan when no row is called positive.

    >>> METRICS["precision"]([0, 1, 1, 1], [0.6, 0.3, 0.5, 0.9])
    0.6666666666666666
    """
    tp, fp, _, _ = np.moveaxis(totals, -1, 0)
    return np.asarray(tp / (tp + fp))


def recall(totals: Floats) -> Floats:
    """Share of positive rows called so; 0 to 1, higher is better. nan without positives.

    >>> METRICS["recall"]([0, 1, 1, 1, 1], [0.6, 0.3, 0.5, 0.9, 0.8])
    0.75
    """
    tp, _, fn, _ = np.moveaxis(totals, -1, 0)
    return np.asarray(tp / (tp + fn))


def f1(totals: Floats) -> Floats:
    """Harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn); 0 to 1, higher is better. nan when no row is
    positive or called so. Source: van Rijsbergen 1979.

    >>> METRICS["f1"]([0, 1, 1, 1], [0.6, 0.3, 0.5, 0.9])
    0.6666666666666666
    """
    tp, fp, fn, _ = np.moveaxis(totals, -1, 0)
    return np.asarray(2 * tp / (2 * tp + fp + fn))


def balanced_accuracy(totals: Floats) -> Floats:
    """Mean of the shares of positives and of negatives called right; 0 to 1, 0.5 without skill, higher is better. nan
    when a class is absent. Source: Brodersen 2010.

    >>> METRICS["balanced_accuracy"]([0, 0, 0, 1], [0.6, 0.3, 0.2, 0.9])
    0.8333333333333333
    """
    tp, fp, fn, tn = np.moveaxis(totals, -1, 0)
    return np.asarray((tp / (tp + fn) + tn / (tn + fp)) / 2)


def _classes(scored: Scored) -> Counted:
    """For each class: rows that are of it, that are called so, that are both."""
    k, truth, called = scored.p.shape[1], scored.y.astype(np.int64), scored.p.argmax(axis=1)
    both = np.where(truth == called, 2 * k + truth, 3 * k)
    return Counted(np.stack([truth, k + called, both], axis=1), (4, k))


def f1_macro(totals: Floats) -> Floats:
    """Mean over the classes of each class's F1, by the likeliest class; 0 to 1, higher is better. Classes that neither
    occur nor are called are left out. nan without rows.

    >>> METRICS["f1_macro"]([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    0.6666666666666666
    """
    truth, called, both = totals[..., 0, :], totals[..., 1, :], totals[..., 2, :]
    return _mean_defined(2 * both / (truth + called))


def _mean_defined(values: Floats) -> Floats:
    defined = np.isfinite(values)
    return np.asarray(np.where(defined, values, 0).sum(axis=-1) / defined.sum(axis=-1))


# --- ranks


def _edges(scores: Floats, positive: npt.NDArray[np.bool_], bins: int | None) -> Floats:
    """Where score bins begin: at each distinct score, or half of them at quantiles of all rows, half of the positives.

    Those of the positives grow finer towards the top of the ranking, which decides the average precision: with 2 % of
    positives, quantiles of all rows alone make its bootstrap SD 9 % too small.
    """
    distinct = np.unique(scores)
    if bins is None or len(distinct) <= bins:
        return distinct
    even = np.arange(bins // 2) / (bins // 2)
    cuts = [(np.sort(scores), even), (np.sort(scores[positive]), 1 - (1 - even) ** 2)]
    return np.unique(np.concatenate([s[(share * len(s)).astype(int)] for s, share in cuts if len(s)]))


def _ranked(scored: Scored) -> Counted:
    """Negatives and positives in each score bin, bins ascending: totals are (2, bins)."""
    y, p = scored.y, scored.p
    edges = _edges(p, y == 1, scored.bins)
    bin_ = np.searchsorted(edges, p, side="right") - (len(edges) > 0)
    return Counted((y == 1) * len(edges) + np.maximum(bin_, 0), (2, len(edges)))


def _ranked_classes(scored: Scored) -> Counted:
    """The same for each class against the rest: totals are (classes, 2, bins)."""
    k = scored.p.shape[1]
    bins = scored.bins and max(32, 2 * scored.bins // k)
    each = [_ranked(Scored((scored.y == c).astype(float), scored.p[:, c], bins=bins)) for c in range(k)]
    widest = max(ranked.shape[1] for ranked in each)
    cells = [(2 * c + r.cells // r.shape[1]) * widest + r.cells % r.shape[1] for c, r in enumerate(each)]
    return Counted(np.concatenate(cells, axis=1), (k, 2, widest))


def roc_auc(totals: Floats) -> Floats:
    """Chance that a random positive scores above a random negative, ties counting half; 0 to 1, 0.5 without skill,
    higher is better. nan when a class is absent. Source: Hanley and McNeil 1982.

    >>> METRICS["roc_auc"]([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    negatives, positives = totals[..., 0, :], totals[..., 1, :]
    below = np.cumsum(negatives, axis=-1)
    pairs = below[..., -1] * positives.sum(axis=-1) if below.shape[-1] else np.zeros(below.shape[:-1])
    return np.asarray(np.einsum("...g,...g->...", positives, below - negatives / 2) / pairs)


def average_precision(totals: Floats) -> Floats:
    """Precision at each positive's score, averaged over the positives (area under the precision-recall steps); from
    about the positives' share, without skill, to 1, higher is better. nan without positives. Source: scikit-learn.

    >>> round(METRICS["average_precision"]([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    positives = totals[..., 1, ::-1]
    hits, called = np.cumsum(positives, axis=-1), np.cumsum(totals[..., ::-1].sum(axis=-2), axis=-1)
    at = hits / np.maximum(called, 1)
    return np.asarray(np.einsum("...g,...g->...", positives, at) / positives.sum(axis=-1))


def roc_auc_ovr(totals: Floats) -> Floats:
    """Mean over the classes of the ROC AUC of each class against the rest; 0 to 1, 0.5 without skill, higher is better.
    Classes that do not occur are left out; nan when fewer than two do. Source: Provost and Domingos 2000.

    >>> METRICS["roc_auc_ovr"]([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    1.0
    """
    return _mean_defined(roc_auc(totals))


# --- the list

_ERROR = (0.0, np.inf)
_BINARY: tuple[Task, ...] = ("binary",)
_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_SEVERAL: tuple[Task, ...] = ("multiclass",)
_NUMBER: tuple[Task, ...] = ("regression",)


def _up(name: str, title: str, tasks: tuple[Task, ...], rows: RowStatistics, value: Any, **more: Any) -> Metric:
    return Metric(id=name, title=title, tasks=tasks, rows=rows, value=value, higher_is_better=True, **more)


def _down(name: str, title: str, tasks: tuple[Task, ...], rows: RowStatistics, value: Any, **more: Any) -> Metric:
    return Metric(id=name, title=title, tasks=tasks, rows=rows, value=value, higher_is_better=False, **more)


METRICS: dict[str, Metric] = {
    metric.id: metric
    for metric in (
        _up("roc_auc", "ROC AUC", _BINARY, _ranked, roc_auc),
        _up("average_precision", "average precision", _BINARY, _ranked, average_precision),
        _up("roc_auc_ovr", "ROC AUC, one against the rest", _SEVERAL, _ranked_classes, roc_auc_ovr, every_class=True),
        _down("log_loss", "log loss", _CLASSES, log_loss, mean, bounds=(0.0, float(-np.log(CLIP)))),
        _down("brier", "Brier score", _CLASSES, brier, mean, bounds=(0.0, 2.0)),
        _up("accuracy", "accuracy", _CLASSES, accuracy, mean, thresholded=True),
        _up("balanced_accuracy", "balanced accuracy", _BINARY, _confusion, balanced_accuracy, thresholded=True),
        _up("precision", "precision", _BINARY, _confusion, precision, thresholded=True),
        _up("recall", "recall", _BINARY, _confusion, recall, thresholded=True),
        _up("f1", "F1", _BINARY, _confusion, f1, thresholded=True),
        _up("f1_macro", "F1, mean over classes", _SEVERAL, _classes, f1_macro, every_class=True),
        _down("mae", "mean absolute error", _NUMBER, mae, mean, bounds=_ERROR),
        _down("rmse", "root mean squared error", _NUMBER, _squared, rmse, bounds=_ERROR),
        _up("r2", "R²", _NUMBER, _moments, r2, bounds=(-np.inf, 1.0)),
    )
}


def metrics_for(task: Task) -> list[str]:
    """Ids of the metrics that judge a task.

    >>> metrics_for("regression")
    ['mae', 'rmse', 'r2']
    """
    return [metric.id for metric in METRICS.values() if task in metric.tasks]
