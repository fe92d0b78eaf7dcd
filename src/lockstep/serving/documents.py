"""What the contract says, for people and their programs: `/contract`, and the OpenAPI document behind the page `/`."""

from __future__ import annotations

from html import escape

from lockstep.models.model import Learned
from lockstep.rows.roles import feature_columns
from lockstep.serving import schemas
from lockstep.serving.bodies import MOST_BYTES, MOST_ROWS
from lockstep.serving.feedback import ITEM
from lockstep.serving.rows import ROW
from lockstep.serving.schemas import Json

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="stylesheet" href="./static_content/swagger-ui.css">
<style>body {{ margin: 0 }} .topbar {{ display: none }}</style>
</head>
<body>
<div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script src="./static_content/swagger-ui-standalone-preset.js"></script>
<script src="./static_content/swagger-initializer.js"></script>
</body>
</html>
"""


def page(named: Json) -> bytes:
    """The page that shows the OpenAPI document, by the files that BentoML brings.

    Without BentoML's tag manager, which would tell a third party of every visit, and its style, which hides the title.
    """
    return _PAGE.format(title=escape(f"{named['name']} {named['version']}")).encode()


def contract(learned: Learned, named: Json, example: Json) -> Json:
    """The contract as callers need it: what may be sent, what must be, what is answered."""
    features = feature_columns(learned.contract)
    labels = {one.column: one for one in learned.encoding.features}
    columns = {}
    for name, column in learned.contract.columns.items():
        told = column.model_dump(mode="json", exclude_none=True, exclude={"max_values"})
        told["feature"] = name in features
        told["accepted"] = column.available != "after"
        told["required"] = name in features and schemas.is_required(column)
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
                "Row": schemas.row(learned, example),
                "Answer": schemas.answer(learned),
                "Outcome": schemas.outcome(target, learned.classes),
                "Refusal": schemas.refusal(ROW),
                "RefusedFeedback": schemas.refusal(ITEM),
            }
        },
    }


def _paths(example: Json) -> Json:
    size = f"a list of 1 to {MOST_ROWS:,} of them; at most {MOST_BYTES >> 20} MiB, gzip is understood"
    refusals = {
        "400": _json("Not JSON, or rows that break the contract: all bad cells at once", "Refusal"),
        "413": _json("Too many rows or bytes", "Refusal"),
        "415": _json("Not application/json", "Refusal"),
        "408": _json("The body took too long to arrive", "Refusal"),
        "500": _json("The service failed: no fault of the request", "Refusal"),
        "503": _json("Too much is waiting: try again after as long as `retry-after` says", "Refusal"),
    }
    wrong = _json("Not JSON, or outcomes that cannot be right: all that is wrong at once", "RefusedFeedback")
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
                    "202": {"description": "Taken; `kept` says how many belong to requests that are logged"},
                    "404": _json("This service keeps no prediction log", "Refusal"),
                }
                | refusals
                | {"400": wrong},
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
