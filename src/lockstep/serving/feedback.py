"""True outcomes, told by callers: which request and row they are about, and what the target turned out to be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lockstep.rows.roles import target_column
from lockstep.serving.bodies import MOST_ROWS
from lockstep.serving.cells import MISSING, Broken, near, reader
from lockstep.serving.rows import HINTS, STRANGERS, Place, Problem, presentable, rest
from lockstep.spec import Target

REQUEST = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What a request may be called."""

KEYS = ("request", "row", "outcome")

NO_KEY = "to be left out: feedback has no such key"

ITEM = Place(whole="item", part="key", parts="keys", law="the rules of feedback")
"""Where something is wrong; `row` is what an item itself says."""


class Feedback:
    """The rules for outcomes of one target; `classes` are all that it can be, where there are any."""

    def __init__(self, target: Target, classes: Sequence[str] = ()) -> None:
        read = reader(target_column(target), None)

        def outcome(value: Any) -> Any:
            if value is None or value == "":
                raise Broken(MISSING)
            told = read(value)
            if classes and told not in classes:
                raise Broken(f"one of {', '.join(classes)}", classes)
            return told

        self._readers = {"request": _request, "row": _row, "outcome": outcome}

    def read(self, items: Sequence[Any]) -> tuple[list[dict[str, Any]], list[Problem]]:
        """What is to be logged of each item, and what is wrong with any."""
        taken, problems = [], []
        for at, item in enumerate(items):
            if not isinstance(item, dict):
                rule = f"must be an object with {', '.join(KEYS)}"
                problems.append(Problem(row=at, column=None, value=None, rule=rule, withheld=True))
                continue
            values: dict[str, Any] = {}
            for key, read in self._readers.items():
                try:
                    values[key] = read(item.get(key))
                except Broken as broken:
                    given = item.get(key)
                    rule = broken.hinted(given) if len(problems) < HINTS else str(broken)
                    problems.append(Problem(row=at, column=key, value=presentable(given), rule=rule))
            others = [name for name in item if name not in KEYS]
            problems += _others(at, others[:STRANGERS], hints=len(problems) < HINTS) + rest(at, len(others), NO_KEY)
            taken.append(values)
        return taken, problems


def _others(at: int, names: list[str], *, hints: bool) -> list[Problem]:
    return [
        Problem(
            row=at,
            column=presentable(name),
            value=None,
            rule=NO_KEY + (f".{hint}" if (hint := hints and near(name, [*KEYS])) else ""),
            withheld=True,
        )
        for name in names
    ]


def _request(value: Any) -> str:
    if isinstance(value, str) and REQUEST.fullmatch(value):
        return value
    raise Broken("the id of a request, as its answer gave it" if value is not None else MISSING)


def _row(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MOST_ROWS and value % 1 == 0:
        return int(value)
    raise Broken(f"the position of the row in its request, from 0 to {MOST_ROWS - 1}")
