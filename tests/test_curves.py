"""Points that plots draw: few, true, and the same every time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from lockstep.statistics.curves import calibration, precision_recall, predicted_against_observed, roc


def scored(n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    p = random.beta(1, 4, n)
    return (random.random(n) < p).astype(float), p


def test_a_calibrated_model_is_observed_as_predicted() -> None:
    for row in calibration(*scored()):
        assert row["observed"] == pytest.approx(row["predicted"], abs=0.04)


def test_calibration_bins_hold_all_rows_in_about_equal_numbers() -> None:
    counts = [row["n"] for row in calibration(*scored())]
    assert counts == [2000] * 10


def test_equal_probabilities_share_a_calibration_bin() -> None:
    assert calibration([0, 1, 0, 1], [0.3] * 4) == [{"predicted": 0.3, "observed": 0.5, "n": 4}]


def test_with_several_classes_the_likeliest_is_judged() -> None:
    rows = calibration([0, 1], [[0.7, 0.3], [0.7, 0.3]])
    assert rows == [{"predicted": 0.7, "observed": 0.5, "n": 2}]


def test_the_roc_curve_keeps_its_ends_and_its_area_with_200_points() -> None:
    y, p = scored()
    rows = roc(y, p)
    assert len(rows) <= 200
    assert (rows[0]["fpr"], rows[0]["tpr"]) == (0, 0)
    assert (rows[-1]["fpr"], rows[-1]["tpr"]) == (1, 1)
    area = np.trapezoid([row["tpr"] for row in rows], [row["fpr"] for row in rows])
    assert area == pytest.approx(sk.roc_auc_score(y, p), abs=1e-3)


def test_each_point_is_on_the_curve_at_its_threshold() -> None:
    y, p = scored(500)
    for row in roc(y, p)[1:]:
        called = p >= row["threshold"] - 1e-6
        assert row["tpr"] == pytest.approx((called & (y == 1)).sum() / (y == 1).sum(), abs=0.01)
    for row in precision_recall(y, p):
        called = p >= row["threshold"] - 1e-6
        assert row["precision"] == pytest.approx((y[called] == 1).mean(), abs=0.01)


def test_the_precision_recall_curve_ends_at_the_share_of_positives() -> None:
    y, p = scored()
    rows = precision_recall(y, p)
    assert len(rows) <= 200
    assert rows[-1]["recall"] == 1
    assert rows[-1]["precision"] == pytest.approx(y[p >= p[y == 1].min()].mean(), abs=0.01)


def test_a_curve_that_is_not_defined_has_no_points() -> None:
    assert roc([1, 1], [0.1, 0.2]) == []
    assert precision_recall([0, 0], [0.1, 0.2]) == []
    assert calibration([], []) == []
    assert roc([], []) == []


def test_regression_bins_give_the_mean_error_where_it_happens() -> None:
    y = np.arange(100.0)
    rows = predicted_against_observed(y, y + 3, bins=4)
    assert [row["error"] for row in rows] == [3.0] * 4
    assert all(row["predicted"] == row["observed"] + 3 for row in rows)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1000)), max_size=400), st.randoms())
def test_curves_are_json_and_do_not_depend_on_the_order_of_rows(rows: list[tuple[bool, int]], shuffler) -> None:
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    for curve in (calibration, roc, precision_recall, predicted_against_observed):
        first, second = (
            curve(np.array([r[0] for r in some], float), np.array([r[1] / 1000 for r in some]))
            for some in (rows, shuffled)
        )
        assert first == second
        json.dumps(first, allow_nan=False)
        assert len(first) <= 200
