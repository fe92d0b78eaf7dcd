"""The contract applied to incoming rows: raw values become typed, a row that breaks a rule gets its reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lockstep.errors import InputError, nearest
from lockstep.rows.columns import table_of, to_moments
from lockstep.rows.roles import declared
from lockstep.spec import FLOAT32_EXACT, Column, Contract, Target

if TYPE_CHECKING:
    import pandera.pandas as pa

MISSING_WORDS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""Texts that mean "no value" in every type but category, where only the empty text does: `NA` may be Namibia."""

_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


@dataclass(frozen=True)
class Typed:
    """One column after typing: `kept` in the type's own dtype, and which rows held something of another type."""

    kept: pd.Series[Any]
    wrong: pd.Series[Any]


@dataclass(frozen=True)
class Admitted:
    """Rows of one partition, judged.

    `rows` holds the typed rows (n, columns) with the raw frame's index; `reasons` has one line for each broken rule,
    with the columns `row` (index label) and `rule` (such as `distance:min`).
    """

    rows: pd.DataFrame
    reasons: pd.DataFrame


def admit(frame: pd.DataFrame, contract: Contract, where: str = "the source") -> Admitted:
    """Type the raw rows and judge them by the contract; `where` names their origin in errors.

    Raises `InputError` if the frame lacks a declared column or names one twice.
    """
    columns = declared(contract)
    _insist_on_columns(frame, columns, where)
    typed = {name: _TYPES[column.type](frame[name]) for name, column in columns.items()}
    rows = pd.DataFrame({name: column.kept for name, column in typed.items()}, index=frame.index)
    wrong = pd.DataFrame({name: column.wrong for name, column in typed.items()}, index=frame.index)
    return Admitted(rows=rows, reasons=_reasons(rows, wrong, columns))


def schema(columns: dict[str, Column]) -> pa.DataFrameSchema:
    """The pandera schema of typed rows: one check a rule, named by the rule's id."""
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {
            name: pa.Column(nullable=True, checks=[_pandera_check(rule, column) for rule in _rules(column)])
            for name, column in columns.items()
        }
    )


def _insist_on_columns(frame: pd.DataFrame, columns: dict[str, Column], where: str) -> None:
    twice = sorted(set(frame.columns[frame.columns.duplicated()].astype(str)))
    if twice:
        raise InputError(f"{where} has two columns named {', '.join(map(repr, twice))}: rename one of them.")
    lacking = [name for name in columns if name not in frame.columns]
    if lacking:
        have = [str(name) for name in frame.columns]
        hints = "".join(nearest(name, have) for name in lacking[:1])
        raise InputError(
            f"{where} lacks {', '.join(map(repr, lacking))}, which the contract declares (params.yaml: contract). "
            f"It has: {', '.join(have)}.{hints} Correct the name in the contract, or let the source deliver the column."
        )


def _reasons(rows: pd.DataFrame, wrong: pd.DataFrame, columns: dict[str, Column]) -> pd.DataFrame:
    import pandera.errors

    found = [pd.DataFrame({"row": wrong.index[wrong[name]], "rule": f"{name}:type"}) for name in columns]
    positions = rows.reset_index(drop=True)
    try:
        schema(columns).validate(positions, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        if cases["index"].isna().any():
            raise
        at = cases["index"].astype(int).to_numpy()
        broken = pd.DataFrame(
            {"row": rows.index[at], "rule": cases["column"].astype(str) + ":" + cases["check"].astype(str)}
        )
        mistyped = wrong.to_numpy()[at, wrong.columns.get_indexer(cases["column"])]
        found.append(broken[~(mistyped & (cases["check"] == "missing").to_numpy())])
    return pd.concat(found, ignore_index=True).drop_duplicates()


# Rules on typed values. A rule is its id, when it applies, and which values break it.

Broken = Callable[[pd.Series, Any], pd.Series]


@dataclass(frozen=True)
class Rule:
    """One rule of the contract: `asks` says for which column, `broken` which values (n,) break it."""

    id: str
    asks: Callable[[Any], bool]
    broken: Broken


RULES = [
    Rule("missing", lambda column: column.missing == "refused", lambda values, column: values.isna()),
    Rule("infinite", lambda column: column.type == "number", lambda values, column: values.isin([np.inf, -np.inf])),
    Rule(
        "min",
        lambda column: getattr(column, "min", None) is not None,
        lambda values, column: values < _bound(column.min),
    ),
    Rule(
        "max",
        lambda column: getattr(column, "max", None) is not None,
        lambda values, column: values > _bound(column.max),
    ),
    Rule(
        "allowed",
        lambda column: getattr(column, "allowed", None) is not None,
        lambda values, column: values.notna() & ~values.isin(column.allowed),
    ),
    Rule(
        "inexact",
        lambda column: column.type == "integer" and column.feature and column.available != "after",
        lambda values, column: values.abs() > FLOAT32_EXACT,
    ),
]


def _bound(limit: Any) -> Any:
    return pd.Timestamp(limit) if isinstance(limit, str) else limit


def _rules(column: Column) -> list[Rule]:
    return [rule for rule in RULES if rule.asks(column)]


def _pandera_check(rule: Rule, column: Column) -> Any:
    import pandera.pandas as pa

    def holds(values: pd.Series[Any]) -> pd.Series[Any]:
        return ~rule.broken(values, column).fillna(False).astype(bool)

    return pa.Check(holds, name=rule.id, error=rule.id, ignore_na=rule.id != "missing")


# Typing: raw values of whatever dtype the source gave → the type's own dtype.


def _missing(values: pd.Series[Any]) -> pd.Series[Any]:
    return values.isna() | values.isin(MISSING_WORDS)


def _is_text(values: pd.Series[Any]) -> bool:
    return pd.api.types.is_string_dtype(values.dtype) or values.dtype == object


def _number(values: pd.Series[Any]) -> Typed:
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype):
        return Typed(pd.Series(np.nan, index=values.index), values.notna())
    if not _is_text(values):
        return Typed(values.astype("float64"), pd.Series(False, index=values.index))
    parsed = pd.to_numeric(values.where(~_missing(values)), errors="coerce").astype("float64")
    return Typed(parsed, parsed.isna() & ~_missing(values))


def _integer(values: pd.Series[Any]) -> Typed:
    if pd.api.types.is_bool_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype):
        return Typed(pd.Series(pd.NA, index=values.index, dtype="Int64"), values.notna())
    if pd.api.types.is_integer_dtype(values.dtype):
        return Typed(values.astype("Int64"), pd.Series(False, index=values.index))
    if _is_text(values):
        # Through text and not through float, which would round identifiers beyond 2^53.
        text = values.astype("str").str.strip()
        whole = (
            text.str.fullmatch(r"[+-]?(\d{1,18}|[1-8]\d{18}|9[01]\d{17})(\.0*)?").fillna(False).astype(bool)
            & values.notna()
        )
        numbers = text[whole].str.replace(r"\.0*$", "", regex=True).astype("int64")
        return Typed(numbers.astype("Int64").reindex(values.index), ~whole & ~_missing(values))
    whole = values.notna() & (values.abs() < 2.0**63) & (values % 1 == 0)
    return Typed(values.where(whole).astype("Int64"), ~whole & values.notna())


def _boolean(values: pd.Series[Any]) -> Typed:
    if pd.api.types.is_bool_dtype(values.dtype):
        return Typed(values.astype("boolean"), pd.Series(False, index=values.index))
    words = _as_text(values).str.strip().str.lower()
    known = pd.Series(pd.NA, index=values.index, dtype="boolean")
    known = known.mask(words.isin(_TRUE), True).mask(words.isin(_FALSE), False)
    return Typed(known, known.isna() & ~_missing(values))


def _category(values: pd.Series[Any]) -> Typed:
    text = _as_text(values)
    return Typed(text.where(text != ""), pd.Series(False, index=values.index))


def _as_text(values: pd.Series[Any]) -> pd.Series[Any]:
    """Values as labels: 5.0 from a column that became float for its gaps is still the label `5`."""
    if pd.api.types.is_bool_dtype(values.dtype):
        values = values.map({True: "true", False: "false"})
    elif pd.api.types.is_float_dtype(values.dtype):
        whole = values.notna() & (values % 1 == 0) & (values.abs() < 2.0**53)
        return values.astype("str").mask(whole, values.where(whole).astype("Int64").astype("str")).where(values.notna())
    return values.astype("str").where(values.notna())


def _datetime(values: pd.Series[Any]) -> Typed:
    empty = _missing(values)
    if not _is_text(values) and not pd.api.types.is_datetime64_any_dtype(values.dtype):
        return Typed(pd.Series(pd.NaT, index=values.index, dtype="datetime64[us]"), ~empty)
    column = to_moments(table_of(values.where(~empty, None).to_frame("moment"), "the source")["moment"])
    moments = pd.Series(column.to_pandas(), dtype="datetime64[us]").set_axis(values.index)
    return Typed(moments.astype("datetime64[us]"), moments.isna() & ~empty)


_TYPES: dict[str, Callable[[pd.Series[Any]], Typed]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "category": _category,
    "datetime": _datetime,
}


# Typed rows → what models and metrics read.


def to_columns(rows: pd.DataFrame, contract: Contract) -> dict[str, np.ndarray[Any, Any]]:
    """Typed rows → the columns that `encoding` reads: float64, object of `str | None`, datetime64[us]; each (n,)."""
    return {name: _to_array(rows[name], column.type) for name, column in contract.columns.items() if name in rows}


def _to_array(values: pd.Series[Any], kind: str) -> np.ndarray[Any, Any]:
    if kind == "category":
        return labels_of(values)
    if kind == "datetime":
        return values.to_numpy(dtype="datetime64[us]")
    return values.to_numpy(dtype="float64", na_value=np.nan)


def labels_of(values: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Labels as an object array of `str | None`, (n,)."""
    return values.astype(object).where(values.notna(), None).to_numpy()


def outcomes(rows: pd.DataFrame, target: Target) -> pd.Series[Any]:
    """The target's values as labels or numbers: bool for binary, text for multiclass, float for regression."""
    values = rows[target.column]
    if target.task == "binary":
        return _positive(values, target).astype("boolean").mask(values.isna())
    return values


def to_target(rows: pd.DataFrame, target: Target, classes: list[str]) -> np.ndarray[Any, Any]:
    """The target as metrics read it, (n,) float64: 0/1, the index into `classes`, or the value."""
    values = rows[target.column]
    if target.task == "binary":
        return _positive(values, target).to_numpy(dtype="float64")
    if target.task == "multiclass":
        return pd.Index(classes).get_indexer(pd.Index(values.astype("str"))).astype("float64")
    return values.to_numpy(dtype="float64")


def _positive(values: pd.Series[Any], target: Target) -> pd.Series[Any]:
    assert target.positive is not None
    return values.eq(target.positive)
