"""The rule book: every bad cell of every row, by row, column, value and rule."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.models.encoding import Encoding, Feature, digest, from_rows
from lockstep.models.model import Learned, load_contract
from lockstep.rows.columns import to_moments
from lockstep.serving.encoder import PARTS, Encoder
from lockstep.serving.rows import Checker
from lockstep.spec import Contract
from served import ROW, a_model, golden_of

DECLARED: dict[str, Any] = {
    "id": {"type": "integer", "feature": False},
    "when": {"type": "datetime", "parts": list(PARTS), "min": "2000-01-01", "max": "2030-01-01T12:00"},
    "seen": {"type": "datetime", "parts": ["hour"], "missing": "allowed"},
    "city": {"type": "category"},
    "kind": {"type": "category", "allowed": ["a", "b"], "missing": "allowed"},
    "shop": {"type": "category", "unknown": "refused", "missing": "allowed"},
    "mail": {"type": "category", "private": True, "missing": "allowed", "unknown": "refused"},
    "size": {"type": "number", "min": 0, "max": 10.5},
    "free": {"type": "number", "missing": "allowed"},
    "count": {"type": "integer", "min": -5, "max": 100, "missing": "allowed"},
    "grade": {"type": "integer", "allowed": [1, 2, 3], "missing": "allowed"},
    "code": {"type": "integer", "missing": "allowed"},
    "open": {"type": "boolean", "missing": "allowed"},
    "note": {"type": "number", "feature": False, "max": 5},
    "later": {"type": "number", "available": "after", "missing": "allowed"},
}

GOOD: dict[str, Any] = {
    "when": "2013-05-17T06:30:00", "seen": "2013-05-17", "city": "Ulm", "kind": "a", "shop": "s1", "mail": "x@y",
    "size": 3, "free": -1e30, "count": 7, "grade": 2, "code": 12, "open": True,
}  # fmt: skip


def learned(declared: dict[str, Any] = DECLARED) -> Learned:
    contract = Contract.model_validate(
        {"key": ["id"], "time": "when", "target": {"column": "sold", "task": "regression"}, "columns": declared}
    )
    labels = {"city": ("Bonn", "Ulm"), "kind": ("a",), "shop": ("s1", "s2"), "mail": (digest("x@y"),)}
    features = tuple(
        Feature(
            column=name,
            type=column.type,
            may_miss=column.missing == "allowed",
            private=column.private,
            parts=tuple(getattr(column, "parts", ())),
            labels=labels.get(name, ()),
        )
        for name, column in contract.columns.items()
        if column.feature and column.available != "after"
    )
    return Learned(
        contract=contract, encoding=Encoding(features), style="codes", classes=(), dummy=(0.0,), threshold=None,
        calibration=None, estimator="x",
    )  # fmt: skip


BOOK = Checker(learned())


def broken(row: dict[str, Any]) -> list[tuple[str | None, str]]:
    return [(problem.column, problem.rule) for problem in BOOK.check([row])]


def test_a_good_row_breaks_nothing_and_neither_does_one_with_all_that_may_be_missing() -> None:
    needed = {name: GOOD[name] for name in ("when", "city", "size")}
    other = {**GOOD, "id": 2**60, "note": 5, "later": None, "sold": None}
    assert BOOK.check([GOOD, needed, {**GOOD, "kind": None, "seen": None, "shop": ""}, other]) == []


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("size", -0.1, "at least 0"),
        ("size", 10.6, "at most 10.5"),
        ("size", None, "must be given"),
        ("size", "3", "a number"),
        ("size", True, "a number"),
        ("size", [3], "a number"),
        ("size", math.nan, "a finite number"),
        ("size", math.inf, "a finite number"),
        ("free", -math.inf, "a finite number"),
        ("free", 1e39, "at most 3.4028234663852886e+38"),
        ("free", 10**400, "at most 3.4028234663852886e+38"),
        ("note", 10**400, "at most 5"),
        ("note", 6, "at most 5"),
        ("count", 7.5, "a whole number"),
        ("count", -6, "at least -5"),
        ("count", math.inf, "a whole number"),
        ("count", "7", "a whole number"),
        ("grade", 4, "one of 1, 2, 3"),
        ("code", 2**24 + 1, "at most 16777216"),
        ("id", 2**63, "at most 9223372036854775807"),
        ("open", 1, "true or false"),
        ("open", "true", "true or false"),
        ("city", 5, "text, in quotes"),
        ("city", "", "must be given"),
        ("city", {}, "text"),
        ("kind", "c", "one of a, b"),
        ("shop", "s11", "a label that the model knows. Did you mean `s1`?"),
        ("when", "1999-12-31T23:59:59", "at least 2000-01-01"),
        ("when", "2030-01-01T12:00:01", "at most 2030-01-01T12:00"),
        ("later", 3, "to be left out: it is known only after the moment of prediction"),
        ("sold", 3, "to be left out: it is what the model predicts"),
        ("frees", 3, "to be left out: the contract has no such column. Did you mean `free`?"),
        ("x" * 100_000, 3, "to be left out: the contract has no such column"),
    ],
)
def test_a_bad_value_is_named_with_its_rule(column: str, value: Any, rule: str) -> None:
    found = BOOK.check([GOOD, {**GOOD, column: value}])
    assert [(problem.row, problem.rule) for problem in found] == [(1, rule)]
    assert found[0].column == (column if len(column) < 100 else column[:100] + "…")


@pytest.mark.parametrize(
    "value",
    ["now", "2013", "2013-13-01", "2013-02-30", "20130101", "2013-01-01T24:00", "2013-W01-1", "", 1372636800, True,
     "2013-01-01T06:00:00+25:00", "2013-01-01\n", "２０１３-01-01", "0000-01-01"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(value: Any) -> None:
    assert [(column, rule.partition(",")[0]) for column, rule in broken({**GOOD, "seen": value})] == [
        ("seen", "a date or time")
    ]


def test_every_bad_cell_of_every_row_is_found_at_once() -> None:
    bad = {**GOOD, "size": -1, "open": "no", "sise": 1}
    del bad["city"]
    found = BOOK.check([bad, GOOD, 5, {**GOOD, "count": 1.5}])
    assert [(each.row, each.column) for each in found] == [
        (0, "city"), (0, "size"), (0, "open"), (0, "sise"), (2, None), (3, "count"),
    ]  # fmt: skip
    assert found[1].to_dict() == {"row": 0, "column": "size", "value": -1, "rule": "at least 0"}


def test_private_values_and_those_of_unknown_columns_are_never_shown() -> None:
    found = BOOK.check([{**GOOD, "mail": "secret@example.org", "maill": "secret@example.org"}])
    assert [each.column for each in found] == ["mail", "maill"]
    assert "secret" not in repr(found)
    assert all("value" not in each.to_dict() for each in found)


def test_a_private_column_may_be_left_out_as_golden_rows_do() -> None:
    declared = {**DECLARED, "when": {**DECLARED["when"], "private": True}}
    assert Checker(learned(declared)).check([{name: GOOD[name] for name in ("city", "size")}]) == []


@settings(deadline=None)
@given(
    moment=st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),
    zone=st.sampled_from(["", "Z", "+02", "-0530", "+05:45"]),
    separator=st.sampled_from("T "),
)
def test_a_moment_is_read_as_training_reads_it(moment: datetime, zone: str, separator: str) -> None:
    import pyarrow as pa

    text = moment.isoformat(separator) + zone
    trained = to_moments(pa.array([text])).to_pylist()[0]
    typed, problems = BOOK.read([{**GOOD, "seen": text}])
    assert not problems
    assert typed[0][list(BOOK.features).index("seen")] == trained


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "when": st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2029, 12, 31)).map(datetime.isoformat),
    "seen": st.none() | st.datetimes(min_value=datetime(1800, 1, 1)).map(datetime.isoformat),
    "city": st.sampled_from(["Bonn", "Ulm", "Kiel"]),
    "kind": st.sampled_from(["a", "b", "", None]),
    "shop": st.sampled_from(["s1", "s2", None]),
    "mail": st.sampled_from(["x@y", None]),
    "size": st.floats(0, 10.5) | st.integers(0, 10),
    "free": st.none() | st.floats(-1e38, 1e38),
    "count": st.none() | st.integers(-5, 100) | st.just(5.0),
    "grade": st.sampled_from([1, 2, 3, None]),
    "code": st.none() | st.integers(-(2**24), 2**24),
    "open": st.sampled_from([True, False, None]),
}


@settings(deadline=None)
@given(rows=st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=5))
@pytest.mark.parametrize("style", ["codes", "indicators"])
def test_rows_are_encoded_to_the_bits_that_columns_are(style: Any, rows: list[dict[str, Any]]) -> None:
    model = replace(learned(), style=style)
    typed, problems = Checker(model).read(rows)
    assert not problems
    matrix, unknown = Encoder(model.encoding, style).encode(typed)
    columns = from_rows(rows, model.contract)
    expected = model.encoding.encode(columns, style)
    assert matrix.dtype == expected.dtype
    assert np.array_equal(matrix, expected, equal_nan=True)
    counted = {name: count for name, count in model.encoding.unknown(columns).items() if count}
    found = [column for names in unknown.values() for column in names]
    assert {name: found.count(name) for name in found} == counted


def test_each_part_is_the_calendars_also_where_years_turn() -> None:
    columns = Encoding((Feature(column="t", type="datetime", may_miss=False, parts=tuple(PARTS)),))
    moments = [datetime(1999, 12, 20) + timedelta(days=day, minutes=37 * day) for day in range(1200)]
    rows = [[moment] for moment in moments]
    expected = columns.encode({"t": np.array(moments, dtype="datetime64[us]")}, "codes")
    assert np.array_equal(Encoder(columns, "codes").encode(rows)[0], expected)


def test_a_trained_models_golden_rows_break_nothing_and_a_refused_label_does(tmp_path: Path) -> None:
    folder = a_model(tmp_path)
    book = Checker(load_contract(folder))
    assert book.check([*golden_of(folder)["rows"], ROW]) == []
    assert [each.column for each in book.check([{**ROW, "visits": -1}])] == ["visits"]


def test_misspellings_do_not_cost_a_caller_who_sends_many_of_them_our_time() -> None:
    declared = {**DECLARED, "kind": {"type": "category", "allowed": [f"label {at}" for at in range(200)]}}
    book, started = Checker(learned(declared)), time.perf_counter()
    found = book.check([{**GOOD, "kind": f"lable {at}", f"colunm{at}": 1} for at in range(1000)])
    assert len(found) == 2000
    assert time.perf_counter() - started < 3
    assert ["Did you mean" in each.rule for each in found[:11]].count(True) > 0
    assert not any("Did you mean" in each.rule for each in found[12:])
