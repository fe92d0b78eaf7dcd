"""The objects of a released model: does this machine have them, does the remote?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import OutsideError
from lockstep.lock import objects
from lockstep.release.bento import MODEL, SERVED
from lockstep.remotes import transfer
from lockstep.remotes.transfer import PR
from lockstep.revision import Revision

FILES = tuple(f"{MODEL}/{name}" for name in SERVED)
"""What a release ships, and what it tries it with."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where the files are, by their paths. `remote` is the one that was asked, "" without one; `trouble` says why it
    could not be.
    """

    here: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    """In the pull requests' remote alone."""

    lost: tuple[str, ...] = ()
    remote: str = ""
    trouble: str = ""


def look(root: Path, revision: Revision) -> Kept:
    """Where the model's files are that a commit's lock names. Raises `InputError` for a lock that cannot be read."""
    outs = {path: md5 for entry in revision.entries().values() for path, md5 in entry.outs.items()}
    return look_for(root, {path: outs[path] for path in FILES if path in outs})


def look_for(root: Path, md5s: Mapping[str, str]) -> Kept:
    """The same for files by the md5 of each."""
    here = tuple(path for path, md5 in md5s.items() if _is_here(root, md5))
    remote, there, waiting, trouble = transfer.default(root) or "", set[str](), set[str](), ""
    try:
        there = _at(root, md5s, remote) if remote else there
        if PR in transfer.names(root) and remote != PR:
            waiting = _at(root, md5s, PR) - there
    except OutsideError as error:
        trouble = str(error)
    lost = tuple(path for path in md5s if path not in {*here, *there, *waiting})
    return Kept(
        here=here, there=_in_order(md5s, there), waiting=_in_order(md5s, waiting), lost=lost, remote=remote,
        trouble=trouble,
    )  # fmt: skip


def _is_here(root: Path, md5: str) -> bool:
    found = objects.find(root, md5)
    return found is not None and objects.holds(found, md5)


def _at(root: Path, md5s: Mapping[str, str], remote: str) -> set[str]:
    missing = {*transfer.look(root, dict.fromkeys(md5s.values()), remote).missing}
    return {path for path, md5 in md5s.items() if md5 not in missing}


def _in_order(md5s: Mapping[str, str], found: set[str]) -> tuple[str, ...]:
    return tuple(path for path in md5s if path in found)
