"""Objects by their hashes between DVC's cache and a remote: which are missing, bring some here, send some there.

Hashes are the md5 that dvc.lock names, a directory's listing with its ending `.dir`; listings are objects like others
and bring none of their files along. All of it is safe to repeat, and to run twice at a time.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.errors import InputError, OutsideError
from lockstep.remotes import child, config
from lockstep.remotes.child import LOOKING, MOVING, Denied, Patience
from lockstep.remotes.config import OBJECTS, Configuration, Remote
from lockstep.remotes.worker import ABSENT, DAMAGED, OK, OTHER, PROBE, THERE, bare
from lockstep.running.console import say

__all__ = ["Brought", "Denied", "Sent", "bring", "default", "fetch", "missing", "names", "probe", "push"]

PR = "pr"
"""The remote that pull requests write to; what they made is found there before it is merged."""

_HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
_LEFT_BEHIND = ".lockstep-"
_A_DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class Brought:
    """What came of fetching: remote by hash, and what did not come."""

    found: Mapping[str, str] = field(default_factory=dict)
    """From which remote; `cache` for what was here already."""

    absent: tuple[str, ...] = ()
    """In none of the remotes."""

    damaged: Mapping[str, str] = field(default_factory=dict)
    """There, but its bytes are not what its name says; by the remote's name. In no other remote either."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What came of pushing."""

    sent: tuple[str, ...]
    there: tuple[str, ...]


def names(root: Path) -> list[str]:
    """The remotes that DVC's configuration names."""
    return list(config.read(root).remotes)


def default(root: Path) -> str | None:
    """The default remote's name, or None."""
    return config.read(root).default


def missing(root: Path, md5s: Iterable[str], remote: str | None = None, *, patience: Patience = LOOKING) -> list[str]:
    """Which of the objects the remote lacks, in the given order.

    Raises `InputError` without such a remote, `OutsideError` when it cannot be reached.
    """
    wanted = _hashes(md5s)
    where = config.read(root).remote(remote)
    sizes = child.run(root, where, "size", {md5: {} for md5 in wanted}, patience)
    return [md5 for md5 in wanted if sizes[md5] is None]


def fetch(root: Path, md5s: Iterable[str], remote: str | None = None, *, patience: Patience = MOVING) -> list[str]:
    """Bring objects into DVC's cache; returns those that no remote has whole. Damaged ones are said on stderr.

    Raises as `bring` does.
    """
    brought = bring(root, md5s, remote, patience=patience)
    for md5, name in brought.damaged.items():
        say(damaged_sentence(md5, name))
    return [*brought.absent, *brought.damaged]


def bring(root: Path, md5s: Iterable[str], remote: str | None = None, *, patience: Patience = MOVING) -> Brought:
    """Bring objects into DVC's cache from `remote`, else from the default one and then from `pr`.

    The md5 of every byte is checked before an object gets its name. What the cache holds already is checked too, and
    replaced when it is damaged. Raises `InputError` for an unknown remote or hash, `OutsideError` when a remote cannot
    be reached and no other has what is wanted.
    """
    wanted = _hashes(md5s)
    settings = config.read(root)
    found = {md5: "cache" for md5 in wanted if is_whole(_object(settings, md5), md5)}
    damaged: dict[str, str] = {}
    unreachable: OutsideError | None = None
    for where in _sources(settings, remote):
        rest = [md5 for md5 in wanted if md5 not in found]
        try:
            answers = _get(root, settings, where, rest, patience) if rest else {}
        except OutsideError as error:
            unreachable = unreachable or error
            continue
        found |= {md5: where.name for md5, answer in answers.items() if answer == OK}
        damaged |= {md5: where.name for md5, answer in answers.items() if answer == DAMAGED}
    lacking = [md5 for md5 in wanted if md5 not in found]
    if unreachable and lacking:
        raise unreachable
    return Brought(
        found=found,
        absent=tuple(md5 for md5 in lacking if md5 not in damaged),
        damaged={md5: name for md5, name in damaged.items() if md5 not in found},
    )


def damaged_sentence(md5: str, remote: str) -> str:
    """What to say of an object whose bytes are not what its name says."""
    return (
        f"remote `{remote}` holds object {md5} with other bytes than its name says: cut off, or tampered with. It was "
        f"not used. Remove {OBJECTS}/{md5[:2]}/{md5[2:]} there, then `lockstep push --remote {remote}` in a clone "
        "that has it"
    )


def push(root: Path, md5s: Iterable[str], remote: str | None = None, *, patience: Patience = MOVING) -> Sent:
    """Send objects to the remote. What is there is not written again; bytes are checked before they are sent. Listings
    go last, and only when all files went well, so that a listing's files are there when it is.

    Raises `InputError` for an object that neither the cache nor the remote has, or that is damaged in the cache;
    `OutsideError` when the remote fails, or holds one of them with another size.
    """
    wanted = _hashes(md5s)
    settings = config.read(root)
    where = settings.remote(remote)
    items = {md5: {"cache": str(_object(settings, md5))} for md5 in wanted}
    answers = child.run(root, where, "put", items, patience)
    by_answer = {answer: [md5 for md5 in wanted if answers.get(md5) == answer] for answer in set(answers.values())}
    if others := by_answer.get(OTHER):
        raise OutsideError(damaged_sentence(others[0], where.name))
    if damaged := by_answer.get(DAMAGED):
        raise _damaged_here(settings, damaged)
    if absent := by_answer.get(ABSENT):
        raise InputError(
            f"{_count(absent)} neither in DVC's cache nor in remote {where}: {_some(absent)}. `make repro` makes "
            f"{'it' if len(absent) == 1 else 'them'} again"
        )
    return Sent(sent=tuple(by_answer.get(OK, ())), there=tuple(by_answer.get(THERE, ())))


def probe(root: Path, remote: str, *, patience: Patience = LOOKING) -> None:
    """Add a small object and read it back. Raises `InputError`, `OutsideError` when that fails."""
    where, md5 = config.read(root).remote(remote), hashlib.md5(PROBE, usedforsecurity=False).hexdigest()
    if child.run(root, where, "probe", {md5: {}}, patience)[md5] != OK:
        raise OutsideError(damaged_sentence(md5, where.name))


def is_whole(path: Path, md5: str) -> bool:
    """Is the file there, with the bytes that its hash says?"""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == bare(md5)
    except OSError:
        return False


def _hashes(md5s: Iterable[str]) -> list[str]:
    """Each once, in order. Names come from a file that anyone may have written, and become paths."""
    wanted = list(dict.fromkeys(md5s))
    if wrong := next((md5 for md5 in wanted if not _HASH.fullmatch(md5)), None):
        raise InputError(f"`{wrong[:80]}` is no md5 as DVC writes it: restore dvc.lock from git, or run `make repro`")
    return wanted


def _object(settings: Configuration, md5: str) -> Path:
    return settings.cache / OBJECTS / md5[:2] / md5[2:]


def _sources(settings: Configuration, remote: str | None) -> list[Remote]:
    """Where to look, in this order."""
    if remote is not None:
        return [settings.remote(remote)]
    chosen = dict.fromkeys(name for name in (settings.default, PR) if name)
    return [settings.remote(name) for name in chosen if name == settings.default or name in settings.remotes]


def _get(
    root: Path, settings: Configuration, where: Remote, md5s: Sequence[str], patience: Patience
) -> Mapping[str, str]:
    """What came of each. What arrives lies in a folder of its own until it has been checked."""
    with _waiting_room(settings.cache / OBJECTS) as folder:
        items = {
            md5: {"cache": str(_object(settings, md5)), "beside": str(Path(folder, md5)), "shared": settings.shared}
            for md5 in md5s
        }
        return child.run(root, where, "get", items, patience)


@contextmanager
def _waiting_room(objects: Path) -> Iterator[str]:
    """A new folder in the cache, and removes what transfers left that were killed more than a day ago."""
    try:
        objects.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(dir=objects, prefix=_LEFT_BEHIND, suffix=".tmp")
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise InputError(f"DVC's cache cannot be written to: {error}. `dvc cache dir` shows where it is") from None
    for folder in objects.glob(f"{_LEFT_BEHIND}*.tmp"):
        if time.time() - folder.stat().st_mtime > _A_DAY:
            shutil.rmtree(folder, ignore_errors=True)
    with made as name:
        yield name


def _damaged_here(settings: Configuration, md5s: Sequence[str]) -> InputError:
    paths = " ".join(str(_object(settings, md5)) for md5 in md5s[:5])
    return InputError(
        f"{_count(md5s)} damaged in DVC's cache, and not sent: {_some(md5s)}. `rm -f {paths}`, then `make repro`"
    )


def _count(md5s: Sequence[str]) -> str:
    return "an object is" if len(md5s) == 1 else f"{len(md5s)} objects are"


def _some(md5s: Sequence[str]) -> str:
    more = f" and {len(md5s) - 3} more" if len(md5s) > 3 else ""
    return ", ".join(md5s[:3]) + more
