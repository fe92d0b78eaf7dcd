"""Is dvc.lock what this tree would produce? Without data, without DVC, in a tenth of a second.

It looks at what git keeps: code, parameters, versions, and those results of stages that git keeps. What DVC keeps is
compared by hash from stage to stage. It asks for more than DVC does: that an entry names nothing that dvc.yaml no
longer lists, that a parameter keeps its type (for DVC 1, 1.0 and true are equal), and that results in git are there.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import InputError
from lockstep.lock import declared, hashing, objects, yaml12
from lockstep.lock.declared import Declared
from lockstep.lock.entries import FILE, Entries, Entry, parse


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What of a stage's entry is not true of this tree, as a sentence."""

    stage: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is stale, and what could not be seen without data or network: sentences."""

    stale: tuple[Finding, ...]
    unseen: tuple[str, ...]

    @property
    def stages(self) -> list[str]:
        """The stale stages that dvc.yaml or dvc.lock names, in order, each once."""
        return list(dict.fromkeys(finding.stage for finding in self.stale))


def stale(root: Path) -> list[str]:
    """Sentences: what in dvc.lock is not what this tree would produce; none means it is fresh.

    Raises `InputError` for a dvc.yaml or dvc.lock that cannot be read.
    """
    return [finding.sentence for finding in look(root).stale]


def look(root: Path) -> Look:
    """All that can be said of the work tree's dvc.lock. Raises `InputError` as `stale` does."""
    return _Looking(root, declared.read(root), read_lock(root)).look()


def read_lock(root: Path) -> Entries:
    """dvc.lock of the work tree by stage; empty without one. Raises `InputError` when it cannot be read."""
    try:
        text = (root / FILE).read_bytes()
    except FileNotFoundError:
        return {}
    if has_markers(text):
        raise InputError(f"{FILE} holds the marks of a merge that stopped in it: `make repro` merges it stage by stage")
    return parse(text)


def has_markers(text: bytes) -> bool:
    """Has git left two versions in it, for people to choose from?

    >>> has_markers(b"a\\n<<<<<<< HEAD\\nb\\n"), has_markers(b"a <<<<<<< HEAD")
    (True, False)
    """
    return b"\n<<<<<<< " in b"\n" + text


class _Looking:
    """One look at one tree."""

    def __init__(self, root: Path, stages: Mapping[str, Declared], entries: Entries) -> None:
        self._root = root
        self._stages = stages
        self._entries = entries
        self._hashes = hashing.Hashes(root)
        self._values: dict[str, Any] = {}
        self._unseen: list[str] = []
        self._produced = {
            stage.place(path): entries[stage.name].outs.get(path, "") if stage.name in entries else ""
            for stage in stages.values()
            for path in stage.outs
        }
        """The recorded hash of each output, by its place; empty where none is recorded."""

    def look(self) -> Look:
        found = tuple(
            Finding(stage=name, sentence=f"{name}: {what}")
            for name in dict.fromkeys((*self._stages, *self._entries))
            for what in self._judge(name)
        )
        return Look(stale=found, unseen=tuple(dict.fromkeys(self._unseen)))

    def _judge(self, name: str) -> Iterator[str]:
        stage, entry = self._stages.get(name), self._entries.get(name)
        if stage is None:
            yield f"{FILE} has an entry for it, {declared.FILE} has no such stage"
        elif entry is None:
            yield f"{FILE} has no entry for it: it did not run, or two branches disagree about it"
        else:
            yield from self._compare(stage, entry)

    def _compare(self, stage: Declared, entry: Entry) -> Iterator[str]:
        if entry.raw["cmd"] != stage.cmd:
            yield "its command changed"
        if not stage.frozen:
            if stage.always:
                yield "it runs each time, so nothing says that its result is current: list what it reads in dvc.yaml"
            yield from self._compare_deps(stage, entry)
            yield from self._compare_params(stage, entry)
        yield from self._compare_outs(stage, entry)

    def _compare_deps(self, stage: Declared, entry: Entry) -> Iterator[str]:
        for path in stage.deps:
            if path not in entry.deps:
                yield f"{path}, which it reads, is not in {FILE}"
            else:
                yield from self._compare_dep(stage, path, entry.deps[path])
        yield from (f"it no longer reads {path}" for path in entry.deps if path not in stage.deps)

    def _compare_dep(self, stage: Declared, path: str, recorded: str) -> Iterator[str]:
        place = stage.place(path)
        if not objects.is_md5(recorded):
            self._unseen.append(f"{stage.name}: {path} is not a file of this repository: `dvc repro` looks at it")
            return
        kept = self._kept(place)
        if kept is not None:
            owner, md5 = kept
            yield from self._compare_kept(stage, path, recorded, owner, md5)
        elif inside := [out for out in self._produced if out.startswith(f"{place}/")]:
            yield from self._compare_around(stage, path, recorded, inside)
        else:
            yield from self._compare_file(place, path, recorded, "which it reads, ")

    def _kept(self, place: str) -> tuple[str, str] | None:
        """What DVC keeps at a place or around it: its path, and the hash that the stage that wrote it recorded."""
        parts = place.split("/")
        for end in range(len(parts), 0, -1):
            around = "/".join(parts[:end])
            if around in self._produced:
                return around, self._produced[around]
        owner = objects.added(self._root, place)
        return (owner.path, owner.md5) if owner else None

    def _compare_kept(self, stage: Declared, path: str, recorded: str, owner: str, md5: str) -> Iterator[str]:
        place = stage.place(path)
        if md5 and place != owner:
            files = objects.listing(self._root, md5)
            if files is None:
                self._unseen.append(f"{stage.name}: {path} lies in {owner}, whose listing is not here")
                return
            md5 = _within(files, place.removeprefix(f"{owner}/"))
        if md5 != recorded:
            yield f"{path}, which it reads, is not the one that it ran on: another was made since"

    def _compare_around(self, stage: Declared, path: str, recorded: str, inside: list[str]) -> Iterator[str]:
        """A folder of the tree in which stages write too: it can be hashed where all of it is here."""
        if all((self._root / out).exists() for out in inside):
            yield from self._compare_file(stage.place(path), path, recorded, "which it reads, ")
        else:
            self._unseen.append(f"{stage.name}: {path} holds results of stages that are not here")

    def _compare_file(self, place: str, path: str, recorded: str, clause: str) -> Iterator[str]:
        try:
            if self._hashes.of(place) != recorded:
                yield f"{path}, {clause}changed"
        except OSError:
            yield f"{path}, {clause}is missing"

    def _compare_params(self, stage: Declared, entry: Entry) -> Iterator[str]:
        for file, keys in stage.params.items():
            recorded = entry.params.get(file, {})
            values = self._read(stage.place(file))
            if isinstance(values, str):
                self._unseen.append(f"{stage.name}: {file}: {values}")
                continue
            now = values if keys is None else {key: _lookup(values, key) for key in keys}
            for key in dict.fromkeys((*now, *recorded)):
                if key not in now:
                    yield f"it no longer uses {key} of {file}"
                elif _plain(now[key]) != _plain(recorded.get(key, _ABSENT)):
                    yield f"{key} in {file} changed"
        yield from (f"it no longer uses {file}" for file in entry.params if file not in stage.params)

    def _read(self, place: str) -> Any:
        """A file of parameters as values; a text says why they cannot be seen."""
        if place not in self._values:
            self._values[place] = _parameters(self._root / place)
        return self._values[place]

    def _compare_outs(self, stage: Declared, entry: Entry) -> Iterator[str]:
        for path, out in stage.outs.items():
            if path not in entry.outs:
                yield f"{path}, which it writes, is not in {FILE}"
            elif not out.cached:
                yield from self._compare_file(stage.place(path), path, entry.outs[path], "which git keeps of it, ")
        yield from (f"it no longer writes {path}" for path in entry.outs if path not in stage.outs)


_ABSENT = object()


def _lookup(values: Any, key: str) -> Any:
    """The value at a dotted key; `_ABSENT` without one."""
    if isinstance(values, Mapping) and key in values:
        return values[key]
    for part in key.split("."):
        if isinstance(values, Mapping) and part in values:
            values = values[part]
        elif isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            return _ABSENT
    return values


def _plain(value: Any) -> str:
    """A value as text that tells 1 from 1.0 from true, and does not depend on the order of keys."""
    if value is _ABSENT:
        return "absent"
    return json.dumps(value, sort_keys=True, default=str)


def _parameters(path: Path) -> Any:
    try:
        if path.suffix in (".yaml", ".yml"):
            return yaml12.load(path.read_bytes()) or {}
        if path.suffix == ".toml":
            return tomllib.loads(path.read_text(encoding="utf-8"))
        if path.suffix == ".json":
            return json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        return f"it cannot be read: {' '.join(str(error).split())}"
    return "its kind of file is only read by DVC"


def _within(files: Mapping[str, str], name: str) -> str:
    """The hash of a file or of a folder within a listing; empty when it is not in it."""
    if name in files:
        return files[name]
    inside = {path.removeprefix(f"{name}/"): md5 for path, md5 in files.items() if path.startswith(f"{name}/")}
    return hashing.digest_listing(inside) if inside else ""
