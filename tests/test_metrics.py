"""Our metrics against scikit-learn's, and what no metric may depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from lockstep.statistics.metrics import METRICS, metrics_for
from lockstep.statistics.totals import Scored

SKLEARN = {
    "roc_auc": lambda y, p, t: sk.roc_auc_score(y, p),
    "average_precision": lambda y, p, t: sk.average_precision_score(y, p),
    "log_loss": lambda y, p, t: sk.log_loss(y, np.clip(p, 1e-6, 1 - 1e-6)),
    "brier": lambda y, p, t: sk.brier_score_loss(y, p),
    "f1": lambda y, p, t: sk.f1_score(y, p >= t),
    "precision": lambda y, p, t: sk.precision_score(y, p >= t),
    "recall": lambda y, p, t: sk.recall_score(y, p >= t),
    "accuracy": lambda y, p, t: sk.accuracy_score(y, p >= t),
    "balanced_accuracy": lambda y, p, t: sk.balanced_accuracy_score(y, p >= t),
}
SKLEARN_CLASSES = {
    "log_loss": lambda y, p: sk.log_loss(y, np.clip(p, 1e-6, 1 - 1e-6)),
    "brier": lambda y, p: sk.brier_score_loss(y, p, scale_by_half=False),
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(axis=1)),
    "f1_macro": lambda y, p: sk.f1_score(y, p.argmax(axis=1), average="macro"),
    "roc_auc_ovr": lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr", average="macro"),
}
SKLEARN_NUMBERS = {
    "mae": sk.mean_absolute_error,
    "rmse": sk.root_mean_squared_error,
    "r2": sk.r2_score,
}


def binary(seed: int, n: int = 400, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    p = random.random(n)
    y = (random.random(n) < p).astype(float)
    return y, np.round(p, 1) if ties else p


def classes(seed: int, n: int = 300, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(k), n)
    return np.array([random.choice(k, p=row) for row in p], float), p


@pytest.mark.parametrize("ties", [False, True], ids=["distinct scores", "ties"])
@pytest.mark.parametrize("name", SKLEARN)
def test_a_binary_metric_equals_scikit_learn(name: str, ties: bool) -> None:
    y, p = binary(1, ties=ties)
    for threshold in (0.3, 0.5):
        assert METRICS[name](y, p, threshold) == pytest.approx(SKLEARN[name](y, p, threshold), abs=1e-9)


@pytest.mark.parametrize("name", SKLEARN_CLASSES)
def test_a_multiclass_metric_equals_scikit_learn(name: str) -> None:
    y, p = classes(2)
    if name == "log_loss":  # scikit-learn wants rows that sum to 1; clipping at 1e-6 moves them by less
        assert METRICS[name](y, p) == pytest.approx(SKLEARN_CLASSES[name](y, p), abs=1e-5)
    else:
        assert METRICS[name](y, p) == pytest.approx(SKLEARN_CLASSES[name](y, p), abs=1e-9)


@pytest.mark.parametrize("name", SKLEARN_NUMBERS)
def test_a_regression_metric_equals_scikit_learn(name: str) -> None:
    random = np.random.default_rng(3)
    y = 1e6 + random.normal(size=500)  # far from zero: the variance must survive the subtraction of squares
    p = y + random.normal(size=500)
    assert METRICS[name](y, p) == pytest.approx(SKLEARN_NUMBERS[name](y, p), rel=1e-9)


def test_every_metric_is_checked_against_scikit_learn() -> None:
    assert set(METRICS) == set(SKLEARN) | set(SKLEARN_CLASSES) | set(SKLEARN_NUMBERS)


def test_metrics_for_lists_what_each_task_may_use() -> None:
    assert set(metrics_for("binary")) == set(SKLEARN)
    assert set(metrics_for("multiclass")) == set(SKLEARN_CLASSES)
    assert set(metrics_for("regression")) == set(SKLEARN_NUMBERS)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_metric_defines_itself_in_words_and_says_when_it_is_nan(metric) -> None:
    assert "nan" in metric.definition
    assert f"{'higher' if metric.higher_is_better else 'lower'} is better" in metric.definition
    assert metric.title


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30), st.randoms())
def test_the_order_of_rows_does_not_matter(rows: list[tuple[bool, int]], shuffler) -> None:
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    for name in metrics_for("binary"):
        first, second = (METRICS[name]([r[0] for r in some], [r[1] / 5 for r in some]) for some in (rows, shuffled))
        assert first == pytest.approx(second, abs=1e-12, nan_ok=True)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=40))
def test_a_value_is_within_the_bounds_or_nan(rows: list[tuple[bool, int]]) -> None:
    for name in metrics_for("binary"):
        value = METRICS[name]([r[0] for r in rows], [r[1] / 20 for r in rows])
        low, high = METRICS[name].bounds
        assert math.isnan(value) or low <= value <= high + 1e-12


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "recall", "balanced_accuracy"])
def test_without_positives_it_is_nan(name: str) -> None:
    assert math.isnan(METRICS[name]([0, 0], [0.1, 0.9]))


def test_precision_is_nan_when_no_row_is_called_positive() -> None:
    assert math.isnan(METRICS["precision"]([0, 1], [0.1, 0.2]))


def test_r2_is_nan_when_the_target_does_not_vary() -> None:
    assert math.isnan(METRICS["r2"]([0.1, 0.1, 0.1], [0.1, 0.2, 0.3]))


@pytest.mark.parametrize("name", metrics_for("binary"))
def test_without_rows_a_metric_is_nan(name: str) -> None:
    assert math.isnan(METRICS[name]([], []))


def test_one_sure_mistake_costs_a_bounded_log_loss() -> None:
    assert METRICS["log_loss"]([1.0], [0.0]) == pytest.approx(-math.log(1e-6))


def test_a_class_that_does_not_occur_is_left_out_of_the_mean() -> None:
    y, p = classes(4, k=3)
    wider = np.column_stack([p * 0.999, np.full(len(y), 0.001)])
    for name in ("roc_auc_ovr", "f1_macro"):
        assert METRICS[name](y, wider) == pytest.approx(METRICS[name](y, p))


def test_a_prediction_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        METRICS["brier"]([0, 1], [0.5, np.nan])


def test_predictions_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 outcomes but 1 predictions"):
        METRICS["brier"]([0, 1], [0.5])


def every_case() -> list[tuple[str, np.ndarray, np.ndarray]]:
    y, p = binary(5, 600)
    yc, pc = classes(6, 600)
    return [
        *((name, y, p) for name in metrics_for("binary")),
        *((name, yc, pc) for name in metrics_for("multiclass")),
        *((name, y, p) for name in metrics_for("regression")),
    ]


@pytest.mark.parametrize(("name", "y", "p"), every_case())
def test_weighted_totals_of_blocks_are_the_metric_of_the_repeated_rows(name: str, y, p) -> None:
    metric, random = METRICS[name], np.random.default_rng(7)
    ids = random.integers(0, 20, len(y))
    weights = random.integers(0, 3, (2, 20)).astype(float)
    found = metric.value(metric.rows(Scored(y, p)).over(ids, 20)(weights))
    for weight, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(len(y)), weight[ids].astype(int))
        assert value == pytest.approx(metric(y[rows], p[rows]), abs=1e-9)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_counting_by_row_and_by_table_agree(name: str) -> None:
    y, p = binary(8, 300)
    ids = np.arange(300) % 30
    ranked = METRICS[name].rows(Scored(y, p, bins=16))
    weights = np.random.default_rng(9).integers(0, 3, (4, 30)).astype(float)
    assert (ranked._by_table(ids, 30)(weights) == ranked._by_row(ids)(weights)).all()


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_score_bins_are_fine_enough_for_the_spread(share: float) -> None:
    random = np.random.default_rng(10)
    y = (random.random(20_000) < share).astype(float)
    p = random.normal(size=20_000) + 1.5 * y
    ids, weights = random.integers(0, 60, len(y)), random.multinomial(60, np.full(60, 1 / 60), size=300).astype(float)
    for name in ("roc_auc", "average_precision"):
        binned, exact = (
            np.std(METRICS[name].value(METRICS[name].rows(Scored(y, p, bins=bins)).over(ids, 60)(weights)))
            for bins in (256, None)
        )
        assert binned == pytest.approx(exact, rel=0.02)
