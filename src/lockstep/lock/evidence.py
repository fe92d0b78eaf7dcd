"""How we know that a stage made what its entry in dvc.lock says. DVC's own word is not enough.

`dvc commit` writes an entry, and a cache of the run, for a stage that did not run; a merge of texts makes entries that
nobody made. So a line of the seal needs one of these: the stage's process has left that it ran on just that (on this
machine), or a commit being merged holds the same entry under its own seal.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lockstep.errors import InputError
from lockstep.lock import hashing, seal
from lockstep.lock.canonical import canonical
from lockstep.lock.entries import Entries, Entry
from lockstep.revision import Revision, git_bytes
from lockstep.running import evidence

PARENTS = ("HEAD", "HEAD^@", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD")
"""The commits whose work may be in this tree. One that does not exist is passed over."""


def proven(root: Path, entries: Entries, names: list[str]) -> set[str]:
    """Those of the named stages for whose entries there is evidence."""
    hashes = hashing.Hashes(root)
    ran = {name for name in names if _ran_here(root, entries[name], hashes)}
    if ran == set(names):
        return ran
    others = [_sealed(revision) for revision in _parents(root)]
    return ran | {name for name in names if any(canonical(entries[name].raw) == other.get(name) for other in others)}


def remember(root: Path, entry: Entry) -> None:
    """Keep that a stage ran whose process does not say so itself: DVC was watched while it ran it."""
    content = {"cmd": entry.raw["cmd"], "deps": entry.deps, "params": entry.params, "outs": entry.outs}
    evidence.leave(root, entry.name, content)


def _ran_here(root: Path, entry: Entry, hashes: hashing.Hashes) -> bool:
    recorded = _shape(entry.raw["cmd"], entry.deps, entry.params, entry.outs)
    return any(_from_process(content, hashes) == recorded for content in evidence.left(root, entry.name))


def _from_process(content: Mapping[str, Any], hashes: hashing.Hashes) -> str | None:
    try:
        deps = {path: _fold(path, value, hashes) for path, value in content["deps"].items()}
        outs = {path: _fold(path, value, hashes) for path, value in content["outs"].items()}
        return _shape(content["cmd"], deps, content["params"], outs)
    except (AttributeError, KeyError, TypeError):
        return None


def _fold(path: str, value: str | Mapping[str, str], hashes: hashing.Hashes) -> str:
    """The hash of a folder from those of its files, without what .dvcignore names."""
    if isinstance(value, str):
        return value
    return hashing.digest_listing(hashes.kept(posixpath.normpath(path), value))


def _shape(cmd: Any, deps: Mapping[str, str], params: Mapping[str, Any], outs: Mapping[str, str]) -> str:
    return canonical([cmd, _plainly(deps), {file: dict(values) for file, values in params.items()}, _plainly(outs)])


def _plainly(hashes: Mapping[str, str]) -> dict[str, str]:
    return {posixpath.normpath(path): md5 for path, md5 in hashes.items()}


def _parents(root: Path) -> Iterator[Revision]:
    for name in PARENTS:
        found = git_bytes(root, "rev-parse", "--quiet", "--verify" if "@" not in name else "--revs-only", name)
        for sha in found.stdout.decode().split() if found.returncode == 0 else ():
            yield Revision(root=root, sha=sha)


def _sealed(revision: Revision) -> dict[str, str]:
    """The entries of a revision, as text, that its own seal covers."""
    try:
        entries = revision.entries()
        lines = seal.parse(revision.read(seal.FILE) or b"")
        right = seal.lines(entries)
    except InputError:
        return {}
    return {name: canonical(entry.raw) for name, entry in entries.items() if lines.get(name) == right[name]}
