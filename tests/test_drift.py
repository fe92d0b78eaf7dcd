from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lockstep.report.change import Drift
from lockstep.report.drift import drifts, ks_distance, ks_noise, total_variation, training_rows, variation_noise
from lockstep.spec import Contract

COLUMNS: dict[str, Any] = {
    "id": {"type": "integer", "feature": False},
    "when": {"type": "datetime", "parts": ["hour"]},
    "age": {"type": "number", "missing": "allowed"},
    "city": {"type": "category", "missing": "allowed"},
    "member": {"type": "boolean", "missing": "allowed"},
    "email": {"type": "category", "private": True, "missing": "allowed"},
}


def a_contract(**columns: Any) -> Contract:
    target = {"column": "left", "task": "binary", "positive": True}
    return Contract.model_validate({"key": ["id"], "time": "when", "target": target, "columns": COLUMNS | columns})


def a_table(rows: int = 2000, seed: int = 0, **columns: Any) -> pa.Table:
    random = np.random.default_rng(seed)
    usual: dict[str, Any] = {
        "id": np.arange(rows),
        "when": np.datetime64("2024-01-01", "us") + random.integers(0, 90, rows).astype("timedelta64[D]"),
        "age": random.normal(45, 12, rows),
        "city": random.choice(["Bonn", "Kiel", "Ulm"], rows),
        "member": random.random(rows) < 0.3,
        "email": random.choice(["a@x", "b@x"], rows),
        "left": random.random(rows) < 0.2,
    }
    return pa.table(usual | columns)


def found(before: pa.Table, after: pa.Table, *private: str, **columns: Any) -> dict[str, Drift]:
    return {drift.column: drift for drift in drifts(before, after, a_contract(**columns), frozenset(private))}


def test_a_table_has_not_drifted_from_itself() -> None:
    same = found(a_table(), a_table())
    assert list(same) == ["id", "when", "age", "city", "member", "left"]
    assert all(drift.distance == 0 and not drift.drifted and drift.before == drift.after for drift in same.values())


def test_two_samples_of_one_world_have_not_drifted_not_even_in_a_column_of_many_labels() -> None:
    random = np.random.default_rng(5)
    many = [random.integers(0, 1500, 2000).astype(str) for _ in range(2)]
    drifted = found(a_table(seed=1, city=many[0]), a_table(seed=2, city=many[1]))
    assert drifted["city"].distance > 0.3
    assert not [drift.column for drift in drifted.values() if drift.drifted]


def test_a_few_rows_prove_nothing() -> None:
    drifted = found(a_table(rows=8, seed=1), a_table(rows=8, seed=2))
    assert max(drift.distance for drift in drifted.values()) > 0.1
    assert not [drift.column for drift in drifted.values() if drift.drifted]


def test_moved_numbers_are_told_by_median_and_quartiles() -> None:
    drift = found(a_table(age=np.full(2000, 40.0)), a_table(age=np.arange(2000.0)))["age"]
    assert drift.kind == "number"
    assert drift.drifted
    assert drift.distance == pytest.approx(0.9795)
    assert (drift.before, drift.after) == ("median 40 (40 to 40)", "median 1000 (500 to 1499)")


def test_a_shift_too_small_to_matter_is_not_called_drift() -> None:
    age = np.random.default_rng(0).normal(45, 12, 100_000)
    drift = found(a_table(100_000, age=age), a_table(100_000, age=age + 1))["age"]
    assert 0.02 < drift.distance < 0.1
    assert not drift.drifted


def test_labels_are_told_by_the_one_whose_share_moved_most() -> None:
    before, after = ["Bonn"] * 1000 + ["Kiel"] * 1000, ["Bonn"] * 1000 + ["Kiel"] * 400 + ["Ulm"] * 600
    drift = found(a_table(city=before), a_table(city=after))["city"]
    assert (drift.kind, drift.distance, drift.drifted) == ("label", pytest.approx(0.3), True)
    assert {(drift.before, drift.after)} <= {("Kiel 50.0 %", "Kiel 20.0 %"), ("Ulm 0.0 %", "Ulm 30.0 %")}


def test_booleans_and_the_target_are_labels() -> None:
    drift = found(a_table(left=np.zeros(2000, bool)), a_table(left=np.arange(2000) < 600))["left"]
    assert (drift.kind, drift.before, drift.after, drift.drifted) == ("label", "true 0.0 %", "true 30.0 %", True)


def test_moments_are_told_by_their_span() -> None:
    later = a_table()["when"].to_numpy() + np.timedelta64(200, "D")
    drift = found(a_table(), a_table(when=later))["when"]
    assert (drift.kind, drift.distance, drift.drifted) == ("moment", 1.0, True)
    assert drift.before == "2024-01-01 to 2024-03-30"


@pytest.mark.parametrize("column", ["age", "city", "member"])
def test_values_that_went_missing_are_drift_though_the_rest_is_alike(column: str) -> None:
    values = a_table()[column].to_pylist()
    drift = found(a_table(), a_table(**{column: [None, *values[1:1600:2], *[None] * 1199]}))[column]
    assert drift.distance < 0.1
    assert drift.missing == (0, 0.6)
    assert drift.drifted


def test_not_a_number_is_missing() -> None:
    age = np.where(np.arange(2000) % 2 == 0, np.nan, 1.0)
    drift = found(a_table(age=age), a_table(age=pa.array(age, from_pandas=True)))["age"]
    assert (drift.distance, drift.missing, drift.drifted) == (0, (0.5, 0.5), False)


@pytest.mark.parametrize("column", ["age", "city", "when"])
def test_a_column_without_any_value_on_one_side_has_no_distance_but_its_gap_counts(column: str) -> None:
    none = a_table().schema.field(column).type
    drift = found(a_table(), a_table(**{column: pa.nulls(2000, none)}))[column]
    assert (drift.distance, drift.missing, drift.after, drift.drifted) == (0, (0, 1), "", True)
    both = a_table(**{column: pa.nulls(2000, none)})
    assert not found(both, both)[column].drifted


def test_private_columns_are_left_out_whoever_declares_them_so() -> None:
    assert "email" not in found(a_table(), a_table())
    assert "city" not in found(a_table(), a_table(), "city")
    assert "left" not in found(a_table(), a_table(), "left")


def test_columns_that_one_side_lacks_and_those_that_nobody_declares_are_left_out() -> None:
    less = a_table(_prediction=np.zeros(2000), other=np.zeros(2000)).drop_columns(["age"])
    assert list(found(less, a_table(_prediction=np.ones(2000)))) == ["id", "when", "city", "member", "left"]


def test_a_column_of_another_type_is_left_out() -> None:
    assert "age" not in found(a_table(age=["young"] * 2000), a_table())
    assert "when" not in found(a_table(when=np.zeros(2000, bool)), a_table())
    assert "city" in found(a_table(city=np.arange(2000)), a_table())
    assert "city" not in found(a_table(city=[["a"]] * 2000), a_table())


def test_an_empty_table_has_no_drift() -> None:
    assert found(a_table().slice(0, 0), a_table()) == {}


def test_what_drifted_comes_first_and_the_farthest_of_it() -> None:
    after = a_table(age=a_table()["age"].to_numpy() + 5, city=["Bonn"] * 2000, id=np.arange(2000) + 150)
    order = [drift.column for drift in drifts(a_table(), after, a_contract(), frozenset())]
    assert order[:2] == ["city", "age"]


def test_long_and_hostile_labels_are_cut_and_otherwise_kept_as_they_are() -> None:
    drift = found(a_table(), a_table(city=["<script>|@everyone\n" * 1000] * 2000))["city"]
    assert drift.after.startswith("<script>|@everyone\n")
    assert len(drift.after) < 60


def test_infinite_values_do_no_harm() -> None:
    drift = found(a_table(), a_table(age=np.full(2000, np.inf)))["age"]
    assert (drift.distance, drift.after) == (1.0, "median inf (inf to inf)")


def test_only_training_rows_of_a_reference_are_read(tmp_path: Path) -> None:
    table = a_table(4).append_column("_side", pa.array(["training", "holdout", "training", "holdout"]))
    pq.write_table(table, tmp_path / "reference.parquet")
    assert training_rows(tmp_path / "reference.parquet")["id"].to_pylist() == [0, 2]


Sample = npt.NDArray[np.float64]
samples = arrays(np.float64, st.integers(1, 30), elements=st.integers(-5, 5).map(float))
counts = arrays(np.float64, 6, elements=st.integers(0, 50).map(float))


@pytest.mark.filterwarnings("ignore:ks_2samp")  # scipy's p-value, which is not asked for
@given(samples, samples)
def test_our_distance_of_numbers_is_that_of_scipy_and_symmetric(before: Sample, after: Sample) -> None:
    assert ks_distance(before, after) == pytest.approx(scipy.stats.ks_2samp(before, after).statistic)
    assert ks_distance(before, after) == ks_distance(after, before)
    assert ks_distance(before, before) == 0


@given(counts, counts)
def test_the_distance_of_labels_is_symmetric_and_a_share(before: Sample, after: Sample) -> None:
    distance = total_variation(before, after)
    if not before.sum() or not after.sum():
        assert np.isnan(distance)
        return
    assert 0 <= distance <= 1 + 1e-12
    assert distance == total_variation(after, before)
    assert total_variation(before, before) == 0


def test_chance_alone_rarely_goes_beyond_its_bound() -> None:
    random = np.random.default_rng(3)
    shares = random.dirichlet(np.ones(40))
    numbers, labels = 0, 0
    for _ in range(500):
        one, other = random.normal(size=200), random.normal(size=300)
        numbers += ks_distance(one, other) > ks_noise(200, 300)
        first, second = (random.multinomial(n, shares).astype(float) for n in (200, 300))
        labels += total_variation(first, second) > variation_noise(first, second)
    assert numbers <= 4
    assert labels <= 4
