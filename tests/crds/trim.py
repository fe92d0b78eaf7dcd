"""Make a strict JSON schema of a CustomResourceDefinition: `python trim.py CRD.yaml [PATH…] > kind.json`.

Descriptions go, and so does what stands at each PATH (such as spec.template): no manifest of ours says anything there.
A property that is not declared is an error, as for `kubectl apply --validate=strict`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

KEPT = ("type", "required", "enum", "pattern", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength")
NESTED = ("anyOf", "oneOf", "allOf")


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The parts of an OpenAPI schema that a JSON schema knows, closed against undeclared properties."""
    made: dict[str, Any] = {key: schema[key] for key in KEPT if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    for key in NESTED:
        if key in schema and not schema.get("x-kubernetes-int-or-string"):
            made[key] = schema[key]
    if "items" in schema:
        made["items"] = strict(schema["items"])
    if "properties" in schema:
        made["properties"] = {name: strict(each) for name, each in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = strict(schema["additionalProperties"])
    elif "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    return made


def without(schema: dict[str, Any], path: str) -> None:
    """Take out the property at a dotted path, through lists as if they were not there."""
    *parents, last = path.split(".")
    for name in parents:
        schema = schema["properties"][name]
        schema = schema.get("items", schema)
    del schema["properties"][last]


if __name__ == "__main__":
    definition = yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8"))
    stored = next(each for each in definition["spec"]["versions"] if each["storage"])
    schema = strict(stored["schema"]["openAPIV3Schema"])
    for path in sys.argv[2:]:
        without(schema, path)
    schema["properties"]["metadata"] = {"type": "object"}
    print(json.dumps(schema, sort_keys=True, separators=(",", ":")))
