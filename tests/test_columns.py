from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lockstep.errors import InputError
from lockstep.rows import columns


def test_times_with_a_zone_become_utc_without_zone() -> None:
    zoned = pd.DataFrame({"when": pd.to_datetime(["2013-07-01 12:00"]).tz_localize("America/New_York")})
    table = columns.table_of(zoned, "here")
    assert table.schema.field("when").type == pa.timestamp("us")
    assert table.column("when").to_pylist() == [datetime(2013, 7, 1, 16)]


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        ([True, False, None], pa.bool_(), [True, False, None]),
        ([1, 2, None], pa.int64(), [1, 2, None]),
        ([1, 2.5, np.float32(0.5)], pa.float64(), [1.0, 2.5, 0.5]),
        ([Decimal("1.5"), float("nan")], pa.float64(), [1.5, None]),
        ([1, "b", True, 0.5, pd.NaT], pa.string(), ["1", "b", "true", "0.5", None]),
        ([2**53, 0.5], pa.float64(), [2.0**53, 0.5]),
        ([2**53 + 1, 2**53, 0.5], pa.string(), [str(2**53 + 1), str(2**53), "0.5"]),
        ([Decimal(2**53 + 1), Decimal("0.5")], pa.string(), [str(2**53 + 1), "0.5"]),
        ([True, 1], pa.string(), ["true", "1"]),
        ([2**70, 1], pa.string(), [str(2**70), "1"]),
        (
            [date(2013, 1, 2), datetime(2013, 1, 2, 3)],
            pa.timestamp("us"),
            [datetime(2013, 1, 2), datetime(2013, 1, 2, 3)],
        ),
        ([None, None], pa.string(), [None, None]),
    ],
)
def test_object_columns_take_the_narrowest_type_that_holds_all(values: list, kind: pa.DataType, stored: list) -> None:
    column = columns.table_of(pd.DataFrame({"a": pd.Series(values, dtype=object)}), "here").column("a")
    assert column.type == kind
    assert column.to_pylist() == stored


@pytest.mark.parametrize("value", [[1], {"a": 1}, (1, 2), {1}, b"bytes", np.array([1])])
def test_nested_values_are_refused_by_the_columns_name(value: object) -> None:
    with pytest.raises(InputError, match="here: column `basket` holds"):
        columns.table_of(pd.DataFrame({"basket": pd.Series([value], dtype=object)}), "here")


def test_durations_are_refused_by_the_columns_name() -> None:
    with pytest.raises(InputError, match="column `took` holds duration"):
        columns.table_of(pd.DataFrame({"took": pd.to_timedelta([1], unit="h")}), "here")


def test_categories_and_nullable_types_are_stored_as_what_they_hold() -> None:
    data = pd.DataFrame(
        {
            "category": pd.Categorical(["b", None]),
            "whole": pd.array([1, None], dtype="Int64"),
            "flag": pd.array([True, None], dtype="boolean"),
            "arrow": pd.Series(["x", None], dtype=pd.ArrowDtype(pa.large_string())),
        }
    )
    table = columns.table_of(data, "here")
    assert [str(kind) for kind in table.schema.types] == ["string", "int64", "bool", "string"]
    assert table.slice(1).to_pylist() == [dict.fromkeys(data.columns)]


def test_two_columns_of_one_name_are_refused_with_their_positions() -> None:
    with pytest.raises(InputError, match="columns 1 and 3 are both named `a`"):
        columns.table_of(pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "here")


def test_column_names_that_are_no_text_are_refused() -> None:
    with pytest.raises(InputError, match="the name of column 1 is 0"):
        columns.table_of(pd.DataFrame([[1]]), "here")


def test_times_are_read_from_iso_text_and_from_nothing_else() -> None:
    texts = [
        "2013-01-31",
        "2013-01-31T06:00",
        "2013-01-31 06:00:00.5+02:00",
        "now",
        "today",
        "31.1.2013",
        "2013-02-30",
        None,
        "20",
    ]
    found = columns.to_moments(pa.chunked_array([pa.array(texts)])).to_pylist()
    assert found[:3] == [datetime(2013, 1, 31), datetime(2013, 1, 31, 6), datetime(2013, 1, 31, 4, 0, 0, 500_000)]
    assert found[3:] == [None] * 6


def test_numbers_widen_where_no_whole_number_is_lost_and_become_text_where_one_is() -> None:
    assert columns.unified([pa.int64(), pa.float64()]) == pa.float64()
    assert columns.unified([pa.int64(), pa.float64()], wide=True) == pa.string()
    assert columns.unified([pa.int32(), pa.int64()], wide=True) == pa.int64()
    assert columns.is_wide(pa.chunked_array([[2**53, -(2**53) - 1]]))
    assert not columns.is_wide(pa.chunked_array([[2**53, None]]))


@pytest.mark.parametrize("kind", [pa.uint64(), pa.decimal128(20)])
def test_whole_numbers_of_wider_types_are_not_rounded(kind: pa.DataType) -> None:
    for largest, stored in ((2**53 + 1, 2**53 + 1), (2**63, str(2**63))):
        table = pa.table({"id": pa.array([Decimal(largest) if kind != pa.uint64() else largest], kind)})
        assert columns.plain(table, "here").column("id").to_pylist() == [stored]
