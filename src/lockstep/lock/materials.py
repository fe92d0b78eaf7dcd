"""Objects put where stages read them: from the cache, the work tree or a remote, and only with the right hash."""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from lockstep.errors import InputError
from lockstep.lock import objects
from lockstep.remotes import config


def cache(root: Path) -> Path:
    """The folder that DVC's configuration names as its cache, for the repository at `root`."""
    return config.read(root).cache


def place(root: Path, target: Path, wanted: Mapping[str, str]) -> None:
    """Copy files and folders, given by path and hash, into `target`; every byte is checked.

    Raises `InputError` when one is nowhere or damaged everywhere, or a path leads out of `target`.
    """
    listings = {path: md5 for path, md5 in wanted.items() if md5.endswith(".dir")}
    _fetch(root, [md5 for md5 in listings.values() if objects.listing(root, md5) is None])
    files = {path: md5 for path, md5 in wanted.items() if path not in listings}
    for path, md5 in listings.items():
        files |= {f"{path}/{name}": each for name, each in _listing(root, path, md5).items()}
    if outside := [path for path in files if not inside(path)]:
        raise InputError(f"dvc.lock names {', '.join(outside)}, which lies outside of the repository")
    sources = {path: _source(root, path, md5) for path, md5 in files.items()}
    _fetch(root, [files[path] for path, source in sources.items() if source is None])
    for path, md5 in files.items():
        _copy(sources[path] or _source(root, path, md5), target / path, path, md5)


def _listing(root: Path, path: str, md5: str) -> dict[str, str]:
    found = objects.listing(root, md5)
    if found is None:
        raise _nowhere(path, md5)
    return found


def _source(root: Path, path: str, md5: str) -> Path | None:
    """A file here with these bytes: DVC's copy, or the one in the work tree."""
    places = (objects.find(root, md5), root / path)
    return next((found for found in places if found is not None and objects.holds(found, md5)), None)


def _fetch(root: Path, lacking: Iterable[str]) -> None:
    """What no file here holds, from the remotes, where there are any."""
    from lockstep.remotes import transfer

    if (todo := sorted(set(lacking))) and transfer.names(root):
        transfer.fetch(root, todo)


def _copy(source: Path | None, target: Path, path: str, md5: str) -> None:
    if source is None:
        raise _nowhere(path, md5)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    if not objects.holds(target, md5):
        raise InputError(f"{source} changed while it was copied: run again")


def inside(path: str) -> bool:
    """Does the path stay within the folder it is relative to?

    >>> inside("data/raw"), inside("data/../../other"), inside("/etc")
    (True, False, False)
    """
    return not posixpath.isabs(path) and posixpath.normpath(path).split("/")[0] != ".."


def _nowhere(path: str, md5: str) -> InputError:
    return InputError(
        f"{path} with the hash that dvc.lock names ({md5}) is neither in DVC's cache nor in a remote: `lockstep push` "
        "where it was made sends it"
    )
