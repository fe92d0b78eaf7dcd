"""dvc.lock as text of any revision → one entry a stage: what it read, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from lockstep.errors import InputError
from lockstep.lock import yaml12

FILE = "dvc.lock"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What dvc.lock records of one stage.

    `deps` and `outs` give the md5 by path (a directory's ends in `.dir`; what has no md5, such as a URL's etag, is
    given as `kind:value`). `params` gives values by file, then by the key as dvc.yaml lists it. `raw` is the entry as
    the file holds it.
    """

    name: str
    cmd: str
    deps: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    outs: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


Entries = Mapping[str, Entry]


HERE = "Restore it from git, or remove it and run again"
"""What to do about a file of the work tree that cannot be read."""


def parse(text: str | bytes, where: str = FILE, remedy: str = HERE) -> Entries:
    """Entries by stage, in the file's order; empty for an empty file.

    Raises `InputError` for what is not YAML or does not have the shape that DVC gives it; `where` names the file, and
    `remedy` says what to do about it.
    """
    try:
        content = yaml12.load(text) or {}
        stages = content.get("stages") or {}
        return {name: _entry(name, stage) for name, stage in stages.items()}
    except (yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where} cannot be read: {reason(error)}. {remedy}") from None


def reason(error: Exception) -> str:
    """Why a text cannot be read, on one line, and where in it; never a snippet of it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    said = getattr(error, "problem", None) or getattr(error, "context", None) or "it is not YAML"
    return f"{' '.join(str(said).split())} (line {mark.line + 1}, column {mark.column + 1})"


def _entry(name: str, stage: Mapping[str, Any]) -> Entry:
    return Entry(
        name=name,
        cmd=str(stage["cmd"]),
        deps={item["path"]: _hash(item) for item in stage.get("deps") or []},
        params={file: dict(values or {}) for file, values in (stage.get("params") or {}).items()},
        outs={item["path"]: _hash(item) for item in stage.get("outs") or []},
        raw=stage,
    )


def _hash(item: Mapping[str, Any]) -> str:
    if "md5" in item:
        return str(item["md5"])
    kind = next((key for key in ("etag", "checksum") if key in item), None)
    return f"{kind}:{item[kind]}" if kind else ""
