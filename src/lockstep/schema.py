"""The JSON Schema of the spec, by which editors complete and check params.yaml as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lockstep.spec import METRICS_OF_TASK, Spec
from lockstep.spec.durations import MOMENT_PATTERN

FILE = "schema/params.schema.json"
"""Where it lies in a repository; params.yaml names it in its first line."""

MOMENT = (
    r"^(?!0000)\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?)?$"
)
"""A date or time without a zone, as far as a pattern can tell: it knows no February."""

MODELINE = f"# yaml-language-server: $schema={FILE}"


def schema() -> dict[str, Any]:
    """The schema, as draft 7: the one that the YAML language server of editors knows whole."""
    generated = _tidied(Spec.model_json_schema())
    sections = generated["$defs"]
    sections["Ingest"]["oneOf"] = [_given(key) for key in ("source", "files")]
    sections["MetricLimit"]["oneOf"] = [_given(key) for key in ("at_least", "at_most")]
    held_out = sections["TimeSplit"]["properties"]["holdout"]
    held_out["pattern"] = held_out["pattern"].replace(r"\d+", r"0*[1-9]\d*")
    title = {"title": "params.yaml of Lockstep", "description": "The spec: the only file that knows the domain."}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **generated, **title, "allOf": _metrics_by_task()}


def text() -> str:
    """The schema as the file holds it."""
    return json.dumps(schema(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def is_current(root: Path) -> bool:
    """Whether the file in the repository is what the models say."""
    path = root / FILE
    return path.is_file() and path.read_bytes() == text().encode()


def write(root: Path) -> Path:
    """Write the schema into the repository at `root`, whole or not at all, and return its path."""
    path = root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.tmp")
    staging.write_text(text(), encoding="utf-8")
    staging.replace(path)
    return path


def _tidied(node: Any) -> Any:
    """Without what editors show badly: titles made from keys, `discriminator` (OpenAPI's, not JSON Schema's), and
    `null` as a default. With what the models cannot say: lists without duplicates, months up to 12."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _tidied(value)
        for key, value in node.items()
        if not (key == "discriminator" and "mapping" in value) and not (key == "title" and isinstance(value, str))
    }
    branches = kept.get("anyOf")
    if branches and {"type": "null"} in branches:
        rest = [branch for branch in branches if branch != {"type": "null"}]
        del kept["anyOf"]
        kept |= _or_null(rest[0]) if len(rest) == 1 and not set(rest[0]) & set(kept) else {"anyOf": branches}
    if kept.get("default", 0) is None:
        del kept["default"]
    if kept.get("items"):  # the values that a search tries may be anything; 1 and 1.0 are two of them
        kept["uniqueItems"] = True
    if kept.get("pattern") == MOMENT_PATTERN:
        kept["pattern"] = MOMENT
    return kept


def _or_null(branch: dict[str, Any]) -> dict[str, Any]:
    """The branch, or nothing after the key, in the words that editors show best."""
    if "oneOf" in branch:
        return branch | {"oneOf": [*branch["oneOf"], {"type": "null"}]}
    if "type" not in branch:
        return {"anyOf": [branch, {"type": "null"}]}
    enum = {"enum": [*branch["enum"], None]} if "enum" in branch else {}
    return branch | {"type": [branch["type"], "null"]} | enum


def _given(key: str) -> dict[str, Any]:
    """A value stands at the key, and not nothing."""
    return {"required": [key], "properties": {key: {"not": {"type": "null"}}}}


def _metrics_by_task() -> list[dict[str, Any]]:
    """For each task, the metrics that suit it."""
    return [
        {
            "if": _inside(("contract", "target", "task"), {"const": task}),
            "then": {"properties": {"evaluate": _evaluated(metrics), "gates": _gated(metrics)}},
        }
        for task, metrics in METRICS_OF_TASK.items()
    ]


def _evaluated(metrics: tuple[str, ...]) -> dict[str, Any]:
    return {"properties": {"metrics": {"items": {"enum": list(metrics)}}, "primary": {"enum": list(metrics)}}}


def _gated(metrics: tuple[str, ...]) -> dict[str, Any]:
    return {"items": {"properties": {"metric": {"enum": list(metrics)}}}}


def _inside(path: tuple[str, ...], inner: dict[str, Any]) -> dict[str, Any]:
    """`inner`, for the value at a key path whose keys are there."""
    for key in reversed(path):
        inner = {"properties": {key: inner}, "required": [key]}
    return inner
