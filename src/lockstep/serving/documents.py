"""What the contract says, for people and their programs: `/contract`, and the OpenAPI document behind the page `/`."""

from __future__ import annotations

from typing import Any

from lockstep.models.model import Learned
from lockstep.rows.roles import feature_columns, target_column
from lockstep.serving.bodies import MOST_BYTES, MOST_ROWS
from lockstep.spec import FLOAT32_EXACT, Column, Target

Json = dict[str, Any]

PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Lockstep: the service</title>
<link rel="stylesheet" href="./static_content/swagger-ui.css">
<link rel="stylesheet" href="./static_content/index.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script src="./static_content/swagger-ui-standalone-preset.js"></script>
<script src="./static_content/swagger-initializer.js"></script>
</body>
</html>
"""
"""BentoML's OpenAPI page without its tag manager, which would tell a third party of every visit."""


def contract(learned: Learned, named: Json, example: Json) -> Json:
    """The contract as callers need it: what may be sent, what must be, what is answered."""
    features = feature_columns(learned.contract)
    labels = {one.column: one for one in learned.encoding.features}
    columns = {}
    for name, column in learned.contract.columns.items():
        told = column.model_dump(mode="json", exclude_none=True, exclude={"max_values"})
        told["required"] = name in features and _is_required(column)
        if column.type == "category" and name in labels and not column.private:
            told["labels"] = list(labels[name].labels)
        if name in example:
            told["example"] = example[name]
        columns[name] = told
    target = learned.contract.target.model_dump(mode="json", exclude_none=True)
    made = {**named, "target": target, "key": learned.contract.key, "columns": columns, "example": example}
    if learned.task == "binary":
        made["threshold"] = learned.cut
    if learned.classes:
        made["classes"] = list(learned.classes)
    return made


def openapi(learned: Learned, named: Json, example: Json) -> Json:
    """The OpenAPI 3.1 document; the schemas of a row and of an answer come from the contract."""
    target = learned.contract.target
    about = f"`{target.column}`" + (f": {target.about}" if target.about else "")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": str(named["name"]),
            "version": str(named["version"]),
            "description": f"Predicts {about}. Model {named['model']}.",
        },
        "paths": _paths(example),
        "components": {
            "schemas": {
                "Row": _row(learned, example),
                "Answer": _answer(learned),
                "Outcome": _outcome(target),
                "Refusal": _REFUSAL,
            }
        },
    }


def _is_required(column: Column) -> bool:
    return column.missing == "refused" and not column.private


def _row(learned: Learned, example: Json) -> Json:
    features = feature_columns(learned.contract)
    sent = {name: column for name, column in learned.contract.columns.items() if column.available != "after"}
    return {
        "type": "object",
        "properties": {name: _property(column, name in features, example.get(name)) for name, column in sent.items()},
        "required": [name for name, column in features.items() if _is_required(column)],
        "additionalProperties": False,
        "example": example,
    }


def _property(column: Column, feature: bool, example: Any) -> Json:
    made = _SCHEMAS[column.type](column, feature)
    kept = feature and _is_required(column)
    if not kept:
        made["type"] = [made["type"], "null"]
        made["enum"] = [*made["enum"], None] if made.get("enum") else None
    unit = getattr(column, "unit", "")
    sentences = [column.about, f"in {unit}" if unit else "", "" if feature else "not seen by the model"]
    made["description"] = "; ".join(sentence for sentence in sentences if sentence)
    made["x-unit"] = unit
    made["examples"] = [example] if example is not None else None
    return {key: value for key, value in made.items() if value not in (None, "")}


def _number(column: Any, feature: bool) -> Json:
    return {"type": "number", "minimum": column.min, "maximum": column.max}


def _integer(column: Any, feature: bool) -> Json:
    low, high = (-FLOAT32_EXACT, FLOAT32_EXACT) if feature else (None, None)
    return {
        "type": "integer",
        "minimum": low if column.min is None else column.min,
        "maximum": high if column.max is None else column.max,
        "enum": column.allowed,
    }


def _boolean(column: Any, feature: bool) -> Json:
    return {"type": "boolean"}


def _category(column: Any, feature: bool) -> Json:
    kept = feature and _is_required(column)
    return {"type": "string", "minLength": 1 if kept else None, "enum": column.allowed}


def _datetime(column: Any, feature: bool) -> Json:
    return {
        "type": "string",
        "pattern": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$",
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


def _answer(learned: Learned) -> Json:
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


def _outcome(target: Target) -> Json:
    kind = {"boolean": "boolean", "integer": "integer", "number": "number"}.get(target_column(target).type, "string")
    return {
        "type": "object",
        "properties": {
            "request": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
            "row": {"type": "integer", "minimum": 0, "maximum": MOST_ROWS - 1, "default": 0},
            "outcome": {"type": kind, "description": f"what `{target.column}` turned out to be"},
        },
        "required": ["request", "outcome"],
        "additionalProperties": False,
    }


_REFUSAL: Json = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "request": {"type": "string"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "row": {"type": "integer"},
                    "column": {"type": ["string", "null"]},
                    "value": {"description": "as it was sent; left out for private and undeclared columns"},
                    "rule": {"type": "string"},
                },
                "required": ["row", "column", "rule"],
            },
        },
        "more": {"type": "integer", "description": "how many problems there are beyond those listed"},
    },
    "required": ["error", "request"],
}


def _paths(example: Json) -> Json:
    size = f"a list of 1 to {MOST_ROWS:,} of them; at most {MOST_BYTES >> 20} MiB, gzip is understood"
    refusals = {
        "400": _json("Not JSON, or rows that break the contract: all bad cells at once", "Refusal"),
        "413": _json("Too many rows or bytes", "Refusal"),
        "415": _json("Not application/json", "Refusal"),
    }
    known = _get("Which release this is", "application/json")
    return {
        "/predict": {
            "post": {
                "summary": f"Predict one row, or {size}",
                "parameters": [_REQUEST_ID],
                "requestBody": _one_or_many("Row", example),
                "responses": {"200": _one_or_many_answers()} | refusals,
            }
        },
        "/feedback": {
            "post": {
                "summary": f"Tell what was true in the end: one outcome, or {size}",
                "parameters": [_REQUEST_ID],
                "requestBody": _one_or_many("Outcome", None),
                "responses": {
                    "202": {"description": "Taken for the prediction log"},
                    "404": _json("This service keeps no prediction log", "Refusal"),
                }
                | refusals,
            }
        },
        "/contract": _get("The columns that may be sent, with units, ranges and labels", "application/json"),
        "/version": known,
        "/openapi.json": _get("This document", "application/json"),
        "/livez": _get("Is the process alive?", "application/json"),
        "/readyz": _get("Does a golden row predict right?", "application/json", "503"),
        "/metrics": _get("Counters and durations for Prometheus", "text/plain"),
    }


_REQUEST_ID: Json = {
    "name": "x-request-id",
    "in": "header",
    "required": False,
    "description": "the caller's own id of this request; another is made where it is not of this form",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}


def _one_or_many(name: str, example: Json | None) -> Json:
    one = {"$ref": f"#/components/schemas/{name}"}
    content: Json = {"schema": {"oneOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_ROWS}]}}
    if example is not None:
        content["example"] = example
    return {"required": True, "content": {"application/json": content}}


def _one_or_many_answers() -> Json:
    one = {"$ref": "#/components/schemas/Answer"}
    schema = {"oneOf": [one, {"type": "array", "items": one}]}
    return {"description": "An answer for each row, in order", "content": {"application/json": {"schema": schema}}}


def _json(about: str, name: str) -> Json:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _get(about: str, media: str, *others: str) -> Json:
    said = {"200": {"description": "Yes" if about.endswith("?") else about, "content": {media: {}}}}
    return {"get": {"summary": about, "responses": said | {status: {"description": "No"} for status in others}}}
