"""From typed values to the float32 matrix a model reads. Training, evaluation and serving all come through here.

Only the spec and numpy: a service loads this module, and neither pandas nor scikit-learn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lockstep.rows.roles import feature_columns
from lockstep.spec import Contract

Columns = Mapping[str, npt.NDArray[Any]]
"""Values by column, each (n,): float64 with NaN, object of `str | None`, or datetime64[us] with NaT."""

Style = Literal["codes", "indicators"]
"""`codes`: a label unknown or missing is NaN, for models that read NaN.
`indicators`: missing labels have a code of their own and unknown ones are -1, and each number that may be missing is
followed by a 0/1 feature that says so, for models whose first step is imputing and one-hot."""

Matrix = npt.NDArray[np.float32]


def _days(moments: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return moments.astype("datetime64[D]").astype(np.int64)


def _iso_week(moments: npt.NDArray[Any]) -> npt.NDArray[Any]:
    thursday = (_days(moments) + 3) // 7 * 7
    day = thursday.astype("datetime64[D]")
    return np.asarray((thursday - _days(day.astype("datetime64[Y]"))) // 7 + 1)


PARTS: dict[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "year": lambda t: t.astype("datetime64[Y]").astype(np.int64) + 1970,
    "quarter": lambda t: t.astype("datetime64[M]").astype(np.int64) % 12 // 3 + 1,
    "month": lambda t: t.astype("datetime64[M]").astype(np.int64) % 12 + 1,
    "week": _iso_week,
    "day": lambda t: _days(t) - _days(t.astype("datetime64[M]")) + 1,
    "day_of_year": lambda t: _days(t) - _days(t.astype("datetime64[Y]")) + 1,
    "weekday": lambda t: (_days(t) + 3) % 7,
    "hour": lambda t: t.astype("datetime64[h]").astype(np.int64) % 24,
    "minute": lambda t: t.astype("datetime64[m]").astype(np.int64) % 60,
}
"""Parts of a moment, as whole numbers; weekday 0 is Monday, week is ISO 8601."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A column as the model sees it; `labels` are a category's, in the order of their codes."""

    column: str
    type: str
    may_miss: bool
    private: bool = False
    parts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One column of the matrix: its name, its kind, and for labels how many codes there are."""

    name: str
    kind: Literal["number", "flag", "label"]
    codes: int = 0


@dataclass(frozen=True)
class Encoding:
    """What was learned from training rows to turn columns into a matrix."""

    features: tuple[Feature, ...]

    def slots(self, style: Style) -> list[Slot]:
        """The matrix's columns, in order."""
        return [slot for feature in self.features for slot in _slots(feature, style)]

    def encode(self, columns: Columns, style: Style) -> Matrix:
        """Columns of n values → (n, slots) float32, C-contiguous. A column that is absent counts as missing."""
        n = len(next(iter(columns.values())))
        parts = [part for feature in self.features for part in _encode(feature, columns.get(feature.column), n, style)]
        matrix = np.empty((n, len(parts)), dtype=np.float32)
        for position, values in enumerate(parts):
            matrix[:, position] = values
        return matrix

    def unknown(self, columns: Columns) -> dict[str, int]:
        """How many values of each category column are labels that training never saw."""
        counts = {}
        for feature in self.features:
            if feature.type == "category" and feature.column in columns:
                codes = _codes(feature, columns[feature.column], missing=0.0, unknown=-1.0)
                counts[feature.column] = int((codes == -1.0).sum())
        return counts


def learn(contract: Contract, columns: Columns) -> Encoding:
    """Learn labels from training columns; codes follow the sorted labels."""
    return Encoding(
        tuple(
            Feature(
                column=name,
                type=column.type,
                may_miss=column.missing == "allowed",
                private=column.private,
                parts=tuple(getattr(column, "parts", ())),
                labels=_learn_labels(columns[name], column.private) if column.type == "category" else (),
            )
            for name, column in feature_columns(contract).items()
        )
    )


def from_rows(rows: Sequence[Mapping[str, Any]], contract: Contract) -> dict[str, npt.NDArray[Any]]:
    """Rows as a caller sends them (JSON values; moments as ISO 8601 text) → columns. Absent and null are missing."""
    return {
        name: _CALLER_TYPES[column.type]([row.get(name) for row in rows])
        for name, column in feature_columns(contract).items()
    }


def digest(label: str) -> str:
    """What is kept of a private column's label: enough to recognise it, not to read it (BLAKE2b, 64 bits)."""
    return hashlib.blake2b(label.encode(), digest_size=8).hexdigest()


def _learn_labels(values: npt.NDArray[Any], private: bool) -> tuple[str, ...]:
    seen = {value for value in values.tolist() if value is not None}
    return tuple(sorted(map(digest, seen) if private else seen))


def _slots(feature: Feature, style: Style) -> list[Slot]:
    if feature.type == "category":
        codes = len(feature.labels) + (1 if style == "indicators" and feature.may_miss else 0)
        return [Slot(name=feature.column, kind="label", codes=codes)]
    names = [f"{feature.column}.{part}" for part in feature.parts] or [feature.column]
    slots = [Slot(name=name, kind="number") for name in names]
    if style == "indicators" and feature.may_miss:
        slots.append(Slot(name=f"{feature.column}.missing", kind="flag"))
    return slots


def _encode(feature: Feature, values: npt.NDArray[Any] | None, n: int, style: Style) -> list[npt.NDArray[Any]]:
    if feature.type == "category":
        own, other = (float(len(feature.labels)), -1.0) if style == "indicators" else (np.nan, np.nan)
        return [np.full(n, own) if values is None else _codes(feature, values, missing=own, unknown=other)]
    if values is None:
        values = np.full(n, np.nan) if feature.type != "datetime" else np.full(n, np.datetime64("NaT", "us"))
    missing = np.isnat(values) if feature.type == "datetime" else np.isnan(values)
    encoded = [np.where(missing, np.nan, PARTS[part](values)) for part in feature.parts] or [values]
    if style == "indicators" and feature.may_miss:
        encoded.append(missing.astype(np.float64))
    return encoded


def _codes(feature: Feature, values: npt.NDArray[Any], *, missing: float, unknown: float) -> npt.NDArray[np.float64]:
    code: dict[str | None, float] = {label: float(position) for position, label in enumerate(feature.labels)}
    code[None] = missing
    listed = values.tolist()
    if feature.private:
        listed = [None if value is None else digest(value) for value in listed]
    return np.fromiter((code.get(value, unknown) for value in listed), dtype=np.float64, count=len(listed))


def _floats(values: list[Any]) -> npt.NDArray[Any]:
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)


def _labels(values: list[Any]) -> npt.NDArray[Any]:
    return np.array([None if value is None or value == "" else str(value) for value in values], dtype=object)


def _moments(values: list[Any]) -> npt.NDArray[Any]:
    return np.array(["NaT" if value is None else value for value in values], dtype="datetime64[us]")


_CALLER_TYPES: dict[str, Callable[[list[Any]], npt.NDArray[Any]]] = {
    "number": _floats,
    "integer": _floats,
    "boolean": _floats,
    "category": _labels,
    "datetime": _moments,
}
