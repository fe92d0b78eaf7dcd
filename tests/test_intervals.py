"""What an interval says, when it says nothing, and what it may not depend on."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lockstep.statistics.blocks import Blocks, blocks_of
from lockstep.statistics.intervals import (
    Interval,
    own_interval,
    own_intervals,
    p_value,
    paired_interval,
    paired_intervals,
    rounded,
    t_quantile,
    worth,
)
from lockstep.statistics.metrics import METRICS, metrics_for


def days_of(block: np.ndarray) -> Blocks:
    return blocks_of(len(block), times=np.datetime64("2013-08-01") + block)


def world(seed: int, days: int = 91, rows: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Outcome, predictions of two models, day of each row; days differ in their rate."""
    random = np.random.default_rng(seed)
    day = np.sort(random.integers(0, days, rows))
    signal, effect = random.normal(size=rows), random.normal(0, 0.5, days)[day]
    y = (random.random(rows) < 1 / (1 + np.exp(-signal - effect + 1))).astype(float)
    better, worse = (1 / (1 + np.exp(-signal - random.normal(0, noise, rows) + 1)) for noise in (0.2, 1.0))
    return y, better, worse, day


def test_the_interval_is_the_estimate_and_t_times_the_bootstrap_error() -> None:
    y, p, _, day = world(1)
    values = np.bincount(day, weights=(p - y) ** 2) / 1.0
    counts = np.bincount(day)
    drawn = np.random.default_rng(2).integers(0, 91, (4000, 91))
    samples = values[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    tells = np.bincount(day, weights=(y - y.mean()) ** 2)
    degrees = tells.sum() ** 2 / (tells**2).sum() - 1
    interval = own_interval("brier", y, p, blocks_of(len(y), groups=day))
    assert interval.error == pytest.approx(samples.std() * math.sqrt(91 / 90), rel=0.06)
    assert interval.degrees == pytest.approx(degrees)
    assert interval.high - interval.value == pytest.approx(stats.t.ppf(0.975, degrees) * interval.error)
    assert interval.value - interval.low == pytest.approx(stats.t.ppf(0.975, degrees) * interval.error)
    assert interval.value == METRICS["brier"](y, p)


def test_the_error_of_a_mean_is_the_textbook_one() -> None:
    y = np.random.default_rng(3).normal(size=900)
    interval = own_interval("mae", np.abs(y), np.zeros(900), blocks_of(900))
    assert interval.error == pytest.approx(np.abs(y).std(ddof=1) / 30, rel=0.06)
    assert interval.kind == "row"
    assert interval.blocks == 900


@pytest.mark.parametrize("degrees", [9, 12, 91, 100_000])
def test_our_t_quantile_is_scipys(degrees: int) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(stats.t.ppf(0.975, degrees))


def test_the_p_value_agrees_with_the_interval() -> None:
    interval = Interval(value=2.0, low=-1.0, high=3.0, blocks=10, kind="day", error=1.0, degrees=9)
    assert p_value(interval) == pytest.approx(2 * stats.t.sf(2.0, 9))
    on_the_edge = Interval(value=t_quantile(0.975, 9), blocks=10, kind="day", error=1.0, degrees=9)
    assert p_value(on_the_edge) == pytest.approx(0.05)
    assert p_value(Interval(value=0.0, blocks=10, kind="day", error=0.0, degrees=9)) == 1.0
    assert p_value(Interval(value=0.1, blocks=10, kind="day", error=0.0, degrees=9)) == 0.0
    assert p_value(Interval(value=0.1, blocks=3, kind="day", note="too few to say")) is None


def test_groups_are_worth_their_number_when_equal_and_less_when_a_few_hold_most_rows() -> None:
    equal, skewed = np.repeat(np.arange(20), 50), np.repeat(np.arange(20), [1000] + [10] * 19)
    assert blocks_of(1000, groups=equal).worth == pytest.approx(20)
    assert blocks_of(1190, groups=skewed).worth == pytest.approx(1190**2 / (1000**2 + 19 * 100))
    assert blocks_of(1190, groups=skewed).count == 20


def test_blocks_are_worth_less_when_a_few_hold_most_of_a_rare_class() -> None:
    day, rows = np.repeat(np.arange(20), 100), np.arange(2000) % 100
    even, uneven = (rows < 2).astype(float), (rows < np.where(day < 2, 11, 1)).astype(float)
    blocks = days_of(day)
    for metric in ("roc_auc", "log_loss", "f1", "f1_macro"):
        assert worth(METRICS[metric], even, blocks) == pytest.approx(20)
        assert worth(METRICS[metric], uneven, blocks) == pytest.approx(40**2 / (2 * 11**2 + 18), rel=0.04)
    assert worth(METRICS["average_precision"], uneven, blocks) == pytest.approx(20)
    assert worth(METRICS["mae"], uneven, blocks) == pytest.approx(20)


def test_rows_by_themselves_are_worth_about_as_much_as_the_rarer_class_has() -> None:
    y = (np.arange(10_000) < 100).astype(float)
    assert worth(METRICS["roc_auc"], y, blocks_of(10_000)) == pytest.approx(100, rel=0.03)
    assert worth(METRICS["roc_auc"], np.arange(10_000) % 2.0, blocks_of(10_000)) == pytest.approx(10_000)


def test_several_classes_tell_as_two_do_when_one_of_them_never_occurs() -> None:
    y, _, _, day = world(18)
    assert worth(METRICS["log_loss"], 2 * y, days_of(day)) == pytest.approx(worth(METRICS["brier"], y, days_of(day)))


def test_weeks_are_worth_their_number() -> None:
    y, _, _, day = world(19)
    assert worth(METRICS["log_loss"], y, days_of(day).weekly()) == 13


def test_a_rare_class_on_one_day_is_too_few_to_say() -> None:
    _, p, q, day = world(17, days=20)
    rare = ((day == 3) & (np.cumsum(day == 3) <= 40)).astype(float)
    interval = paired_interval("brier", rare, p, q, days_of(day))
    assert interval.low is None
    assert interval.note == "too few to say: one day holds nearly all rows of a class"


def test_one_group_with_nearly_all_rows_is_too_few_to_say() -> None:
    groups = np.repeat(np.arange(20), [1000] + [10] * 19)
    y = np.random.default_rng(0).normal(size=1190)
    interval = own_interval("mae", y, np.zeros(1190), blocks_of(1190, groups=groups))
    assert interval.low is None
    assert interval.note == "too few to say: one group holds nearly all rows"


def test_days_that_move_together_make_a_wider_interval_than_rows_do() -> None:
    y, p, _, day = world(4, days=40, rows=20_000)
    by_day, by_row = (own_interval("log_loss", y, p, b) for b in (blocks_of(len(y), groups=day), blocks_of(len(y))))
    assert by_day.error > 1.5 * by_row.error


def test_a_models_own_interval_draws_weeks_and_the_difference_draws_days() -> None:
    y, p, q, day = world(5)
    own, pair = own_interval("roc_auc", y, p, days_of(day)), paired_interval("roc_auc", y, p, q, days_of(day))
    assert (own.blocks, own.kind) == (13, "week")
    assert (pair.blocks, pair.kind) == (91, "day")


def test_weeks_widen_the_interval_when_days_resemble_their_neighbours() -> None:
    random = np.random.default_rng(6)
    levels = np.convolve(random.normal(size=406), np.ones(7) / 7, mode="valid")
    day = np.repeat(np.arange(400), 20)
    p = levels[day] + random.normal(0, 0.1, len(day)) + 3
    weeks = own_interval("mae", np.zeros(len(day)), p, days_of(day))
    apart = own_interval("mae", np.zeros(len(day)), p, blocks_of(len(day), groups=day))
    assert weeks.error > 1.7 * apart.error


def test_a_resampled_week_is_seven_days_in_a_row() -> None:
    weeks = days_of(np.arange(71)).weekly()
    assert weeks.count == 10
    for row in np.concatenate(list(weeks.weights(resamples=50))):
        assert row.sum() == 70
        assert np.abs(np.diff(row)).sum() <= 20  # ten weeks begin and end at most once each


def test_the_number_of_weeks_counts_only_whole_weeks_that_hold_rows() -> None:
    assert days_of(np.arange(92)).weekly().count == 13
    assert days_of(np.array([0, 1, 2, 90])).weekly().count == 2
    assert days_of(np.arange(92)[np.arange(92) % 7 < 5]).weekly().count == 13
    assert days_of(np.arange(5)).weekly().count == 0


def test_weights_do_not_depend_on_what_else_is_drawn() -> None:
    blocks = blocks_of(50)
    first, again = (np.concatenate(list(blocks.weights(resamples=n))) for n in (300, 600))
    assert (first == again[:300]).all()
    assert (first.sum(axis=1) == 50).all()


def test_a_better_model_shows_and_the_difference_is_challenger_minus_champion() -> None:
    y, better, worse, day = world(7)
    found = paired_intervals(["roc_auc", "log_loss"], y, better, worse, days_of(day))
    assert found["roc_auc"].low > 0
    assert found["log_loss"].high < 0
    turned = paired_interval("roc_auc", y, worse, better, days_of(day))
    assert turned.value == -found["roc_auc"].value
    assert turned.low == pytest.approx(-found["roc_auc"].high)


@pytest.mark.parametrize("kind", ["day", "group", "row"])
def test_identical_predictions_differ_by_exactly_zero(kind: str) -> None:
    y, p, _, day = world(8, rows=1500)
    blocks = {"day": days_of(day), "group": blocks_of(len(y), groups=day % 15), "row": blocks_of(len(y))}[kind]
    for interval in paired_intervals(metrics_for("binary"), y, p, p.copy(), blocks).values():
        assert (interval.value, interval.low, interval.high) == (0, 0, 0)
    for interval in paired_intervals(metrics_for("regression"), y, p, p.copy(), blocks).values():
        assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_pairing_cancels_what_moves_both_models() -> None:
    y, p, _, day = world(9, rows=20_000)
    almost = np.clip(p + np.random.default_rng(9).normal(0, 0.001, len(p)), 0, 1)
    pair = paired_interval("log_loss", y, almost, p, days_of(day))
    assert pair.error < own_interval("log_loss", y, p, days_of(day)).error / 20


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter_when_blocks_go_with_them(seed: int) -> None:
    y, p, q, day = world(10, rows=800, days=30)
    turned = np.random.default_rng(seed).permutation(len(y))
    metrics = metrics_for("binary")
    first = paired_intervals(metrics, y, p, q, days_of(day))
    second = paired_intervals(metrics, y[turned], p[turned], q[turned], days_of(day[turned]))
    for name in metrics:
        assert first[name].low == pytest.approx(second[name].low, abs=1e-12)
        assert first[name].high == pytest.approx(second[name].high, abs=1e-12)


def test_metrics_asked_together_and_alone_get_the_same_interval() -> None:
    y, p, _, day = world(11)
    together = own_intervals(metrics_for("binary"), y, p, days_of(day), threshold=0.3)
    for name, interval in together.items():
        assert interval == own_interval(name, y, p, days_of(day), threshold=0.3)


def test_nine_blocks_are_too_few_to_say() -> None:
    y, p, q, day = world(12, days=9)
    interval = paired_interval("roc_auc", y, p, q, days_of(day))
    assert interval.note == "too few to say: 9 days, fewer than 10"
    assert (interval.low, interval.high) == (None, None)
    assert interval.value is not None


def test_fewer_than_thirty_positives_are_too_few_to_say() -> None:
    _, p, _, day = world(13)
    y = (np.arange(len(p)) < 29).astype(float)
    assert own_interval("brier", y, p, days_of(day)).note == "too few to say: 29 rows of a class, fewer than 30"
    assert own_interval("brier", 1 - y, p, days_of(day)).low is None
    y[29] = 1
    assert own_interval("brier", y, p, days_of(day)).low is not None


def test_a_rare_class_silences_only_metrics_that_average_over_classes() -> None:
    random = np.random.default_rng(14)
    y = np.array([0] * 300 + [1] * 300 + [2] * 5, float)
    found = own_intervals(metrics_for("multiclass"), y, random.dirichlet(np.ones(3), 605), blocks_of(605))
    assert {name for name, interval in found.items() if interval.low is None} == {"roc_auc_ovr", "f1_macro"}
    assert found["f1_macro"].note == "too few to say: 5 rows of a class, fewer than 30"


def test_an_undefined_metric_says_so() -> None:
    interval = own_interval("roc_auc", np.ones(100), np.full(100, 0.5), blocks_of(100))
    assert interval == Interval(value=None, blocks=100, kind="row", note="ROC AUC is not defined on these rows")
    assert interval.document() == {"value": None, "low": None, "high": None, "blocks": 100, "note": interval.note}


def test_a_perfect_score_is_not_a_certain_one() -> None:
    y = np.arange(100) % 2.0
    interval = own_interval("accuracy", y, y, blocks_of(100))
    assert interval.value == 1
    assert interval.low is None
    assert interval.note == "too few to say: accuracy is 1 in every resample"


def test_a_constant_model_has_exactly_no_skill() -> None:
    y = np.arange(100) % 2.0
    interval = own_interval("roc_auc", y, np.full(100, 0.3), blocks_of(100))
    assert (interval.value, interval.low, interval.high) == (0.5, 0.5, 0.5)


def test_a_metric_undefined_in_many_resamples_has_no_interval() -> None:
    y = np.concatenate([np.ones(40), np.zeros(400)])
    blocks = blocks_of(440, groups=np.concatenate([np.zeros(40, int), np.arange(400) % 11 + 1]))
    interval = own_interval("recall", y, np.full(440, 0.6), blocks)
    assert interval.value == 1
    assert interval.low is None
    assert "not defined in many resamples" in interval.note


def test_ends_stay_within_the_metrics_range() -> None:
    y = np.concatenate([np.ones(31), np.zeros(31)])
    p = np.concatenate([np.linspace(0.4, 1, 31), np.linspace(0, 0.42, 31)])
    interval = own_interval("roc_auc", y, p, blocks_of(62))
    assert interval.high == 1
    assert interval.low < interval.value < 1


def test_a_prediction_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        own_interval("brier", [0.0, 1.0], [0.5, np.inf], blocks_of(2))


def test_blocks_are_calendar_days_groups_or_rows() -> None:
    times = np.array(["2013-01-05T23:59", "2013-01-01T00:00", "2013-01-05T00:00"], "datetime64[us]")
    days = blocks_of(3, times=times)
    assert days.ids.tolist() == [1, 0, 1]
    assert (days.count, days.days.tolist()) == (2, [0, 4])
    groups = blocks_of(4, groups=np.array(["b", None, "a", float("nan")], object))
    assert groups.ids.tolist() == [2, 0, 1, 0]
    assert blocks_of(3).ids.tolist() == [0, 1, 2]


def test_a_row_without_a_time_belongs_to_no_day() -> None:
    with pytest.raises(ValueError, match="without a time"):
        blocks_of(1, times=np.array(["NaT"], "datetime64[us]"))


def test_some_rows_keep_their_days_and_lose_empty_ones() -> None:
    days = days_of(np.array([0, 3, 3, 9, 20]))
    taken = days.take(np.array([False, True, False, False, True]))
    assert taken.ids.tolist() == [0, 1]
    assert taken.days.tolist() == [0, 17]
    weeks = days.weekly().take(np.array([True, True, True, True, False]))
    assert (weeks.kind, weeks.count) == ("week", 1)


@pytest.mark.parametrize(
    ("value", "half", "expected"),
    [
        (0.68551234, 0.0121, (0.686, 0.673, 0.698)),
        (1234.567, 98.7, (1235.0, 1136.0, 1333.0)),
        (123456.0, 2345.0, (123500.0, 121100.0, 125800.0)),
        (0.0, 1e-9, (0.0, -1e-9, 1e-9)),
    ],
)
def test_numbers_are_rounded_to_two_digits_of_the_half_width(value: float, half: float, expected: tuple) -> None:
    short = rounded(Interval(value=value, low=value - half, high=value + half, blocks=13, kind="week"))
    assert (short.value, short.low, short.high) == pytest.approx(expected)


def test_without_an_interval_three_digits_stay() -> None:
    assert rounded(Interval(value=0.123456, blocks=3, kind="day", note="too few")).value == 0.123
    assert str(Interval(value=0.123456, blocks=3, kind="day", note="too few")) == "0.123 (too few)"


@settings(deadline=None, max_examples=200)
@given(st.floats(-1e200, 1e200) | st.sampled_from([math.nan, math.inf]), st.floats(0, 1e12))
def test_a_rounded_interval_is_always_json(value: float, half: float) -> None:
    low, high = (value - half, value + half) if math.isfinite(value) else (None, None)
    document = Interval(value=value, low=low, high=high, blocks=13, kind="week").document()
    json.dumps(document, allow_nan=False)
    assert "-0.0" not in [str(number) for number in document.values()]


PROGRAM = """
import sys, numpy as np
sys.path.insert(0, sys.argv[1])
from lockstep.statistics.blocks import blocks_of
from lockstep.statistics.intervals import own_intervals
random = np.random.default_rng(1)
p = random.random(3000)
y = (random.random(3000) < p).astype(float)
blocks = blocks_of(3000, times=np.datetime64("2013-01-01") + np.arange(3000) // 30)
found = own_intervals(["roc_auc", "average_precision", "log_loss", "f1"], y, p, blocks)
print(repr(found), "scipy.stats" in sys.modules)
"""


def test_hash_seeds_and_threads_change_no_bit_and_scipy_stats_is_not_imported() -> None:
    source = str(Path(__file__).parents[1] / "src")
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, source],
            env=os.environ | {"PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for seed, threads in (("0", "1"), ("7", "2"))
    }
    assert len(outputs) == 1
    assert outputs.pop().strip().endswith(b"False")


def test_four_metrics_of_two_models_on_84_000_rows_take_about_a_second() -> None:
    y, p, q, day = world(15, days=92, rows=84_000)
    blocks = days_of(day)
    start = time.process_time()
    for predictions in (p, q):
        own_intervals(["roc_auc", "average_precision", "log_loss", "brier"], y, predictions, blocks)
    assert time.process_time() - start < 2  # measured: 0.2 s on a quiet machine


def test_many_row_blocks_stay_within_a_few_seconds() -> None:
    y, p, _, _ = world(16, rows=50_000)
    start = time.process_time()
    own_intervals(["roc_auc", "average_precision", "log_loss", "brier"], y, p, blocks_of(len(y)))
    assert time.process_time() - start < 5  # measured: 0.5 s on a quiet machine
