"""Which side a row is on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from lockstep.errors import InputError
from lockstep.rows import splits
from lockstep.spec import Contract, Split

UNTIL = "2013-07-01"


def a_contract(known_after: str | None = None) -> Contract:
    return Contract.model_validate(
        {
            "key": ["id"],
            "time": "at",
            "target": {"column": "y", "task": "regression", "known_after": known_after},
            "columns": {"id": {"type": "integer"}, "at": {"type": "datetime"}, "group": {"type": "category"}},
        }
    )


def a_split(**keys: Any) -> Split:
    made: Split = TypeAdapter(Split).validate_python(keys)
    return made


def rows_of(ids: list[int]) -> pd.DataFrame:
    """One row an id, over half a year, in groups of three."""
    at = pd.Timestamp("2013-01-01") + pd.to_timedelta(np.array(ids, dtype="int64") * 37 % (181 * 24), unit="h")
    groups = pd.Series([f"g{number // 3}" for number in ids], dtype="str")
    return pd.DataFrame({"id": pd.array(ids, dtype="Int64"), "at": at.astype("datetime64[us]"), "group": groups})


def sides(rows: pd.DataFrame, split: Split, until: str = UNTIL, known_after: str | None = None) -> dict[int, str]:
    contract = a_contract(known_after)
    keys = splits.key_hashes(rows, contract.key)
    return dict(zip(rows["id"], splits.sides(rows, keys, contract, split, until), strict=True))


SPLITS = [
    a_split(by="time", holdout="2 months"),
    a_split(by="time", holdout="2 months", gap="1 week"),
    a_split(by="key", holdout=0.3),
    a_split(by="group", column="group", holdout=0.3),
]

ids = st.lists(st.integers(0, 3000), min_size=1, max_size=60, unique=True)


@settings(max_examples=40, deadline=None)
@given(old=ids, new=ids, split=st.sampled_from(SPLITS))
def test_a_row_keeps_its_side_when_rows_are_added_or_reordered(old: list[int], new: list[int], split: Split) -> None:
    before = sides(rows_of(old), split)
    after = sides(rows_of(sorted({*old, *new}, reverse=True)), split)
    assert {row: after[row] for row in before} == before


@settings(max_examples=40, deadline=None)
@given(rows=ids, days=st.integers(0, 200), gap=st.sampled_from([None, "3 days"]))
def test_a_moving_window_moves_rows_one_way_only(rows: list[int], days: int, gap: str | None) -> None:
    split = a_split(by="time", holdout="2 months", gap=gap)
    order = [splits.HOLDOUT, splits.GAP, splits.TRAINING]
    later = str(pd.Timestamp(UNTIL) + pd.Timedelta(days=days))[:10]
    before, after = sides(rows_of(rows), split), sides(rows_of(rows), split, later)
    assert all(order.index(after[row]) >= order.index(before[row]) for row in rows)


def test_the_gap_is_the_longer_of_gap_and_known_after() -> None:
    split = a_split(by="time", holdout="1 month", gap="2 days")
    for known_after, day in ((None, "2013-05-30"), ("1 day", "2013-05-30"), ("5 days", "2013-05-27")):
        start, end = splits.time_bounds(split, a_contract(known_after), UNTIL)  # type: ignore[arg-type]
        assert (str(start)[:10], str(end)[:10]) == ("2013-06-01", day)


def test_a_share_of_keys_or_groups_is_held_out() -> None:
    rows = rows_of(list(range(3000)))
    for split in (a_split(by="key", holdout=0.3), a_split(by="group", column="group", holdout=0.3)):
        share = np.mean([side == splits.HOLDOUT for side in sides(rows, split).values()])
        assert abs(share - 0.3) < 0.05


def test_a_group_is_never_on_both_sides() -> None:
    rows = rows_of(list(range(300)))
    found = rows.assign(side=sides(rows, a_split(by="group", column="group", holdout=0.4)).values())
    assert found.groupby("group")["side"].nunique().eq(1).all()


def test_another_salt_draws_another_holdout() -> None:
    rows = rows_of(list(range(500)))
    assert sides(rows, a_split(by="key", holdout=0.5)) != sides(rows, a_split(by="key", holdout=0.5, salt="2"))


def test_a_key_hash_is_the_published_one() -> None:
    import hashlib

    rows = pd.DataFrame(
        {
            "a": pd.Series(["UA"], dtype="str"),
            "b": pd.array([7], dtype="Int64"),
            "c": pd.to_datetime(["2013-01-02T03:04:05"]).astype("datetime64[us]"),
        }
    )
    text = "UA\x1f7\x1f2013-01-02T03:04:05.000000"
    expected = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    assert splits.key_hashes(rows, ["a", "b", "c"]).tolist() == [expected]


def test_folds_follow_time_with_the_gap_between_them() -> None:
    rows = rows_of(list(range(2000)))
    contract = a_contract("2 days")
    keys = splits.key_hashes(rows, contract.key)
    times = rows["at"].to_numpy()
    made = splits.folds(rows, keys, contract, a_split(by="time", holdout="1 month"), 3)
    assert len(made) == 3
    for fit, judge in made:
        assert times[judge].min() - times[fit].max() >= np.timedelta64(2, "D")
    judged = np.concatenate([judge for _, judge in made])
    assert len(judged) == len(set(judged.tolist()))


def test_group_folds_keep_groups_whole() -> None:
    rows = rows_of(list(range(600)))
    split = a_split(by="group", column="group", holdout=0.3)
    for fit, judge in splits.folds(rows, splits.key_hashes(rows, ["id"]), a_contract(), split, 4):
        assert not set(rows["group"].iloc[fit]) & set(rows["group"].iloc[judge])


def test_rows_too_few_for_the_folds_are_an_error() -> None:
    rows = rows_of([1])
    with pytest.raises(InputError, match=r"1 training rows do not fill 3 folds"):
        splits.folds(rows, splits.key_hashes(rows, ["id"]), a_contract(), a_split(by="key", holdout=0.2), 3)


def test_a_gap_that_leaves_nothing_to_fit_is_named() -> None:
    rows = rows_of(list(range(500)))
    split = a_split(by="time", holdout="1 month", gap="40 days")
    with pytest.raises(InputError, match="do not fill 5 folds .*: the gap of 40 days leaves no earlier rows"):
        splits.folds(rows, splits.key_hashes(rows, ["id"]), a_contract("2 days"), split, 5)
