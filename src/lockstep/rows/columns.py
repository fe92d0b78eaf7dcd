"""The few types that columns travel in: text, true/false, whole numbers, numbers, moments (microseconds, no zone).

Whatever a source returns is brought to these by `table_of` (pandas) or `plain` (arrow); what cannot be is an
`InputError` that names the column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lockstep.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

EXACT = 2**53
"""float64 holds every whole number up to here; beyond, neighbours become one."""

SCALARS = "a value must be a single text, number, true/false or time"

_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$"


def refuse_twins(names: Sequence[str], where: str) -> None:
    """Raise `InputError` when two columns have one name: either could be meant."""
    first: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if name in first:
            raise InputError(
                f"{where}: columns {first[name]} and {position} are both named `{name}`; rename one of them"
            )
        first[name] = position


def text_of(value: Any) -> str:
    """A scalar as text, where values of several types share a column.

    >>> [text_of(value) for value in (True, 3, 0.5, datetime(2013, 1, 1, 6), "a")]
    ['true', '3', '0.5', '2013-01-01T06:00:00', 'a']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def array_of(values: Sequence[Any], column: str, where: str, type: pa.DataType | None = None) -> pa.Array:
    """Python scalars (None: missing) as one arrow array, of `type` or of the narrowest type that holds them all.

    All true/false: bool; all whole: int64; all numbers: float64, unless it would merge whole numbers beyond 2^53; all
    moments: timestamp; anything else: text. Raises `InputError` for nested values.
    """
    import pyarrow as pa

    for found in {value.__class__ for value in values}:
        if issubclass(found, (list, tuple, dict, set, bytes)) or hasattr(found, "__array__"):
            raise InputError(f"{where}: column `{column}` holds a {found.__name__}; {SCALARS}")
    type = type or _type_of(values)
    if pa.types.is_string(type):
        values = [value if value is None or isinstance(value, str) else text_of(value) for value in values]
    elif pa.types.is_floating(type):
        values = [None if value is None else float(value) for value in values]
    elif pa.types.is_timestamp(type):
        return to_moments(pa.array([value and text_of(value) for value in values], pa.string()))
    return pa.array(values, type)


def _type_of(values: Sequence[Any]) -> pa.DataType:
    """The narrowest type that holds every value; without any value, null."""
    import pyarrow as pa

    kinds = {value.__class__ for value in values if value is not None}
    if not kinds:
        return pa.null()
    if all(issubclass(kind, bool) for kind in kinds):
        return pa.bool_()
    if all(issubclass(kind, int) and kind is not bool for kind in kinds):
        fits = all(-(2**63) <= value < 2**63 for value in values if value is not None)
        return pa.int64() if fits else pa.string()
    if all(issubclass(kind, (int, float, Decimal)) and kind is not bool for kind in kinds):
        return pa.float64() if all(map(_is_exact, values)) else pa.string()
    if all(issubclass(kind, date) for kind in kinds):
        return pa.timestamp("us")
    return pa.string()


def _is_exact(value: Any) -> bool:
    """Does float64 hold the value as it is meant? Fractions are rounded in any case, whole numbers must not be."""
    if not isinstance(value, (int, Decimal)):
        return True
    number = Decimal(value)
    return not number.is_finite() or abs(number) <= EXACT or number != number.to_integral_value()


def is_wide(column: pa.ChunkedArray) -> bool:
    """Does the column hold a whole number that float64 would merge with its neighbours?"""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_integer(column.type) or column.type.bit_width < 64:
        return False
    return any(value is not None and abs(value) > EXACT for value in pc.min_max(column).as_py().values())


def unified(types: Iterable[pa.DataType], *, wide: bool = False) -> pa.DataType:
    """The type for a column that has several in several places: numbers widen, any other mixture is text.

    `wide`: somewhere it holds whole numbers beyond 2^53, which next to fractions have to stay text.
    """
    import pyarrow as pa

    kinds = {type for type in types if not pa.types.is_null(type)}
    if len(kinds) < 2:
        return kinds.pop() if kinds else pa.null()
    if all(pa.types.is_integer(kind) for kind in kinds):
        return pa.int64()
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds) and not wide:
        return pa.float64()
    return pa.string()


def plain(table: pa.Table, where: str) -> pa.Table:
    """The table with every column in one of our types; `where` names its origin in errors.

    Raises `InputError` for nested or binary columns, durations, and two columns of one name.
    """
    import pyarrow as pa

    refuse_twins(table.column_names, where)
    columns = [_plain(table.column(name), name, where) for name in table.column_names]
    return pa.table(columns, names=table.column_names)


def _plain(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type), name, where)
    if pa.types.is_timestamp(kind):
        # Moments are stored as UTC in arrow, so dropping the zone leaves UTC; below microseconds is cut off.
        return pc.cast(column, pa.timestamp("us", kind.tz), safe=False).cast(pa.timestamp("us"))
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("us"))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_time(kind):
        return column.cast(pa.string())
    if kind == pa.uint64() or (pa.types.is_decimal(kind) and kind.scale <= 0):
        return _whole(column)
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return column.cast(pa.float64())
    if not (pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_null(kind)) or pa.types.is_duration(
        kind
    ):
        raise InputError(
            f"{where}: column `{name}` holds {kind}; a value must be a single text, number, true/false or time"
        )
    return column


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers of a type that may hold more than int64 does: as int64 where they fit, otherwise as text."""
    import pyarrow as pa

    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.string())


def table_of(frame: pd.DataFrame, where: str) -> pa.Table:
    """A data frame as a table of our types; its index is not part of it.

    Zone-aware times become UTC without zone; NaN, NaT and None are missing; a column of mixed scalars becomes text,
    one without any value too. Raises `InputError` naming the column for what does not fit.
    """
    import pyarrow as pa

    for position, name in enumerate(frame.columns, start=1):
        if not isinstance(name, str):
            raise InputError(f"{where}: the name of column {position} is {name!r}; column names are text")
    refuse_twins(list(frame.columns), where)
    columns = [_column_of(frame.iloc[:, position], name, where) for position, name in enumerate(frame.columns)]
    return plain(pa.table(columns, names=list(frame.columns)), where)


def _column_of(series: pd.Series[Any], name: str, where: str) -> pa.Array | pa.ChunkedArray:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    if series.dtype.kind == "O" and isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    if isinstance(series.dtype, pd.PeriodDtype):
        series = series.astype(str).where(series.notna(), None)
    if series.dtype != object:
        try:
            return pa.array(series, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise InputError(
                f"{where}: column `{name}` holds {series.dtype}, which is not a type for rows: {SCALARS}"
            ) from error
    values = [None if _missing(value) else value.item() if isinstance(value, np.generic) else value for value in series]
    array = array_of(values, name, where)
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _missing(value: Any) -> bool:
    import pandas as pd

    return (
        value is None or value is pd.NA or (isinstance(value, (float, datetime)) and value != value) or value is pd.NaT
    )


def to_moments(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Times or ISO text (`2013-01-31`, `2013-01-31T06:00`, with or without zone) as timestamp[us], zone dropped after
    conversion to UTC. What cannot be read is null.

    Only ISO text is read: pandas alone would take "now" and "today" for the clock.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type):
        return pc.cast(column, pa.timestamp("us"))
    if not pa.types.is_string(column.type):
        return pa.nulls(len(column), pa.timestamp("us"))
    text = pc.if_else(pc.match_substring_regex(column, _ISO), column, pa.scalar(None, pa.string()))
    series = pd.Series(text.to_numpy(zero_copy_only=False), dtype=object)
    parsed = pd.to_datetime(series, format="ISO8601", errors="coerce", utc=True).dt.tz_localize(None)
    return pa.array(parsed, from_pandas=True).cast(pa.timestamp("us"), safe=False)
