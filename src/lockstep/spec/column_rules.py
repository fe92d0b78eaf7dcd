"""What must hold for each column of the contract. A rule is a function whose docstring says it; a new one is one word
in `COLUMN_RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lockstep.spec.durations import parse_moment
from lockstep.spec.messages import Finding, shown
from lockstep.spec.sections import Contract
from lockstep.spec.values import FLOAT32_EXACT

Findings = Iterator[Finding]


def is_feature(column: Any) -> bool:
    """Whether the model sees the column."""
    if not column.feature or column.available == "after":
        return False
    return column.type != "datetime" or bool(column.parts)


def limits(contract: Contract, name: str, column: Any) -> Findings:
    """The smallest value accepted is not above the largest."""
    if column.type not in ("number", "integer", "datetime") or column.min is None or column.max is None:
        return
    low, high = column.min, column.max
    if column.type == "datetime":
        low, high = parse_moment(low), parse_moment(high)
    if low > high:
        path = ("contract", "columns", name, "min")
        yield path, f"{shown(column.min)} is above `max`, {shown(column.max)}. Swap them, or correct one."


def exact_integers(contract: Contract, name: str, column: Any) -> Findings:
    """Integers that the model sees survive float32."""
    if column.type != "integer" or not is_feature(column):
        return
    here = ("contract", "columns", name)
    bounds = [((*here, key), value) for key, value in (("min", column.min), ("max", column.max)) if value is not None]
    values = [((*here, "allowed", index), value) for index, value in enumerate(column.allowed or [])]
    for path, value in [*bounds, *values]:
        if abs(value) > FLOAT32_EXACT:
            said = f"{value} is beyond {FLOAT32_EXACT} (2^24), where a model's float32 loses whole numbers"
            yield path, f"{said}. Write `type: category` or `type: number`, or `feature: false`."


def allowed_once(contract: Contract, name: str, column: Any) -> Findings:
    """No list of a column says a thing twice."""
    if column.type in ("integer", "category"):
        yield from twice(column.allowed or [], ("contract", "columns", name, "allowed"))
    if column.type == "datetime":
        yield from twice(column.parts, ("contract", "columns", name, "parts"))


def private_features(contract: Contract, name: str, column: Any) -> Findings:
    """A private column that the model sees may be missing, because golden rows and logs never hold it."""
    if not (column.private and is_feature(column) and column.missing == "refused"):
        return
    path = ("contract", "columns", name, "private")
    if name in contract.key:
        yield path, "a private column of the key may not be seen by the model. Write `feature: false`."
    elif name != contract.time:
        why = "golden rows and logs leave a private column out, so the model must answer without it too"
        yield path, f"{why}. Write `missing: allowed`, or `feature: false`."


def private_labels(contract: Contract, name: str, column: Any) -> Findings:
    """A private column has no labels in the spec, which is in git, and so is the documentation made from it."""
    if column.private and getattr(column, "allowed", None):
        path = ("contract", "columns", name, "allowed")
        yield (
            path,
            "labels of a private column would stand in git, in docs/data.md and in the model. Leave them out.",
        )


def twice(items: Sequence[Any], path: tuple[str | int, ...]) -> Findings:
    """Items that came before. 1, 1.0 and true are different things."""
    for index, item in enumerate(items):
        if item in items[:index] and [type(item), item] in [[type(other), other] for other in items[:index]]:
            yield (*path, index), f"{shown(item)} is given twice. Delete one."


COLUMN_RULES: tuple[Callable[[Contract, str, Any], Findings], ...] = (
    limits,
    exact_integers,
    allowed_once,
    private_features,
    private_labels,
)
