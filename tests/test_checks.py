"""Checks of a table before any model sees it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lockstep.rows.checks import area, separation

RANDOM = np.random.default_rng(3)
OUTCOME = (RANDOM.random(4000) < 0.3).astype(float)
HALVES = RANDOM.random(4000) < 0.5


def test_the_area_is_scikit_learns_with_and_without_ties() -> None:
    for scores in (RANDOM.random(4000), RANDOM.integers(0, 5, 4000).astype(float)):
        assert area(scores, OUTCOME) == pytest.approx(roc_auc_score(OUTCOME, scores), abs=1e-12)


def test_noise_and_unique_labels_do_not_separate() -> None:
    assert separation(RANDOM.random(4000), OUTCOME, HALVES) < 0.6
    assert separation(np.array([f"id{number}" for number in range(4000)], dtype=object), OUTCOME, HALVES) < 0.6


@pytest.mark.parametrize(
    "values",
    [
        OUTCOME + RANDOM.normal(0, 0.05, 4000),
        -OUTCOME,
        np.abs(RANDOM.random(4000) - 0.5) * (1 - OUTCOME) + OUTCOME,
        np.where(OUTCOME == 1, "left", "stays").astype(object),
        np.where(OUTCOME == 1, np.nan, 1.0),
        np.where(OUTCOME == 1, np.datetime64("2024-01-01"), np.datetime64("NaT")).astype("datetime64[us]"),
    ],
)
def test_a_column_that_tells_the_outcome_separates_whatever_its_type(values: np.ndarray) -> None:
    assert separation(values, OUTCOME, HALVES) > 0.99


def test_a_single_outcome_has_no_area() -> None:
    assert np.isnan(area(np.arange(3.0), np.ones(3)))
