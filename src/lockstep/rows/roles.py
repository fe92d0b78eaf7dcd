"""The declared columns: which there are, and which of them the model sees."""

from __future__ import annotations

from typing import Any

from lockstep.spec import Boolean, Category, Column, Contract, Integer, Number, Target


def target_column(target: Target) -> Column:
    """The target described as a column, so that its values are typed by the same rules."""
    common: dict[str, Any] = {"missing": "allowed", "available": "after", "about": target.about}
    if target.task == "regression":
        return Number(type="number", unit=target.unit, **common)
    if isinstance(target.positive, bool):
        return Boolean(type="boolean", **common)
    if isinstance(target.positive, int):
        return Integer(type="integer", **common)
    return Category(type="category", **common)


def declared(contract: Contract) -> dict[str, Column]:
    """Every column of a prepared row by name: the contract's, then the target."""
    return {**contract.columns, contract.target.column: target_column(contract.target)}


def feature_columns(contract: Contract) -> dict[str, Any]:
    """The declared columns that the model may see, by name."""
    return {
        name: column
        for name, column in contract.columns.items()
        if column.feature and column.available != "after" and (column.type != "datetime" or column.parts)
    }
