"""Training: search, fit, calibration and threshold, each on folds in time order, and what all of it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lockstep.errors import InputError
from lockstep.models import estimators
from lockstep.models.encoding import Encoding, Matrix
from lockstep.models.model import Calibration
from lockstep.rows.splits import Fold
from lockstep.spec import AtPrecision, AtRecall, Evaluate, Maximise, Task, Train
from lockstep.statistics.metrics import METRICS, Metric

Floats = npt.NDArray[np.float64]

MOST_POINTS = 200
"""Points kept of an isotonic calibration, spread evenly."""

MARGIN = 1e-5
"""How far below the score that chose it a threshold may lie: the graph's float32 must not move a tie across it."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Training rows, encoded: x (n, slots) float32, y (n,) float64, and the folds."""

    x: Matrix
    y: Floats
    task: Task
    folds: list[Fold]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training found. `params` are those the search chose; `trials` has one entry for each it tried."""

    estimator: Any
    params: dict[str, Any]
    calibration: Calibration | None
    threshold: float | None
    trials: list[dict[str, Any]]


@dataclass(frozen=True)
class Judged:
    """Predictions for rows that took no part in the fit: y (m,), p (m,) or (m, k), fold after fold."""

    y: Floats
    p: Floats
    folds: list[int]


def train(spec: Train, evaluate: Evaluate, data: Data, encoding: Encoding, progress: Callable[[str], None]) -> Trained:
    """Fit the spec's estimator to the training rows.

    Raises `InputError` when the estimator refuses its parameters or a threshold cannot be reached.
    """
    candidates = _candidates(spec)
    for candidate in candidates:
        estimators.insist(spec, candidate, encoding, data.task)
    params, trials, judged = _search(spec, evaluate, data, encoding, progress, candidates)
    wanted = not isinstance(evaluate.threshold, float) and data.task == "binary"
    if judged is None and (spec.calibrate or wanted):
        progress(f"fitting {len(data.folds)} folds, for {'calibration' if spec.calibrate else 'the threshold'}")
        judged = _judge(spec, params, data, encoding)
    calibration = calibrate(spec.calibrate, judged.p, judged.y) if spec.calibrate and judged else None
    threshold = None
    if data.task == "binary":
        known = calibration.apply(judged.p) if calibration and judged else judged.p if judged else np.empty(0)
        threshold = choose_threshold(evaluate.threshold, known, judged.y if judged else np.empty(0))
    progress("fitting all training rows")
    return Trained(
        estimator=_fit_all(spec, params, data, encoding),
        params=params,
        calibration=calibration,
        threshold=threshold,
        trials=trials,
    )


def _candidates(spec: Train) -> list[dict[str, Any]]:
    """What a search tries: all combinations, or some of them by chance; without a search one that changes nothing."""
    if spec.search is None:
        return [{}]
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    grid = ParameterGrid(spec.search.params)
    drawn = (
        grid
        if len(grid) <= spec.search.trials
        else ParameterSampler(spec.search.params, spec.search.trials, random_state=spec.seed)
    )
    return [dict(sorted(candidate.items())) for candidate in drawn]


def _search(
    spec: Train,
    evaluate: Evaluate,
    data: Data,
    encoding: Encoding,
    progress: Callable[[str], None],
    candidates: list[dict[str, Any]],
) -> tuple[dict[str, Any], list[dict[str, Any]], Judged | None]:
    if spec.search is None:
        return {}, [], None
    metric = METRICS[evaluate.primary]
    trials: list[dict[str, Any]] = []
    best: tuple[float, dict[str, Any], Judged] | None = None
    for number, params in enumerate(candidates, start=1):
        progress(f"trial {number} of {len(candidates)}: {params}")
        judged = _judge(spec, params, data, encoding)
        score = _mean_score(metric, judged)
        trials.append({"params": params, evaluate.primary: round(score, 6)})
        if best is None or (score > best[0] if metric.higher_is_better else score < best[0]):
            best = (score, params, judged)
    assert best is not None
    return best[1], trials, best[2]


def _mean_score(metric: Metric, judged: Judged) -> float:
    ends = np.cumsum(judged.folds)
    scores = [
        metric(judged.y[end - size : end], judged.p[end - size : end])
        for end, size in zip(ends, judged.folds, strict=True)
    ]
    for number, score in enumerate(scores, start=1):
        if not np.isfinite(score):
            raise InputError(
                f"{metric.title} is not defined on fold {number} of {len(scores)}: its rows lack a class of the "
                "target, or are all alike. So no trial can be compared with another. Lower train.folds, widen the "
                "window, or judge by another evaluate.primary, such as log_loss."
            )
    return float(np.mean(scores))


def _judge(spec: Train, params: dict[str, Any], data: Data, encoding: Encoding) -> Judged:
    y, p, sizes = [], [], []
    for fit, judge in data.folds:
        _insist_on_classes(data, fit)
        fitted = _fit(spec, params, data, encoding, fit)
        p.append(estimators.predict(fitted, data.x[judge], data.task))
        y.append(data.y[judge])
        sizes.append(len(judge))
    return Judged(np.concatenate(y), np.concatenate(p), sizes)


def _insist_on_classes(data: Data, fit: npt.NDArray[np.int64]) -> None:
    if data.task != "regression" and len(np.unique(data.y[fit])) < len(np.unique(data.y)):
        raise InputError(
            "a fold's earlier rows lack a class of the target, so nothing can be learned from them. "
            "Lower train.folds, widen the window, or give evaluate.threshold as a number."
        )


def _fit(spec: Train, params: dict[str, Any], data: Data, encoding: Encoding, rows: npt.NDArray[np.int64]) -> Any:
    estimator = estimators.build(spec, params, encoding)
    if not estimators.stops_early({**spec.params, **params}):
        return estimators.fit(estimator, data.x[rows], data.y[rows])
    # Rows are in time order: the last tenth is the latest.
    fit, early = np.split(rows, [int(len(rows) * 0.9)])
    return estimators.fit(estimator, data.x[fit], data.y[fit], (data.x[early], data.y[early]))


def _fit_all(spec: Train, params: dict[str, Any], data: Data, encoding: Encoding) -> Any:
    return _fit(spec, params, data, encoding, np.arange(len(data.y)))


def calibrate(kind: str, p: Floats, y: Floats) -> Calibration:
    """Learn a map from scores to probabilities; each class against the rest."""
    columns = p[:, None] if p.ndim == 1 else p
    maps = [_CALIBRATIONS[kind](column, y == (1 if p.ndim == 1 else k)) for k, column in enumerate(columns.T)]
    return Calibration(x=tuple(x for x, _ in maps), y=tuple(y for _, y in maps))


def _isotonic(p: Floats, positive: npt.NDArray[np.bool_]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(p, positive.astype(float))
    # A step between scores that float32 can hardly tell apart would make the graph's rounding visible.
    x, step = np.unique(np.round(fitted.X_thresholds_, 4), return_inverse=True)
    y = np.bincount(step, weights=fitted.y_thresholds_) / np.bincount(step)
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).astype(int))
    return tuple(map(float, x[kept])), tuple(map(float, y[kept]))


def _sigmoid(p: Floats, positive: npt.NDArray[np.bool_]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Platt's map (a logistic regression on the score's log odds), kept as points close together."""
    from sklearn.linear_model import LogisticRegression

    def log_odds(scores: Floats) -> Floats:
        clipped = np.clip(scores, 1e-6, 1 - 1e-6)
        return np.log(clipped / (1 - clipped))

    fitted = LogisticRegression(C=1e6).fit(log_odds(p)[:, None], positive)
    points = 1 / (1 + np.exp(-np.linspace(-14, 14, MOST_POINTS)))
    return tuple(map(float, points)), tuple(map(float, fitted.predict_proba(log_odds(points)[:, None])[:, 1]))


_CALIBRATIONS = {"isotonic": _isotonic, "sigmoid": _sigmoid}


def choose_threshold(wish: float | Maximise | AtPrecision | AtRecall, p: Floats, y: Floats) -> float:
    """The probability from which on a row counts as positive, chosen on rows that took no part in the fit.

    On these rows `p >= threshold` holds for exactly those that the choice was about. Raises `InputError` when they are
    all of one class, or when no threshold reaches the wished precision.
    """
    if isinstance(wish, float):
        return wish
    _insist_on_both(y)
    order = np.argsort(-p, kind="stable")
    ranked, hits = p[order], np.cumsum(y[order])
    last = np.append(np.diff(ranked) != 0, True)
    scores, tp = ranked[last], hits[last]
    flagged = np.flatnonzero(last) + 1.0
    positives, n = y.sum(), len(y)
    precision, recall = tp / flagged, tp / positives
    match wish:
        case Maximise(maximise="f1"):
            best = int(np.argmax(2 * tp / (flagged + positives)))
        case Maximise(maximise="accuracy"):
            best = int(np.argmax(n - positives - flagged + 2 * tp))
        case Maximise():
            best = int(np.argmax(recall + (n - positives - flagged + tp) / (n - positives)))
        case AtRecall():
            best = int(np.argmax(recall >= wish.recall))
        case AtPrecision():
            reached = np.flatnonzero(precision >= wish.precision)
            if not len(reached):
                raise InputError(
                    f"no threshold reaches a precision of {wish.precision} on the training folds; the highest is "
                    f"{precision.max():.3f} (params.yaml: evaluate.threshold). Ask for less."
                )
            best = int(reached[-1])
    return _between(float(scores[best]), float(scores[best + 1]) if best + 1 < len(scores) else 0.0)


def _between(score: float, next_lower: float) -> float:
    """A little below a score, and at most half way to the next lower one."""
    threshold = max(score - MARGIN, (score + next_lower) / 2)
    return threshold if next_lower < threshold < score else score


def _insist_on_both(y: Floats) -> None:
    if not 0 < y.sum() < len(y):
        missing = "negative" if y.sum() else "positive"
        raise InputError(
            f"no threshold can be chosen: the later rows of the training folds hold no {missing} one. Lower "
            "train.folds, widen the window, or give evaluate.threshold as a number."
        )
