"""Curves: what `dvc plots` draws. Each is a list of rows, one dict a point, sorted, rounded and small."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lockstep.statistics.metrics import finite
from lockstep.statistics.totals import Floats, Ints

Rows = list[dict[str, float]]

POINTS = 200
BINS = 10
_DIGITS = 6


def calibration(y: npt.ArrayLike, p: npt.ArrayLike, *, bins: int = BINS) -> Rows:
    """Mean predicted probability beside the observed share of positives, in bins of about equal numbers of rows.

    Binary `p` (n,) in 0..1; with (n, classes) the likeliest class is judged: its probability beside the share called
    right. Equal probabilities share a bin, so there may be fewer bins. A calibrated model has predicted = observed.

    >>> calibration([0, 1, 1, 1], [0.2, 0.4, 0.8, 1.0], bins=2)
    [{'predicted': 0.3, 'observed': 0.5, 'n': 2}, {'predicted': 0.9, 'observed': 1.0, 'n': 2}]
    """
    truth, predicted = finite(y, p)
    if predicted.ndim == 2:
        truth = (predicted.argmax(axis=1) == truth).astype(float)
        predicted = predicted.max(axis=1)
    return _binned(predicted, {"predicted": predicted, "observed": truth}, bins)


def predicted_against_observed(y: npt.ArrayLike, p: npt.ArrayLike, *, bins: int = 2 * BINS) -> Rows:
    """Regression: mean predicted beside mean observed value and mean absolute error, in bins of about equal numbers of
    rows, by predicted value; in the target's unit.

    >>> predicted_against_observed([1, 2, 5, 9], [1, 1, 6, 6], bins=2)[1]
    {'predicted': 6.0, 'observed': 7.0, 'error': 2.0, 'n': 2}
    """
    truth, predicted = finite(y, p)
    values = {"predicted": predicted, "observed": truth, "error": np.abs(predicted - truth)}
    return _binned(predicted, values, bins)


def roc(y: npt.ArrayLike, p: npt.ArrayLike, *, points: int = POINTS) -> Rows:
    """The ROC curve, from (0, 0) to (1, 1): false and true positive rate at falling thresholds. Empty when a class is
    absent.
    """
    thresholds, tp, fp = _counts(*finite(y, p))
    if len(tp) == 0 or tp[-1] == 0 or fp[-1] == 0:
        return []
    fpr, tpr = np.concatenate([[0.0], fp / fp[-1]]), np.concatenate([[0.0], tp / tp[-1]])
    return _points(
        fpr, tpr, {"fpr": fpr, "tpr": tpr, "threshold": np.concatenate([thresholds[:1], thresholds])}, points
    )


def precision_recall(y: npt.ArrayLike, p: npt.ArrayLike, *, points: int = POINTS) -> Rows:
    """The precision-recall curve at falling thresholds, up to recall 1. Empty without positives."""
    thresholds, tp, fp = _counts(*finite(y, p))
    if len(tp) == 0 or tp[-1] == 0:
        return []
    recall, precision = tp / tp[-1], tp / (tp + fp)
    return _points(recall, precision, {"recall": recall, "precision": precision, "threshold": thresholds}, points)


def _counts(y: Floats, p: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct scores, falling, and the true and false positives at each."""
    thresholds, at = np.unique(-p, return_inverse=True)
    tp = np.cumsum(np.bincount(at, weights=(y == 1).astype(float), minlength=len(thresholds)))
    fp = np.cumsum(np.bincount(at, weights=(y != 1).astype(float), minlength=len(thresholds)))
    return -thresholds, np.asarray(tp, float), np.asarray(fp, float)


def _points(x: Floats, y: Floats, columns: dict[str, Floats], points: int) -> Rows:
    """At most `points` rows, evenly along the curve's length: steep parts keep their shape; both ends stay."""
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], points)).clip(0, len(x) - 1))
    kept = np.unique(np.concatenate([[0], kept[1:-1], [len(x) - 1]])) if len(x) > points else np.arange(len(x))
    return _rows(columns, kept)


def _rows(columns: dict[str, Floats], kept: Ints) -> Rows:
    return [{name: _round(column[index]) for name, column in columns.items()} for index in kept.tolist()]


def _binned(by: Floats, values: dict[str, Floats], bins: int) -> Rows:
    if len(by) == 0:
        return []
    cuts = np.unique(np.sort(by)[np.arange(bins) * len(by) // bins])
    at = np.searchsorted(cuts, by, side="right") - 1
    n = np.bincount(at, minlength=len(cuts))
    means = {name: np.bincount(at, weights=column, minlength=len(cuts)) / n for name, column in values.items()}
    return [{**row, "n": int(n[i])} for i, row in enumerate(_rows(means, np.arange(len(cuts))))]


def _round(number: float) -> float:
    return round(float(number), _DIGITS) + 0.0
