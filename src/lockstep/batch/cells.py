"""What a cell of a file says, as a caller of the service would send it: JSON values, moments as ISO 8601 text.

A file's text means what it means to training: `5` is a number, `NA` is missing in every type but category. What cannot
be what its column declares stays as it is, and the service's rules say what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from lockstep.errors import InputError
from lockstep.rows.columns import EXACT, SCALARS
from lockstep.spec import Column

if TYPE_CHECKING:
    import pyarrow as pa

MISSING_WORDS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
TRUE_WORDS, FALSE_WORDS = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
"""Those of `rows.contract`, without its imports; a test holds them together."""

_NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*|[+-]?(?i:inf|infinity)")
_WHOLE = re.compile(r"[+-]?(\d{1,18}|[1-8]\d{18}|9[01]\d{17})(\.0*)?")


def as_sent(values: pa.Array, name: str, column: Column) -> list[Any]:
    """The cells of a declared column as JSON values; None where one is missing.

    Raises `InputError` for types that no cell of such a column can have.
    """
    mean = _MEANINGS[column.type]
    return [None if value is None else mean(value) for value in _scalars(values, name, column)]


def _scalars(values: pa.Array, name: str, column: Column) -> list[Any]:
    """Texts, numbers (floats are numpy's own, so that their text is the shortest), true/false; None is missing."""
    import pyarrow as pa

    kind = values.type
    if pa.types.is_dictionary(kind):
        return _scalars(values.dictionary_decode(), name, column)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if column.type == "category":
            raise InputError(f"column `{name}` holds {kind}, and the contract says category: write labels as text")
        return _iso(values)
    if pa.types.is_floating(kind):
        return [None if value != value else value for value in values.to_numpy(zero_copy_only=False)]
    if pa.types.is_decimal(kind):
        return [value if value is None else _of_decimal(str(value)) for value in values.to_pylist()]
    if pa.types.is_time(kind):
        return _list(values.cast(pa.string()))
    insist_on_scalars(kind, name)
    return _list(values)


def insist_on_scalars(kind: pa.DataType, name: str) -> None:
    """Raise `InputError` for a column whose cells are no texts, numbers, true/false or moments."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return insist_on_scalars(kind.value_type, name)
    primitive = pa.types.is_primitive(kind) and not (pa.types.is_duration(kind) or pa.types.is_interval(kind))
    if not (primitive or pa.types.is_null(kind) or pa.types.is_decimal(kind) or is_text(kind)):
        raise InputError(f"column `{name}` holds {kind}; {SCALARS}")
    return None


def is_text(kind: pa.DataType) -> bool:
    """Is it one of arrow's types for text?"""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _list(values: pa.Array) -> list[Any]:
    made: list[Any] = values.to_pylist()
    return made


def _of_decimal(text: str) -> int | float:
    return float(text) if "." in text or "E" in text else int(text)


def _iso(values: pa.Array) -> list[str | None]:
    texts = np.datetime_as_string(moments(values), unit="us").tolist()
    return [None if text == "NaT" else text for text in texts]


def moments(values: pa.Array) -> np.ndarray[Any, Any]:
    """Timestamps of any unit and zone, and dates, as datetime64[us] (n,): UTC where there is a zone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if pa.types.is_timestamp(values.type):
            # Arrow keeps moments with a zone as UTC; below microseconds is cut off.
            values = pc.cast(values, pa.timestamp("us", values.type.tz), safe=values.type.unit != "ns")
        plain = values.cast(pa.timestamp("us"))
    except pa.ArrowInvalid as error:
        raise InputError(
            f"a column of {values.type} holds moments so far away that nothing can be done with them ({error})"
        ) from error
    return np.asarray(plain.to_numpy(zero_copy_only=False)).astype("datetime64[us]")


def _number(value: Any) -> Any:
    if isinstance(value, str):
        if value in MISSING_WORDS:
            return None
        return float(value) if _NUMBER.fullmatch(value) else value
    return _plain(value)


def _integer(value: Any) -> Any:
    if isinstance(value, str):
        if value in MISSING_WORDS:
            return None
        text = value.strip()
        return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else value
    return _plain(value)


def _boolean(value: Any) -> Any:
    if isinstance(value, str) and value in MISSING_WORDS:
        return None
    word = _category(value).strip().lower()
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else _plain(value)


def _category(value: Any) -> str:
    """5.0 from a column that became float for its gaps is still the label `5`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and value % 1 == 0 and abs(float(value)) < EXACT:
        return str(int(value))
    return str(value)


def _datetime(value: Any) -> Any:
    return None if isinstance(value, str) and value in MISSING_WORDS else _plain(value)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


_MEANINGS: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "category": _category,
    "datetime": _datetime,
}
