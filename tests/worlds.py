"""A small valid spec for tests: customers, and whether they leave.

    spec_text()                                     the text of a params.yaml, each column on one line
    spec_text({"evaluate.primary": "brier"})        with another value (dotted path, keys as in the file)
    spec_text({"contract.columns.age": DROP})       without a key
    spec_text({"contract.columns.city": {"type": "category"}})   with one key more
    write_spec(folder, {...})                       written to folder/params.yaml; returns that path
    a_spec({...})                                   read: a `Spec`, or `InputError`

Rows come from the files data/customers/*.csv with the columns customer, joined, age, balance, visits, plan, newsletter,
region, cancelled_calls (known afterwards) and left (the target: true or false); the window is the year 2024 and the
holdout its last quarter. `REGRESSION`, `MULTICLASS`, `BY_KEY` and `TIMELESS` are overrides to be combined with `|`.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockstep.spec import Spec, read_spec

DROP = object()
"""As a value in overrides: the key is left out."""

CUSTOMERS: dict[str, Any] = {
    "project": {"name": "churn", "question": "Will this customer leave within a month?"},
    "ingest": {"files": "data/customers/*.csv", "from": "2024-01-01", "until": "2025-01-01", "partition": "month"},
    "contract": {
        "key": ["customer", "joined"],
        "time": "joined",
        "target": {"column": "left", "task": "binary", "positive": True, "known_after": "1 day"},
        "columns": {
            "customer": {"type": "category", "feature": False},
            "joined": {"type": "datetime", "parts": ["month", "weekday"]},
            "age": {"type": "integer", "unit": "year", "min": 16, "max": 120},
            "balance": {"type": "number", "unit": "euro", "missing": "allowed"},
            "visits": {"type": "integer", "min": 0, "missing": "allowed"},
            "plan": {"type": "category", "allowed": ["free", "basic", "premium"]},
            "newsletter": {"type": "boolean", "missing": "allowed"},
            "region": {"type": "category", "missing": "allowed"},
            "cancelled_calls": {"type": "integer", "available": "after", "missing": "allowed"},
        },
    },
    "split": {"by": "time", "holdout": "3 months"},
    "train": {
        "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
        "params": {"learning_rate": 0.1, "max_leaf_nodes": 15},
        "seed": 7,
    },
    "evaluate": {"metrics": ["roc_auc", "log_loss", "brier"], "primary": "roc_auc", "slices": ["plan", "region"]},
}

REGRESSION: dict[str, Any] = {
    "contract.target": {"column": "revenue", "task": "regression", "unit": "euro"},
    "train.estimator": "sklearn.ensemble.HistGradientBoostingRegressor",
    "evaluate.metrics": ["mae", "rmse"],
    "evaluate.primary": "mae",
}
MULTICLASS: dict[str, Any] = {
    "contract.target": {"column": "next_plan", "task": "multiclass"},
    "evaluate.metrics": ["log_loss", "accuracy"],
    "evaluate.primary": "log_loss",
}
BY_KEY: dict[str, Any] = {"split": {"by": "key", "holdout": 0.2}}
EVERY_GATE: list[dict[str, Any]] = [
    {"metric": "roc_auc", "at_least": 0.6},
    {"metric": "roc_auc", "at_least": 0.55, "judge": "bound"},
    {"metric": "log_loss", "at_most": 0.7},
    {"metric": "roc_auc", "against": "champion", "tolerance": 0.01},
    {"metric": "roc_auc", "against": "champion", "slice": "plan", "tolerance": 0.03, "unsure": "pass"},
    {"metric": "log_loss", "against": "linear"},
    {"metric": "brier", "against": "dummy"},
    {"metric": "roc_auc", "against": "v1.2.0", "tolerance": 0.03},
    {"metric": "roc_auc", "against": "churn@v1.2.0-rc.1", "tolerance": 0.03},
    {"cost": "model_megabytes", "at_most": 20},
    {"cost": "predict_p50_ms", "at_most": 2},
    {"cost": "predict_1000_ms", "at_most": 50.5},
    {"quarantined": 0.01},
    {"calibration": 0.05},
    {"fairness": "tpr", "slice": "plan", "at_most": 0.1, "unsure": "pass"},
    {"fairness": "calibration_gap", "slice": "region", "at_most": 0.1},
    {"contract": "compatible"},
]
"""One of each kind, and of each way to write it."""

TIMELESS: dict[str, Any] = BY_KEY | {
    "ingest": {"files": "data/customers/*.csv"},
    "contract.time": DROP,
    "contract.target.known_after": DROP,
}


def spec_text(overrides: Mapping[str, Any] | None = None) -> str:
    """The text of a valid params.yaml, changed at the dotted paths of `overrides`."""
    content = copy.deepcopy(CUSTOMERS)
    for path, value in (overrides or {}).items():
        *sections, key = path.split(".")
        inside = content
        for section in sections:
            inside = inside.setdefault(section, {})
        if value is DROP:
            inside.pop(key, None)
        else:
            inside[key] = copy.deepcopy(value)
    return "".join(f"{line}\n" for key, value in content.items() for line in _lines(key, value, 0))


def write_spec(folder: Path, overrides: Mapping[str, Any] | None = None) -> Path:
    """Write that text to params.yaml in `folder` and return its path."""
    path = folder / "params.yaml"
    path.write_text(spec_text(overrides), encoding="utf-8")
    return path


def a_spec(overrides: Mapping[str, Any] | None = None) -> Spec:
    """That text, read and checked."""
    with tempfile.TemporaryDirectory() as folder:
        return read_spec(write_spec(Path(folder), overrides))


def _lines(key: str, value: Any, depth: int) -> list[str]:
    name = key if key.isidentifier() else json.dumps(key)
    if not isinstance(value, dict) or not value or depth > 1:
        return [f"{'  ' * depth}{name}: {_flow(value)}"]
    return [f"{'  ' * depth}{name}:"] + [line for k, v in value.items() for line in _lines(k, v, depth + 1)]


def _flow(value: Any) -> str:
    """YAML on one line. JSON is YAML, but for floats like 1e-05, to which YAML 1.1 wants a dot."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, float) and "e" in repr(value) and "." not in repr(value):
        return repr(value).replace("e", ".0e")
    return json.dumps(value, ensure_ascii=False)
