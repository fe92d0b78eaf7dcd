"""From typed values to the float32 matrix."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.models.encoding import PARTS, Encoding, digest, from_rows, learn
from lockstep.spec import Contract

CONTRACT = Contract.model_validate(
    {
        "key": ["id"],
        "target": {"column": "late", "task": "binary", "positive": True},
        "columns": {
            "id": {"type": "integer", "feature": False},
            "carrier": {"type": "category"},
            "plane": {"type": "category", "missing": "allowed"},
            "wind": {"type": "number", "missing": "allowed"},
            "distance": {"type": "number"},
            "departs": {"type": "datetime", "parts": ["month", "hour"]},
            "delay": {"type": "number", "available": "after"},
        },
    }
)

TRAINING = [
    {"carrier": "UA", "plane": "b", "wind": 1.0, "distance": 10, "departs": "2013-02-03T04:00:00"},
    {"carrier": "AA", "plane": "a", "wind": None, "distance": 20, "departs": "2013-12-31T23:59:00"},
]


def learned() -> Encoding:
    return learn(CONTRACT, from_rows(TRAINING, CONTRACT))


def encoded(row: dict[str, Any], style: Any) -> list[float]:
    return list(learned().encode(from_rows([{**TRAINING[0], **row}], CONTRACT), style)[0].tolist())


def test_codes_follow_the_sorted_labels_and_hidden_columns_stay_out() -> None:
    assert [slot.name for slot in learned().slots("codes")] == [
        *("carrier", "plane", "wind", "distance", "departs.month", "departs.hour")
    ]
    assert encoded({}, "codes") == [1.0, 1.0, 1.0, 10.0, 2.0, 4.0]


def test_unknown_and_missing_labels_are_nan_in_codes() -> None:
    row = encoded({"carrier": "ZZ", "plane": None}, "codes")
    assert np.isnan(row[0])
    assert np.isnan(row[1])


def test_indicators_tell_unknown_from_missing_and_flag_missing_numbers() -> None:
    names = [slot.name for slot in learned().slots("indicators")]
    unknown = dict(zip(names, encoded({"plane": "ZZ"}, "indicators"), strict=True))
    missing = dict(zip(names, encoded({"plane": None, "wind": None}, "indicators"), strict=True))
    assert unknown["plane"] == -1.0
    assert missing["plane"] == 2.0
    assert unknown["wind.missing"] == 0.0
    assert missing["wind.missing"] == 1.0


def test_an_absent_column_counts_as_missing() -> None:
    columns = from_rows(TRAINING, CONTRACT)
    del columns["plane"]
    assert np.isnan(learned().encode(columns, "codes")[:, 1]).all()


def test_unknown_labels_are_counted() -> None:
    rows = [{**TRAINING[0], "carrier": "ZZ"}, {**TRAINING[0], "plane": None}]
    assert learned().unknown(from_rows(rows, CONTRACT)) == {"carrier": 1, "plane": 0}


def test_a_private_columns_labels_are_kept_as_digests_only() -> None:
    contract = CONTRACT.model_copy(
        update={"columns": {"carrier": CONTRACT.columns["carrier"].model_copy(update={"private": True})}}
    )
    encoding = learn(contract, from_rows(TRAINING, contract))
    assert set(encoding.features[0].labels) == {digest("UA"), digest("AA")}
    codes = encoding.encode(from_rows([{"carrier": "UA"}, {"carrier": "ZZ"}], contract), "codes")[:, 0]
    assert codes[0] in (0.0, 1.0)
    assert np.isnan(codes[1])


@given(st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)))
def test_every_part_agrees_with_the_calendar(moment: dt.datetime) -> None:
    array = np.array([moment], dtype="datetime64[us]")
    expected = {
        "year": moment.year,
        "quarter": (moment.month + 2) // 3,
        "month": moment.month,
        "week": moment.isocalendar().week,
        "day": moment.day,
        "day_of_year": moment.timetuple().tm_yday,
        "weekday": moment.weekday(),
        "hour": moment.hour,
        "minute": moment.minute,
    }
    assert {name: int(part(array)[0]) for name, part in PARTS.items()} == expected


def test_the_matrix_is_float32_and_one_row_encodes_as_many_do() -> None:
    columns = from_rows(TRAINING * 5, CONTRACT)
    many = learned().encode(columns, "indicators")
    one = learned().encode(from_rows(TRAINING[1:], CONTRACT), "indicators")
    assert many.dtype == np.float32
    np.testing.assert_array_equal(many[1::2], np.repeat(one, 5, axis=0))


@pytest.mark.parametrize("style", ["codes", "indicators"])
def test_no_pandas_or_scikit_learn_is_needed_to_encode(style: str) -> None:
    import subprocess
    import sys

    code = "import lockstep.models.model, sys; print({'pandas', 'sklearn', 'dvc'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
