"""The rule book: rows as a caller sends them, judged by the contract. Service and batch refuse by the same words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstep.models.model import Learned
from lockstep.rows.roles import declared
from lockstep.serving.cells import MISSING, Broken, Read, near, reader

AFTER = "to be left out: it is known only after the moment of prediction"
OUTCOME = "to be left out: it is what the model predicts"
UNKNOWN = "to be left out: the contract has no such column"
TWICE = "to be given once"
NO_ROW = "a row must be an object of columns and values"

SHOWN = 100
"""So many characters of a text are shown again to its sender."""

HINTS = 10
"""So many problems get a nearest match, which costs more than to find them."""

STRANGERS = 20
"""So many names of a row that are not the contract's are named; a body may hold half a million of them."""

Typed = list[Any]
"""A row's features in the model's order: float, true/false, text or a moment; None where one is missing."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The words for where a problem is: in a part of a whole, which breaks a law."""

    whole: str
    part: str
    parts: str
    law: str


ROW = Place(whole="row", part="column", parts="cells", law="the contract")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A bad cell: where it is, what was sent, and the rule that it breaks. Without a column: the row as a whole.

    `value` is None where nothing was sent, and also where it may not be shown: `withheld` then says so.
    """

    row: int
    column: str | None
    value: Any
    rule: str
    withheld: bool = False

    def to_dict(self, place: Place = ROW) -> dict[str, Any]:
        """As an answer names it; the value of a private column is left out."""
        shown = {} if self.withheld else {"value": self.value}
        return {place.whole: self.row, place.part: self.column, **shown, "rule": self.rule}


@dataclass(frozen=True)
class Checker:
    """The rules of a model's contract, ready to be applied.

    Only features can be required. Other declared columns may be sent, and are judged if they are. What is known only
    after the prediction, and the target, may only be null; what the contract does not know is refused.
    """

    learned: Learned
    features: dict[str, Read] = field(init=False, repr=False)
    others: dict[str, Read] = field(init=False, repr=False)
    private: frozenset[str] = field(init=False, repr=False)
    _readers: list[tuple[str, Read]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        contract, seen = self.learned.contract, {one.column: one for one in self.learned.encoding.features}
        columns = declared(contract)
        readers = {name: reader(column, seen.get(name)) for name, column in columns.items()}
        for name, column in columns.items():
            if name == contract.target.column:
                readers[name] = _refused(OUTCOME)
            elif column.available == "after":
                readers[name] = _refused(AFTER)
        for key, value in {
            "features": {name: readers[name] for name in seen},
            "others": {name: read for name, read in readers.items() if name not in seen},
            "private": frozenset(name for name, column in columns.items() if column.private),
            "_readers": [(name, readers[name]) for name in seen],
        }.items():
            object.__setattr__(self, key, value)

    def check(self, rows: Sequence[Any]) -> list[Problem]:
        """Every bad cell of every row, in the rows' order; empty when all may be served."""
        return self.read(rows)[1]

    def read(self, rows: Sequence[Any]) -> tuple[list[Typed], list[Problem]]:
        """The rows' features, one list a row that breaks no rule, and every bad cell."""
        typed: list[Typed] = []
        problems: list[Problem] = []
        readers, known = self._readers, self.features.keys()
        for at, row in enumerate(rows):
            try:
                if row.keys() <= known:
                    typed.append([read(row.get(name)) for name, read in readers])
                    continue
            except (Broken, AttributeError):
                pass  # by the long way every bad cell is found
            found = self._long_way(at, row, hints=HINTS - len(problems))
            if found:
                problems += found
            else:
                typed.append([read(row.get(name)) for name, read in readers])
        return typed, problems

    def _long_way(self, at: int, row: Any, *, hints: int) -> list[Problem]:
        """The bad cells of one row: features in the model's order, then what else was sent."""
        if not isinstance(row, dict):
            return [Problem(row=at, column=None, value=None, rule=NO_ROW, withheld=True)]
        found: list[Problem] = []
        for name, read in [*self._readers, *((name, self.others[name]) for name in row if name in self.others)]:
            try:
                read(row.get(name))
            except Broken as broken:
                rule = broken.hinted(row[name]) if len(found) < hints and name in row else str(broken)
                found.append(self._problem(at, name, row.get(name), rule))
        unknown = [name for name in row if name not in self.features and name not in self.others]
        for name in unknown[:STRANGERS]:
            found.append(self._unknown(at, name, row, hint=len(found) < hints))
        return found + rest(at, len(unknown), UNKNOWN)

    def _problem(self, at: int, name: str, value: Any, rule: str) -> Problem:
        withheld = name in self.private and rule != MISSING
        return Problem(
            row=at, column=name, value=None if withheld else presentable(value), rule=rule, withheld=withheld
        )

    def _unknown(self, at: int, name: str, row: dict[str, Any], *, hint: bool) -> Problem:
        """A column that the contract does not know. Its value is not shown: it may be a private one, misspelt."""
        meant = self._meant(name, row) if hint else ""
        rule = f"{UNKNOWN}.{meant}" if meant else UNKNOWN
        return Problem(row=at, column=presentable(name), value=None, rule=rule, withheld=True)

    def _meant(self, name: str, row: dict[str, Any]) -> str:
        """The nearest of the columns that the row lacks, or else of all."""
        columns = [*self.features, *self.others]
        return near(name, [column for column in columns if column not in row]) or near(name, columns)


def rest(row: int, names: int, rule: str) -> list[Problem]:
    """One problem for all names of a row beyond the first `STRANGERS`; none where there are no more."""
    more = names - STRANGERS
    if more <= 0:
        return []
    return [Problem(row=row, column=None, value=None, rule=f"{more:,} more names: {rule}", withheld=True)]


def _refused(rule: str) -> Read:
    def read(value: Any) -> None:
        if value is not None:
            raise Broken(rule)

    return read


def presentable(value: Any) -> Any:
    """A value in an answer: scalars as they are, long texts cut, anything nested by its kind.

    >>> [presentable(value) for value in (-3, "x" * 200, {"a": [1]}, float("nan"))][1:]
    ['xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…', \
'an object', 'nan']
    """
    if isinstance(value, str):
        text = value[:SHOWN].encode(errors="replace").decode()
        return f"{text}…" if len(value) > SHOWN else text
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, float) and value - value != 0:
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return f"{value:.6e}" if abs(value) < 10**300 else "a very large number"
    return value
