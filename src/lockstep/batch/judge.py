"""A column of a file → its part of the model's matrix, and the rows at which the service's rules must look.

Typed columns are judged by arithmetic on whole columns, which may suspect a row too many and never one too few. All
others (text, labels) by the service's own rules, once for each distinct value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lockstep.batch.cells import as_sent, insist_on_scalars, moments
from lockstep.models.encoding import Encoding, Feature, Matrix, Style, digest
from lockstep.rows.columns import EXACT
from lockstep.serving.cells import Broken, Read
from lockstep.spec import FLOAT32_EXACT, Column, parse_moment

if TYPE_CHECKING:
    import pyarrow as pa

Mask = npt.NDArray[np.bool_]

FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Part:
    """Of n rows: the numbers (n, slots) for the model, if it sees the column; which rows are suspicious; which hold a
    label that training never saw, if any does."""

    matrix: Matrix | None
    suspicious: Mask
    unknown: Mask | None = None


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What is known of a declared column: its rules (`read` is the service's), and what the model learned of it."""

    name: str
    column: Column
    read: Read
    feature: Feature | None
    style: Style

    def __call__(self, values: pa.Array) -> Part:
        """Judge n cells. Raises `InputError` when a column of such a type cannot be read at all."""
        typed = _TYPED.get((self.column.type, _kind(values.type)))
        if typed is None:
            return self._by_distinct_value(values)
        numbers, suspicious = typed(values, self)
        return Part(self.encode(numbers), suspicious)

    def encode(self, typed: npt.NDArray[Any]) -> Matrix | None:
        """Typed values (n,) as the model reads them, by the code that training used."""
        if self.feature is None:
            return None
        with np.errstate(over="ignore"):  # such rows are suspicious
            return Encoding((self.feature,)).encode({self.name: typed}, self.style)

    @property
    def required(self) -> bool:
        """Does a missing value break a rule?"""
        return self.rule(None) is not None

    def rule(self, value: Any) -> str | None:
        """The rule, in words, that a cell breaks as a caller would send it."""
        try:
            self.read(value)
        except Broken as broken:
            return str(broken)
        return None

    def _by_distinct_value(self, values: pa.Array) -> Part:
        import pyarrow as pa

        insist_on_scalars(values.type, self.name)
        if pa.types.is_null(values.type) or pa.types.is_string_view(values.type):
            values = values.cast(pa.string())
        coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        sent = [*as_sent(coded.dictionary, self.name, self.column), None]
        codes = coded.indices.fill_null(len(sent) - 1).to_numpy(zero_copy_only=False)
        bad = np.array([self.rule(value) is not None for value in sent], dtype=bool)
        read = [None if wrong else self.read(value) for value, wrong in zip(sent, bad, strict=True)]
        encoded = self.encode(_array(read, self.column.type))
        return Part(None if encoded is None else encoded[codes], bad[codes], self._unknown(read, codes))

    def _unknown(self, read: list[Any], codes: npt.NDArray[Any]) -> Mask | None:
        if self.feature is None or self.column.type != "category":
            return None
        known = {*self.feature.labels, None}
        named = [digest(label) if label is not None and self.feature.private else label for label in read]
        new = np.array([label not in known for label in named], dtype=bool)
        return np.asarray(new[codes]) if new.any() else None


def _array(read: list[Any], kind: str) -> npt.NDArray[Any]:
    """Typed values as `Encoding.encode` takes them."""
    if kind == "category":
        return np.array([*read, None], dtype=object)[:-1]
    if kind == "datetime":
        return np.array(read, dtype="datetime64[us]")
    return np.array([np.nan if value is None else float(value) for value in read], dtype=np.float64)


def _kind(type: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_integer(type) or pa.types.is_floating(type):
        return "number"
    if pa.types.is_boolean(type):
        return "boolean"
    return "datetime" if pa.types.is_timestamp(type) or pa.types.is_date(type) else "other"


def _floats(values: pa.Array) -> npt.NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    made: npt.NDArray[np.float64] = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return made


def _beyond(numbers: npt.NDArray[Any], judge: Judge, widest: float) -> Mask:
    """Missing where it must not be, outside the bounds, or larger than `widest` either way."""
    missing = np.isnan(numbers)
    bad = missing if judge.required else np.zeros(len(numbers), dtype=bool)
    low, high = getattr(judge.column, "min", None), getattr(judge.column, "max", None)
    lowest = -widest if low is None else max(low, -widest)
    highest = widest if high is None else min(high, widest)
    inside = (numbers >= lowest) & (numbers <= highest)
    return np.asarray(bad | ~(inside | missing))


def _number(values: pa.Array, judge: Judge) -> tuple[npt.NDArray[Any], Mask]:
    import pyarrow as pa

    numbers = _floats(values)
    # Beyond 2^53 a whole number is not what float64 makes of it: only the rules can say whether it breaks one.
    return numbers, _beyond(numbers, judge, EXACT - 1 if pa.types.is_integer(values.type) else FLOAT32_MAX)


def _integer(values: pa.Array, judge: Judge) -> tuple[npt.NDArray[Any], Mask]:
    import pyarrow as pa

    numbers = _floats(values)
    bad = _beyond(numbers, judge, FLOAT32_EXACT if judge.feature else EXACT - 1)
    if not pa.types.is_integer(values.type):
        bad |= ~np.isnan(numbers) & (numbers != np.floor(numbers))
    allowed = getattr(judge.column, "allowed", None)
    if allowed is not None:
        bad |= ~np.isnan(numbers) & ~np.isin(numbers, np.array(allowed, dtype=np.float64))
    return numbers, bad


def _boolean(values: pa.Array, judge: Judge) -> tuple[npt.NDArray[Any], Mask]:
    import pyarrow as pa

    numbers = _floats(values.cast(pa.int8()))
    return numbers, np.isnan(numbers) & judge.required


def _datetime(values: pa.Array, judge: Judge) -> tuple[npt.NDArray[Any], Mask]:
    read = moments(values)
    low = getattr(judge.column, "min", None) or "0001-01-01"
    high = getattr(judge.column, "max", None) or "9999-12-31T23:59:59.999999"
    missing = np.isnat(read)
    inside = (read >= np.datetime64(parse_moment(low), "us")) & (read <= np.datetime64(parse_moment(high), "us"))
    return read, np.asarray((missing & judge.required) | ~(inside | missing))


_TYPED: dict[tuple[str, str], Callable[[Any, Judge], tuple[npt.NDArray[Any], Mask]]] = {
    ("number", "number"): _number,
    ("integer", "number"): _integer,
    ("boolean", "boolean"): _boolean,
    ("datetime", "datetime"): _datetime,
}
"""By a column's declared type and the file's."""
