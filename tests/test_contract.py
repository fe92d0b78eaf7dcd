"""The contract applied to raw rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from lockstep.errors import InputError
from lockstep.rows.contract import admit, schema, to_columns
from lockstep.spec import Column, Contract


def a_contract(**columns: dict[str, Any]) -> Contract:
    return Contract.model_validate(
        {
            "key": ["id"],
            "target": {"column": "late", "task": "binary", "positive": True},
            "columns": {"id": {"type": "integer", "feature": False}, **columns},
        }
    )


def judged(values: list[Any], **column: Any) -> tuple[list[Any], dict[int, list[str]]]:
    """Typed values of one column, and the broken rules by row."""
    frame = pd.DataFrame({"id": range(len(values)), "late": True, "x": pd.Series(values)})
    admitted = admit(frame, a_contract(x=column))
    rules = admitted.reasons.groupby("row")["rule"].agg(sorted).to_dict()
    typed = admitted.rows["x"]
    return [None if missing else value for value, missing in zip(typed, typed.isna(), strict=True)], rules


@pytest.mark.parametrize(
    ("column", "values", "typed", "rules"),
    [
        ({"type": "number"}, ["1.5", "x", "NA"], [1.5, None, None], {1: ["x:type"], 2: ["x:missing"]}),
        ({"type": "number", "missing": "allowed"}, ["1e3", "", "nan"], [1000.0, None, None], {}),
        ({"type": "number", "min": 0, "max": 1}, [-0.1, 0.5, 1.1], [-0.1, 0.5, 1.1], {0: ["x:min"], 2: ["x:max"]}),
        ({"type": "number"}, [np.inf, -np.inf, 1.0], [np.inf, -np.inf, 1.0], {0: ["x:infinite"], 1: ["x:infinite"]}),
        ({"type": "number"}, [True, False], [None, None], {0: ["x:type"], 1: ["x:type"]}),
        ({"type": "integer"}, ["7", "7.0", "7.5"], [7, 7, None], {2: ["x:type"]}),
        ({"type": "integer"}, [2**24, 2**24 + 1], [2**24, 2**24 + 1], {1: ["x:inexact"]}),
        ({"type": "integer", "feature": False}, ["9007199254740993"], [9007199254740993], {}),
        ({"type": "integer", "allowed": [1, 2]}, [1, 3], [1, 3], {1: ["x:allowed"]}),
        ({"type": "boolean"}, ["yes", "0", "maybe"], [True, False, None], {2: ["x:type"]}),
        ({"type": "category"}, ["NA", "", "b"], ["NA", None, "b"], {1: ["x:missing"]}),
        ({"type": "category", "allowed": ["a"]}, ["a", "b"], ["a", "b"], {1: ["x:allowed"]}),
        ({"type": "category", "missing": "allowed"}, [5.0, None], ["5", None], {}),
        ({"type": "datetime"}, ["2013-01-01", "nonsense"], [pd.Timestamp("2013-01-01"), None], {1: ["x:type"]}),
        ({"type": "datetime"}, ["2013-01-01T02:00:00+02:00"], [pd.Timestamp("2013-01-01")], {}),
        ({"type": "datetime", "max": "2013-06-01"}, ["2013-07-01"], [pd.Timestamp("2013-07-01")], {0: ["x:max"]}),
        ({"type": "datetime"}, [20130101], [None], {0: ["x:type"]}),
    ],
)
def test_each_value_is_typed_and_each_broken_rule_is_named(
    column: dict[str, Any], values: list[Any], typed: list[Any], rules: dict[int, list[str]]
) -> None:
    assert judged(values, **column) == (typed, rules)


def test_a_row_that_breaks_two_rules_has_both_reasons() -> None:
    frame = pd.DataFrame({"id": [1], "late": [True], "a": ["x"], "b": [-1.0]})
    admitted = admit(frame, a_contract(a={"type": "number"}, b={"type": "number", "min": 0}))
    assert sorted(admitted.reasons["rule"]) == ["a:type", "b:min"]


def test_a_column_that_the_source_lacks_is_named_with_its_nearest_match() -> None:
    frame = pd.DataFrame({"id": [1], "late": [True], "carier": ["UA"]})
    with pytest.raises(InputError, match=r"lacks 'carrier'.*Did you mean `carier`"):
        admit(frame, a_contract(carrier={"type": "category"}))


def test_two_columns_of_one_name_are_refused() -> None:
    frame = pd.DataFrame([[1, True, 1, 2]], columns=["id", "late", "x", "x"])
    with pytest.raises(InputError, match="two columns named 'x'"):
        admit(frame, a_contract(x={"type": "number"}))


def test_the_pandera_schema_names_its_checks_by_the_rules() -> None:
    column: Column = TypeAdapter(Column).validate_python({"type": "number", "min": 0, "max": 2})
    checks = schema({"x": column}).columns["x"].checks
    assert [check.error for check in checks] == ["missing", "infinite", "min", "max"]


def test_typed_rows_become_the_arrays_that_the_encoding_reads() -> None:
    contract = a_contract(
        n={"type": "number", "missing": "allowed"},
        b={"type": "boolean", "missing": "allowed"},
        c={"type": "category", "missing": "allowed"},
        t={"type": "datetime", "parts": ["hour"], "missing": "allowed"},
    )
    frame = pd.DataFrame(
        {"id": [1, 2], "late": True, "n": ["1", None], "b": ["t", None], "c": ["a", None], "t": ["2013-01-01", None]}
    )
    columns = to_columns(admit(frame, contract).rows, contract)
    np.testing.assert_array_equal(columns["n"], [1.0, np.nan])
    np.testing.assert_array_equal(columns["b"], [1.0, np.nan])
    assert columns["c"].tolist() == ["a", None]
    assert columns["t"].dtype == "datetime64[us]"
    assert np.isnat(columns["t"][1])
