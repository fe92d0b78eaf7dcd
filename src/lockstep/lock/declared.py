"""dvc.yaml → what each stage runs, reads and writes, as DVC understands it; DVC is imported for templates only."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import InputError
from lockstep.lock import yaml12

FILE = "dvc.yaml"
SPEC = "params.yaml"
_OUTPUTS = ("outs", "metrics", "plots")


@dataclass(frozen=True, kw_only=True)
class Out:
    """An output: does DVC keep it, or git?"""

    cached: bool = True


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One stage of dvc.yaml. Paths are those of dvc.yaml and dvc.lock; `place` says where they are.

    `params` gives the keys by file, None for a whole file. `always`: DVC runs the stage each time.
    """

    name: str
    cmd: Any
    wdir: str = "."
    deps: tuple[str, ...] = ()
    params: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    outs: Mapping[str, Out] = field(default_factory=dict)
    frozen: bool = False
    always: bool = False

    def place(self, path: str) -> str:
        """The path from the repository's root."""
        return path if "://" in path else posixpath.normpath(posixpath.join(self.wdir, path))


def check_root(root: Path) -> None:
    """Raise `InputError` in a folder that is not a project's root: it has neither dvc.yaml nor params.yaml."""
    if not any((root / name).exists() for name in (FILE, SPEC)):
        raise InputError(f"{SPEC}: no such file. Run this where {SPEC} is: at the root of the repository.")


def read(root: Path) -> dict[str, Declared]:
    """The stages of the work tree's dvc.yaml. Raises `InputError` when there is none or it cannot be read."""
    try:
        return parse((root / FILE).read_bytes(), root)
    except FileNotFoundError:
        raise InputError(f"{FILE} is missing: run `lockstep check --fix`, which writes it") from None


def parse(text: bytes, root: Path) -> dict[str, Declared]:
    """The stages in the text of a dvc.yaml; `root` is where the files are that a template in it would read."""
    try:
        content = yaml12.load(text) or {}
        stages = content.get("stages") or {}
        if b"${" in text or any({"foreach", "matrix"} & set(stage) for stage in stages.values()):
            stages = _resolved(content, root)
        return {str(name): _declared(str(name), stage) for name, stage in stages.items()}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{FILE} cannot be read: {' '.join(str(error).split())}") from None


def _resolved(content: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    """Templates filled in, by DVC itself."""
    from dvc.exceptions import DvcException
    from dvc.parsing import DataResolver
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            stages: Mapping[str, Any] = DataResolver(repo, str(root), dict(content)).resolve()["stages"]
    except DvcException as error:
        raise InputError(f"{FILE} cannot be read: {error}") from None
    return stages


def _declared(name: str, stage: Mapping[str, Any]) -> Declared:
    outs = {path: flags for section in _OUTPUTS for path, flags in _items(stage.get(section))}
    deps = tuple(path for path, _ in _items(stage.get("deps")))
    params = _params(stage.get("params"))
    return Declared(
        name=name,
        cmd=stage["cmd"],
        wdir=str(stage.get("wdir") or "."),
        deps=deps,
        params=params,
        outs={path: _out(flags) for path, flags in outs.items()},
        frozen=bool(stage.get("frozen")),
        always=bool(stage.get("always_changed")) or not (deps or params),
    )


def _items(section: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Paths and their flags: each item is a path, or a mapping of one."""
    for item in section or []:
        if isinstance(item, Mapping):
            yield from ((str(path), flags or {}) for path, flags in item.items())
        else:
            yield str(item), {}


def _out(flags: Mapping[str, Any]) -> Out:
    return Out(cached=bool(flags.get("cache", True)))


def _params(section: Any) -> dict[str, tuple[str, ...] | None]:
    found: dict[str, tuple[str, ...] | None] = {}
    for item in section or []:
        files = item.items() if isinstance(item, Mapping) else [(SPEC, [item])]
        for file, keys in files:
            known = found.get(str(file), ())
            found[str(file)] = None if not keys or known is None else (*known, *map(str, keys))
    return found
