"""The objects behind a lock: which ones it needs, and where DVC's cache on this machine has them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lockstep.lock import declared, hashing, yaml12
from lockstep.lock.entries import Entries, Entry
from lockstep.remotes import config


@dataclass(frozen=True, kw_only=True)
class Object:
    """Something that DVC keeps: where it belongs in the work tree, its md5 (a folder's listing ends in `.dir`), bytes.

    `size` is None where nobody recorded it. A folder's is the one of its listing, not of its files.
    """

    path: str
    md5: str
    size: int | None = None

    @property
    def is_listing(self) -> bool:
        """Does it name the files of a folder?"""
        return self.md5.endswith(".dir")


def cache(root: Path) -> Path:
    """The folder in which DVC keeps objects for the repository at `root`, as its configuration says."""
    return config.read(root).cache / config.OBJECTS


def runs(root: Path) -> Path:
    """The folder in which DVC keeps what stages have made of which inputs."""
    return config.read(root).cache / "runs"


def name(md5: str) -> Path:
    """Where an object lies below a cache or a remote.

    >>> name("0123456789abcdef0123456789abcdef").as_posix()
    '01/23456789abcdef0123456789abcdef'
    """
    return Path(md5[:2], md5[2:])


def find(root: Path, md5: str) -> Path | None:
    """The object's file in the local cache, unverified; None when it is not there, or `md5` is none."""
    path = cache(root) / name(md5)
    return path if is_md5(md5) and path.is_file() else None


def holds(path: Path, md5: str) -> bool:
    """Are the file's bytes those that the name promises?"""
    try:
        return hashing.digest(path) == md5.removesuffix(".dir")
    except OSError:
        return False


def listing(root: Path, md5: str) -> dict[str, str] | None:
    """The files of a folder and the md5 of each, from the local cache; None when it is not there, or damaged."""
    path = find(root, md5)
    if path is None or not holds(path, md5):
        return None
    return {item["relpath"]: item["md5"] for item in json.loads(path.read_bytes())}


def needed(root: Path, entries: Entries, stages: Mapping[str, declared.Declared] | None = None) -> list[Object]:
    """Every object that DVC keeps for these entries, each once: outputs, what `dvc add` keeps of the inputs, and the
    files of folders whose listing is in the local cache.

    `stages` says what DVC keeps and what git keeps; those of the work tree's dvc.yaml unless given.
    """
    known = declared.read(root) if stages is None else stages
    found: dict[str, Object] = {}
    for each in (*_outputs(entries, known), *_added(root, entries)):
        for item in (each, *_files(root, each)):
            found.setdefault(item.md5, item)
    return list(found.values())


def unlisted(root: Path, objects: Sequence[Object]) -> list[Object]:
    """Folders among the objects whose files are unknown here, since their listing is not in the local cache."""
    return [each for each in objects if each.is_listing and listing(root, each.md5) is None]


def _outputs(entries: Entries, stages: Mapping[str, declared.Declared]) -> Iterator[Object]:
    for entry in entries.values():
        stage = stages.get(entry.name)
        for path in entry.outs:
            out = stage.outs.get(path) if stage else None
            if out is None or out.cached:
                yield from _object(entry, path, entry.outs[path], stage.place(path) if stage else path)


def _object(entry: Entry, path: str, md5: str, place: str) -> Iterator[Object]:
    if is_md5(md5):
        yield Object(path=place, md5=md5, size=None if md5.endswith(".dir") else _size(entry.raw, path))


def is_md5(text: str) -> bool:
    """Is it the name of an object (an etag, say, is not)?

    >>> is_md5("d41d8cd98f00b204e9800998ecf8427e"), is_md5("etag:x"), is_md5("../../etc/passwd")
    (True, False, False)
    """
    digits = text.removesuffix(".dir")
    return len(digits) == 32 and not set(digits) - set("0123456789abcdef")


def _size(raw: Mapping[str, Any], path: str) -> int | None:
    sizes = (item.get("size") for item in raw.get("outs") or [] if item.get("path") == path)
    return next(sizes, None)


def _added(root: Path, entries: Entries) -> Iterator[Object]:
    """What `dvc add` keeps of what stages read: its hash is in the lock, a .dvc file in git names it."""
    written = {path for entry in entries.values() for path in entry.outs}
    for entry in entries.values():
        for path, md5 in entry.deps.items():
            if path not in written and is_md5(md5) and (owner := added(root, path)) and is_md5(owner.md5):
                yield owner


def added(root: Path, path: str) -> Object | None:
    """What `dvc add` keeps at `path`, or at a folder around it; None when git or nobody keeps it.

    Its `.dvc` file is read; nothing of the data need be there.
    """
    parts = path.split("/")
    for end in range(len(parts), 0, -1):
        place = "/".join(parts[:end])
        with suppress(FileNotFoundError, NotADirectoryError, yaml.YAMLError, AttributeError, KeyError, IndexError):
            (out,) = yaml12.load((root / f"{place}.dvc").read_bytes())["outs"]
            if "/".join([*parts[: end - 1], out["path"]]) == place:
                return Object(path=place, md5=str(out.get("md5", "")), size=None)
    return None


def _files(root: Path, folder: Object) -> Iterator[Object]:
    if folder.is_listing:
        for file, md5 in (listing(root, folder.md5) or {}).items():
            yield Object(path=f"{folder.path}/{file}", md5=md5)


def put(root: Path, content: bytes, md5: str) -> Path:
    """Keep bytes whose md5 is known in the local cache, as DVC does: whole or not at all, not writable."""
    path = cache(root) / name(md5)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(unfinished).chmod(0o444)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    return path
