"""The question that a holdout asks: what is predicted, of which rows, held out how. Models must answer the same one.

It is read from bare values, as dvc.lock and params.yaml of any revision hold them: today's rules need not hold there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from lockstep.revision import Revision
from lockstep.spec import Spec, parse_duration
from lockstep.spec.durations import DURATION_PATTERN

PREPARE, PARAMS = "prepare", "params.yaml"

Question = Mapping[str, Any]
"""Values by the dotted key that says them; keys whose value is the default are there too."""

_CONSEQUENCES = {
    "contract.target": "the two models answer different questions",
    "contract.key": "rows of one are not recognised in the other",
    "contract.columns": "rows of one are not recognised in the other",
    "split": "the two models hold out different rows",
    "contract.time": "the two models hold out different rows",
}
"""What a change means, by how its key begins."""


def question_of(contract: Any, split: Any) -> Question:
    """The question in the sections `contract` and `split`; what they lack or misspell counts as None."""
    contract, split = _mapping(contract), _mapping(split)
    target, columns, kind = _mapping(contract.get("target")), _mapping(contract.get("columns")), split.get("by")
    key = contract.get("key") or []
    hashed = [*(key if isinstance(key, list) else []), *([split.get("column")] if kind == "group" else [])]
    asked = {
        **{f"contract.target.{name}": target.get(name) for name in ("column", "task", "positive", "known_after")},
        "contract.key": key,
        **{f"contract.columns.{name}.type": _mapping(columns.get(name)).get("type") for name in hashed},
        "split.by": kind,
        **{f"split.{name}": split.get(name) for name in ("column", "holdout", "gap")},
        "split.salt": split.get("salt") or "",
    }
    return asked | ({"contract.time": contract.get("time")} if kind == "time" else {})


def of_spec(spec: Spec) -> Question:
    """The question that this branch asks."""
    bare = spec.model_dump(mode="json", include={"contract", "split"})
    return question_of(bare["contract"], bare["split"])


def of_revision(revision: Revision) -> Question:
    """The question that a revision's prepared rows were made for: as its dvc.lock says, else its params.yaml."""
    entry = revision.entries().get(PREPARE)
    recorded = entry.params.get(PARAMS, {}) if entry else {}
    values = recorded if {"contract", "split"} <= set(recorded) else revision.values()
    return question_of(values.get("contract"), values.get("split"))


def window_end(revision: Revision) -> str:
    """`ingest.until` of a revision's prepared rows, where it is a moment; else nothing."""
    entry = revision.entries().get(PREPARE)
    recorded = entry.params.get(PARAMS, {}) if entry else {}
    ingest = _mapping(recorded.get("ingest") or revision.values().get("ingest"))
    until = recorded.get("ingest.until", ingest.get("until"))
    try:
        moment = pd.Timestamp(str(until))
    except ValueError:
        return ""
    return str(until) if pd.notna(moment) and moment.tz is None else ""


def changes(before: Question, after: Question) -> list[str]:
    """Sentences about what keeps two models from being compared; none when the question is the same."""
    paths = [path for path in {**before, **after} if _meant(before.get(path)) != _meant(after.get(path))]
    return [
        f"`{path}` changed from {_shown(before.get(path))} to {_shown(after.get(path))}: {_consequence(path)}."
        for path in paths
    ]


def _consequence(path: str) -> str:
    return next(meaning for start, meaning in _CONSEQUENCES.items() if path.startswith(start))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _meant(value: Any) -> Any:
    """The value, so that two spellings of one duration are equal, and `true` is not 1."""
    if isinstance(value, str) and re.match(DURATION_PATTERN, value):
        return parse_duration(value)
    return type(value).__name__ if isinstance(value, bool) else "", value


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
