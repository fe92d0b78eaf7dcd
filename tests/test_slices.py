"""Slices: every row in one of them, the small ones silent, and words that survive looking at many."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.statistics.blocks import blocks_of
from lockstep.statistics.intervals import own_interval
from lockstep.statistics.slices import MISSING, holm, names_of, slices_of


def world(n: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    p = random.random(n)
    return (random.random(n) < p).astype(float), p, np.sort(random.integers(0, 91, n))


def test_a_slice_has_the_metrics_of_its_own_rows_and_blocks() -> None:
    y, p, day = world()
    origin = np.array(["EWR", "JFK", "LGA"], object)[np.arange(len(y)) % 3]
    blocks = blocks_of(len(y), times=np.datetime64("2013-08-01") + day)
    [found] = slices_of(["roc_auc", "brier"], y, p, blocks, {"origin": origin}, threshold=0.4)
    assert [each.value for each in found.slices] == ["EWR", "JFK", "LGA"]
    here = origin == "JFK"
    assert found.slices[1].rows == here.sum()
    assert found.slices[1].metrics["brier"] == own_interval("brier", y[here], p[here], blocks.take(here))
    assert found.slices[1].metrics["brier"].kind == "week"


def test_one_slice_of_everything_is_the_whole() -> None:
    y, p, day = world()
    blocks = blocks_of(len(y), times=np.datetime64("2013-08-01") + day)
    [found] = slices_of(["log_loss"], y, p, blocks, {"all": np.full(len(y), "x", object)})
    assert found.slices[0].metrics["log_loss"] == own_interval("log_loss", y, p, blocks)


def test_missing_values_are_a_slice() -> None:
    y, p, _ = world(6)
    values = np.array(["a", None, "b", float("nan"), "a", None], object)
    [found] = slices_of(["brier"], y, p, blocks_of(6), {"c": values})
    assert {each.value: each.rows for each in found.slices} == {"a": 2, "b": 1, MISSING: 3}


def test_a_slice_with_too_few_rows_keeps_its_estimate_and_says_so() -> None:
    y, p, _ = world(400)
    rare = np.where(np.arange(400) < 20, "rare", "common").astype(object)
    [found] = slices_of(["brier"], y, p, blocks_of(400), {"c": rare})
    common, small = found.slices
    assert common.metrics["brier"].low is not None
    assert small.metrics["brier"].low is None
    assert small.metrics["brier"].note.startswith("too few to say")
    assert small.metrics["brier"].value is not None


def test_of_many_values_the_largest_are_kept_and_the_rest_counted() -> None:
    y, p, _ = world(60)
    values = np.array([f"v{i:02}" for i in range(10)] + ["big"] * 30 + ["medium"] * 20, object)
    [found] = slices_of(["brier"], y, p, blocks_of(60), {"c": values}, most=3)
    assert [each.value for each in found.slices] == ["big", "medium", "v00"]
    assert (found.left_out, found.rows_left_out) == (9, 9)


def test_numbers_are_named_as_people_write_them_and_sort_as_numbers() -> None:
    names, ids = names_of(np.array([10.0, 2.0, 2.5, np.nan, 2.0]))
    assert names == ["2", "2.5", "10", MISSING]
    assert ids.tolist() == [2, 0, 1, 3, 0]
    assert names_of(np.array([True, False, True]))[0] == ["0", "1"]


def test_times_are_named_and_a_missing_one_too() -> None:
    names, _ = names_of(np.array(["2013-01-01", "NaT"], "datetime64[D]"))
    assert names == [MISSING, "2013-01-01"]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=60))
def test_every_row_is_in_one_slice(values: list[str | None]) -> None:
    y, p, _ = world(len(values))
    [found] = slices_of(["brier"], y, p, blocks_of(len(values)), {"c": np.array(values, object)})
    assert sum(each.rows for each in found.slices) == len(values)
    json.dumps(found.document(), allow_nan=False)


def test_the_document_names_value_rows_and_interval() -> None:
    y, p, _ = world(400)
    [found] = slices_of(["brier"], y, p, blocks_of(400), {"c": np.full(400, "x", object)})
    assert found.document()["slices"]["x"]["rows"] == 400
    assert set(found.document()["slices"]["x"]["brier"]) == {"value", "low", "high", "blocks"}


def test_holm_is_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([None, None]) == [None, None]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_keeps_their_order_and_treats_the_smallest_as_bonferroni_does(
    values: list[float],
) -> None:
    adjusted = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, adjusted, strict=True))
    assert min(adjusted) == min(1.0, min(values) * len(values))
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
