"""One cell of a caller's row: by a column's declaration, a value is taken, or there is a rule that it breaks.

A caller's rows are JSON values; moments are ISO 8601 text. What training would have taken to mean the same is taken;
what training would have put in quarantine is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from lockstep.errors import nearest
from lockstep.models.encoding import Feature, digest
from lockstep.spec import FLOAT32_EXACT, Boolean, Category, Column, Datetime, Integer, Number, parse_moment

Read = Callable[[Any], Any]
"""A JSON value → what it stands for: float, true/false, text, a moment without zone, or None where it is missing."""

MISSING = "must be given"
"""The rule that a missing value breaks."""

INT64 = 2**63
FLOAT32_MAX, FLOAT64_MAX = float(np.finfo(np.float32).max), float(np.finfo(np.float64).max)
"""Beyond these a column's type, or the model's float32, holds nothing."""

_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)
_MOMENT = 'a date or time, such as "2013-01-31T06:00" (with a zone it is converted to UTC)'

_SHORT, _FEW = 64, 200
"""Longer words, or among more words, have no nearest match: looking for it would take too long."""

_LISTED = 20
"""So many allowed values are listed."""


class Broken(Exception):
    """A value breaks a rule; the text is the rule. `among` are the words of which the value may be a misspelling."""

    def __init__(self, rule: str, among: Iterable[str] = ()) -> None:
        super().__init__(rule)
        self._among = among

    def hinted(self, value: Any) -> str:
        """The rule, with the nearest match of the value where there is one. Costs much more than the rule alone."""
        hint = near(value, sorted(self._among)) if isinstance(value, str) else ""
        return f"{self}.{hint}" if hint else str(self)


def reader(column: Column, feature: Feature | None) -> Read:
    """How a declared column's value is read; `feature` is what the model learned of it, where the model sees it.

    The function raises `Broken`. The model must answer without its private columns (golden rows leave them out), and
    columns that it does not see may always be left out.
    """
    required = feature is not None and column.missing == "refused" and not column.private
    make = _READERS[column.type]
    return make(column, feature, required)


def near(word: str, words: list[str]) -> str:
    """`errors.nearest` for words that a caller wrote, which may be very long."""
    return nearest(word, words) if len(word) <= _SHORT and len(words) <= _FEW else ""


def _missing(required: bool) -> None:
    if required:
        raise Broken(MISSING)


def _plain(limit: float) -> str:
    return str(int(limit)) if float(limit).is_integer() and abs(limit) < 1e15 else repr(limit)


def _bounds(low: float | None, high: float | None, widest: float) -> tuple[float, float]:
    return (-widest if low is None else max(low, -widest), widest if high is None else min(high, widest))


def _number(column: Number, feature: Feature | None, required: bool) -> Read:
    low, high = _bounds(column.min, column.max, FLOAT32_MAX if feature else FLOAT64_MAX)

    def read(value: Any) -> float | None:
        kind = value.__class__
        if kind is float or kind is int:
            if low <= value <= high:
                return float(value) if kind is int else value
            raise Broken(_outside(value, low, high, "a finite number"))
        if value is None:
            _missing(required)
            return None
        raise Broken("a number")

    return read


def _integer(column: Integer, feature: Feature | None, required: bool) -> Read:
    low, high = _bounds(column.min, column.max, FLOAT32_EXACT if feature else INT64 - 1)
    allowed = None if column.allowed is None else frozenset(column.allowed)

    def read(value: Any) -> float | None:
        kind = value.__class__
        if kind is int or (kind is float and value.is_integer()):
            if not low <= value <= high:
                raise Broken(_outside(value, low, high, "a whole number"))
            if allowed is not None and value not in allowed:
                raise Broken(f"one of {_listed(column.allowed or [])}")
            return float(value) if feature else value
        if value is None:
            _missing(required)
            return None
        raise Broken("a whole number")

    return read


def _outside(value: float, low: float, high: float, kind: str) -> str:
    if value != value or value in (np.inf, -np.inf):
        return kind
    return f"at least {_plain(low)}" if value < low else f"at most {_plain(high)}"


def _boolean(column: Boolean, feature: Feature | None, required: bool) -> Read:
    def read(value: Any) -> bool | None:
        if value is True or value is False:
            return value
        if value is None:
            _missing(required)
            return None
        raise Broken("true or false")

    return read


def _category(column: Category, feature: Feature | None, required: bool) -> Read:
    allowed = None if column.allowed is None else frozenset(column.allowed)
    known = frozenset(feature.labels) if feature and column.unknown == "refused" else None

    def read(value: Any) -> str | None:
        if value.__class__ is str:
            if value == "":
                _missing(required)
                return None
            if allowed is not None and value not in allowed:
                raise Broken(f"one of {_listed(column.allowed or [])}", allowed)
            if known is not None and (digest(value) if column.private else value) not in known:
                raise Broken("a label that the model knows", () if column.private else known)
            return str(value)
        if value is None:
            _missing(required)
            return None
        raise Broken("text, in quotes" if value.__class__ in (int, float, bool) else "text")

    return read


def _listed(values: list[Any]) -> str:
    more = f", … ({len(values)} in all)" if len(values) > _LISTED else ""
    return ", ".join(str(value) for value in values[:_LISTED]) + more


def _datetime(column: Datetime, feature: Feature | None, required: bool) -> Read:
    low = datetime.min if column.min is None else parse_moment(column.min)  # noqa: DTZ901  (moments have no zone)
    high = datetime.max if column.max is None else parse_moment(column.max)  # noqa: DTZ901
    matches = _ISO.fullmatch

    def read(value: Any) -> datetime | None:
        if value.__class__ is str and matches(value):
            moment = _moment(value)
            if low <= moment <= high:
                return moment
            raise Broken(f"at least {column.min}" if moment < low else f"at most {column.max}")
        if value is None:
            _missing(required)
            return None
        raise Broken(_MOMENT)

    return read


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise Broken(f"{_MOMENT}; this one does not exist") from None


_READERS: dict[str, Callable[[Any, Feature | None, bool], Read]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "category": _category,
    "datetime": _datetime,
}
