"""What a stage's process leaves when it has ended well: on what it ran, and what came out.

DVC believes any entry of dvc.lock whose hashes fit, also one that `dvc commit` or a merge of texts has made. Whoever
seals the lock asks for this instead.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lockstep.running import lock
from lockstep.running.listing import SPEC, lookup

FOLDER = ".dvc/tmp/lockstep/ran"
KEPT = 50
"""So many runs of a stage are remembered: DVC may restore the result of an earlier one."""

_OUTPUTS = ("outs", "metrics", "plots")

Content = Mapping[str, Any]


def collect(root: Path, listed: Mapping[str, Any], known: Mapping[str, str]) -> Content | None:
    """What a stage that dvc.yaml lists so has read and written, as it is now.

    `cmd`; `deps` and `outs`: md5 by path, for folders that of each file by its path within; `params`: values by file
    and key. `known` gives hashes that need not be computed again. None when something cannot be read.
    """
    try:
        return {
            "cmd": listed.get("cmd"),
            "deps": {path: known.get(path) or _hash(root / path) for path in _names(listed, "deps")},
            "params": {file: _values(root / file, keys) for file, keys in _params(listed)},
            "outs": {path: _hash(root / path) for kind in _OUTPUTS for path in _names(listed, kind)},
        }
    except (OSError, ValueError, yaml.YAMLError):
        return None


def leave(root: Path, stage: str, content: Content) -> None:
    """Remember a run that ended well, if this is a repository with DVC."""
    if not (root / ".dvc").is_dir():
        return
    folder = root / FOLDER / stage
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, sort_keys=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    by_age = sorted(folder.glob("*.json"), key=lambda each: each.stat().st_mtime_ns, reverse=True)
    for old in by_age[KEPT:]:
        old.unlink(missing_ok=True)


def left(root: Path, stage: str) -> Iterator[Content]:
    """What runs of the stage have left; a file that is damaged is none."""
    for path in (root / FOLDER / stage).glob("*.json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            yield content


def _names(listed: Mapping[str, Any], section: str) -> Iterator[str]:
    for item in listed.get(section) or []:
        yield from item if isinstance(item, Mapping) else [str(item)]


def _hash(path: Path) -> str | dict[str, str]:
    return lock.listing(path) if path.is_dir() else lock.digest(path)


def _params(listed: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Keys by file; none at all for a whole file."""
    found: dict[str, list[str]] = {}
    for item in listed.get("params") or []:
        for file, keys in item.items() if isinstance(item, Mapping) else [(SPEC, [item])]:
            found.setdefault(file, []).extend(map(str, keys or []))
    yield from found.items()


def _values(path: Path, keys: list[str]) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    values = tomllib.loads(text) if path.suffix == ".toml" else yaml.load(text, Loader=yaml.CSafeLoader)
    return {key: lookup(values, key) for key in keys} if keys else dict(values)
