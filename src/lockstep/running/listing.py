"""What a stage really uses against what dvc.yaml lists for it: DVC reruns nothing for a file that is not listed.

`lockstep check` derives the lists from the sources before anything runs; this looks at what one process has used, so
that a bare `dvc repro` cannot record a result that it would not notice to be stale.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lockstep.errors import InputError

SPEC = "params.yaml"
INSTALLED = ("site-packages", "dist-packages")


def lookup(values: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = values
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def has(values: Mapping[str, Any], path: str) -> bool:
    """Does params.yaml hold the dotted path?

    DVC stops at a param that it does not hold, so a declared path that is absent is not listed. When someone adds it,
    the list is one short, and `lockstep check`, which `make repro` runs first, says so, as does the stage itself.
    """
    section, _, key = path.rpartition(".")
    inside = lookup(values, section) if section else values
    return isinstance(inside, Mapping) and key in inside


def check_inputs(name: str, listed: Mapping[str, Any], reads: Iterable[str]) -> None:
    """Raise `InputError` when dvc.yaml does not list something that stage `name` is about to read."""
    deps = _deps(listed)
    _refuse(name, [path for path in reads if not _is_covered(_plain(path), deps, "/")])


def check_params(name: str, listed: Mapping[str, Any], declared: Iterable[str], values: Mapping[str, Any]) -> None:
    """Raise `InputError` when dvc.yaml does not list a declared part of the spec that params.yaml holds."""
    params = set(_params(listed))
    there = (path for path in declared if has(values, path))
    _refuse(name, [f"{SPEC}: {path}" for path in there if SPEC not in params and not _is_covered(path, params, ".")])


def check_code(name: str, listed: Mapping[str, Any], root: Path) -> None:
    """Raise `InputError` when this process has imported a module of the repository that dvc.yaml does not list."""
    deps = _deps(listed)
    _refuse(name, sorted(file for file in _imported(root) if not _is_covered(file, deps, "/")))


def _refuse(name: str, unlisted: list[str]) -> None:
    if unlisted:
        raise InputError(
            f"stage {name} uses {', '.join(unlisted)}, which dvc.yaml does not list for it: DVC would take the result "
            "for current after a change there. Nothing was written: run `lockstep check --fix`, then again. (It does "
            "not see what is imported by name, as by importlib: write an import statement.)"
        )


def _is_covered(name: str, listed: set[str], separator: str) -> bool:
    """Is it listed itself, or a folder or section around it?"""
    parts = name.split(separator)
    return "." in listed or any(separator.join(parts[:end]) in listed for end in range(1, len(parts) + 1))


def _deps(listed: Mapping[str, Any]) -> set[str]:
    items = listed.get("deps") or []
    return {_plain(name) for item in items for name in (item if isinstance(item, Mapping) else [item])}


def _plain(path: str) -> str:
    return str(path).removeprefix("./").rstrip("/")


def _params(listed: Mapping[str, Any]) -> Iterator[str]:
    """The listed paths of params.yaml; its own name when it is listed whole."""
    for item in listed.get("params") or []:
        if not isinstance(item, Mapping):
            yield str(item)
        elif SPEC in item:
            yield from map(str, item[SPEC] or [SPEC])


def _imported(root: Path) -> Iterator[str]:
    """Files of the repository's own modules that this process has run; empty ones are not listed by design."""
    base, environment = _real(str(root)), _real(sys.prefix)
    for module in list(sys.modules.values()):
        file = _real(getattr(module, "__file__", None) or os.devnull)
        if not file.startswith(base + os.sep) or file.startswith(environment + os.sep):
            continue
        inside = Path(file).relative_to(base)
        if not set(INSTALLED) & set(inside.parts) and Path(file).is_file() and Path(file).stat().st_size:
            yield inside.as_posix()


@cache
def _real(path: str) -> str:
    """Without symbolic links; asked of thousands of modules before each file that is moved."""
    return os.path.realpath(path)
