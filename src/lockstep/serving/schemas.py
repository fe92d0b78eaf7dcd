"""The schemas of the OpenAPI document: what may be sent and what is answered, by the contract. JSON Schema 2020-12."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lockstep.models.encoding import Feature
from lockstep.models.model import Learned
from lockstep.rows.roles import feature_columns, target_column
from lockstep.serving.bodies import MOST_ROWS
from lockstep.serving.cells import FLOAT32_MAX
from lockstep.serving.rows import Place
from lockstep.spec import FLOAT32_EXACT, Column, Target

Json = dict[str, Any]


def is_required(column: Column) -> bool:
    """Must a feature of this column be sent?"""
    return column.missing == "refused" and not column.private


def row(learned: Learned, example: Json) -> Json:
    """A row of `/predict`."""
    features = feature_columns(learned.contract)
    seen = {one.column: one for one in learned.encoding.features}
    sent = {name: column for name, column in learned.contract.columns.items() if column.available != "after"}
    return {
        "type": "object",
        "properties": {name: _property(column, seen.get(name), example.get(name)) for name, column in sent.items()},
        "required": [name for name, column in features.items() if is_required(column)],
        "additionalProperties": False,
        "example": example,
    }


def _property(column: Column, feature: Feature | None, example: Any) -> Json:
    made = _SCHEMAS[column.type](column, feature)
    if not (feature and is_required(column)):
        made["type"] = [made["type"], "null"]
        made["enum"] = [*made["enum"], None] if made.get("enum") else None
    unit = getattr(column, "unit", "")
    sentences = [column.about, f"in {unit}" if unit else "", "" if feature else "not seen by the model"]
    made["description"] = "; ".join(sentence for sentence in sentences if sentence)
    made["x-unit"] = unit
    made["examples"] = [example] if example is not None else None
    return {key: value for key, value in made.items() if value not in (None, "")}


def _number(column: Any, feature: Feature | None) -> Json:
    low, high = (-FLOAT32_MAX, FLOAT32_MAX) if feature else (None, None)
    return {
        "type": "number",
        "minimum": low if column.min is None else column.min,
        "maximum": high if column.max is None else column.max,
    }


def _integer(column: Any, feature: Feature | None) -> Json:
    low, high = (-FLOAT32_EXACT, FLOAT32_EXACT) if feature else (None, None)
    return {
        "type": "integer",
        "minimum": low if column.min is None else column.min,
        "maximum": high if column.max is None else column.max,
        "enum": column.allowed,
    }


def _boolean(column: Any, feature: Feature | None) -> Json:
    return {"type": "boolean"}


def _category(column: Any, feature: Feature | None) -> Json:
    kept = feature and is_required(column)
    allowed = column.allowed
    if feature and column.unknown == "refused" and not column.private:
        allowed = [label for label in feature.labels if allowed is None or label in allowed]
    return {"type": "string", "minLength": 1 if kept else None, "enum": allowed}


_DAY = r"(?!0000)\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_TIME = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?"
_ZONE = r"(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)"


def _datetime(column: Any, feature: Feature | None) -> Json:
    return {
        "type": "string",
        "pattern": f"^{_DAY}([T ]{_TIME}{_ZONE}?)?$",
        "x-earliest": column.min,
        "x-latest": column.max,
    }


_SCHEMAS: dict[str, Any] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "category": _category,
    "datetime": _datetime,
}


def answer(learned: Learned) -> Json:
    """What is answered to a row."""
    target, share = learned.contract.target, {"type": "number", "minimum": 0, "maximum": 1}
    match learned.task:
        case "binary":
            own = {
                "label": {"type": "boolean", "description": f"is `{target.column}` predicted to be {target.positive}?"},
                "probability": {**share, "description": f"that `{target.column}` is {target.positive}"},
                "threshold": {**share, "description": "from this probability on the label is true"},
            }
        case "multiclass":
            own = {
                "label": {"type": "string", "enum": list(learned.classes)},
                "probability": {**share, "description": "of the label"},
                "probabilities": {"type": "object", "additionalProperties": share},
            }
        case "regression":
            own = {"value": {"type": "number", "description": f"of `{target.column}`", "x-unit": target.unit}}
    shared = {
        "version": {"type": "string", "description": "of the release"},
        "model": {"type": "string", "description": "the first characters of the model's fingerprint"},
        "request": {"type": "string", "description": "by which feedback finds its prediction"},
    }
    return {"type": "object", "properties": own | shared, "required": [*own, *shared]}


def outcome(target: Target, classes: Sequence[str]) -> Json:
    """An item of `/feedback`; `classes` are all that the target can be, where there are any."""
    kind = {"boolean": "boolean", "integer": "integer", "number": "number"}.get(target_column(target).type, "string")
    told: Json = {"type": kind, "description": f"what `{target.column}` turned out to be"}
    if kind == "string":
        told |= {"enum": list(classes)} if classes else {"minLength": 1}
    return {
        "type": "object",
        "properties": {
            "request": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
            "row": {"type": "integer", "minimum": 0, "maximum": MOST_ROWS - 1, "default": 0},
            "outcome": told,
        },
        "required": ["request", "outcome"],
        "additionalProperties": False,
    }


def refusal(place: Place) -> Json:
    """A refusal, which says where it is wrong in the words of `place`."""
    problem = {
        place.whole: {"type": "integer", "description": f"which {place.whole}, from 0"},
        place.part: {"type": ["string", "null"]},
        "value": {"description": f"as it was sent; left out for a private or undeclared {place.part}"},
        "rule": {"type": "string"},
    }
    items = {"type": "object", "properties": problem, "required": [place.whole, place.part, "rule"]}
    return {
        "type": "object",
        "properties": {
            "error": {"type": "string"},
            "request": {"type": "string"},
            "problems": {"type": "array", "items": items},
            "more": {"type": "integer", "description": "how many problems there are beyond those listed"},
        },
        "required": ["error", "request"],
    }
