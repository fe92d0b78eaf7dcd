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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from lockstep.errors import InputError, OutsideError
from lockstep.remotes import child, config
from lockstep.remotes.child import LOOKING, MOVING, Denied, Patience
from lockstep.remotes.config import OBJECTS, Configuration, Remote
from lockstep.remotes.worker import ABSENT, DAMAGED, LEFT, OK, OTHER, PROBE, THERE, bare
from lockstep.running.console import say

__all__ = [
    "Brought", "Denied", "Looked", "Sent", "bring", "default", "fetch", "look", "missing", "names", "probe", "push",
]  # fmt: skip

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


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What came of looking, by hash, in the order of the question; the files of unlisted folders come last."""

    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    """There with another size than was asked for, or a listing with other bytes than its name says."""

    sizes: Mapping[str, int | None] = field(default_factory=dict)
    """Of all that was looked for, folders' files included; None for what is missing. Some servers say 0."""


def names(root: Path) -> list[str]:
    """The remotes that DVC's configuration names."""
    return list(config.read(root).remotes)


def default(root: Path) -> str | None:
    """The default remote's name, or None."""
    return config.read(root).default


def look(
    root: Path,
    sizes: Mapping[str, int | None],
    remote: str | None = None,
    *,
    unlisted: Collection[str] = (),
    keep: bool = True,
    patience: Patience = LOOKING,
) -> Looked:
    """Which objects the remote lacks, and which it holds with another size than `sizes` says (None: any will do).

    `unlisted` are listings whose files are not known here: they are brought into DVC's cache, or only read where `keep`
    is false, and their files are looked for as well. Raises `InputError` without such a remote, `OutsideError` when it
    cannot be reached; a folder that is not there, perhaps not mounted, is not taken for an empty one.
    """
    wanted, settings = _hashes([*sizes, *unlisted]), config.read(root)
    where = settings.remote(remote)
    with _room(settings, unlisted, keep=keep) as folder:
        arrivals = _arrivals(settings if keep else replace(settings, cache=Path(folder)), unlisted, folder)
        answers = child.run(root, where, "look", {md5: arrivals.get(md5, {}) for md5 in wanted}, patience)
    found = dict(item for md5 in wanted for item in answers[md5]["sizes"].items())
    damaged = [md5 for md5 in wanted if answers[md5]["damaged"] or _differs(found[md5], sizes.get(md5))]
    return Looked(missing=tuple(md5 for md5 in found if found[md5] is None), damaged=tuple(damaged), sizes=found)


def _room(settings: Configuration, unlisted: Collection[str], *, keep: bool) -> AbstractContextManager[str]:
    """Where listings arrive."""
    if not unlisted:
        return nullcontext("")
    return _waiting_room(settings.cache / OBJECTS) if keep else tempfile.TemporaryDirectory()


def _differs(there: int | None, wanted: int | None) -> bool:
    """Some servers know no sizes, and say 0."""
    return bool(there) and wanted is not None and there != wanted


def missing(root: Path, md5s: Iterable[str], remote: str | None = None, *, patience: Patience = LOOKING) -> list[str]:
    """Which of the objects the remote lacks, in the given order. Raises as `look` does."""
    return list(look(root, dict.fromkeys(md5s), remote, patience=patience).missing)


def fetch(root: Path, md5s: Iterable[str], remote: str | None = None, *, patience: Patience = MOVING) -> list[str]:
    """Bring objects into DVC's cache; returns those that no remote has whole. Damaged ones are said on stderr.

    Raises as `bring` does.
    """
    brought = bring(root, md5s, remote, patience=patience)
    for md5, name in brought.damaged.items():
        _warn_once(damaged_sentence(root, md5, name))
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


@cache
def _warn_once(sentence: str) -> None:
    say(sentence)


def damaged_sentence(root: Path, md5: str, remote: str | None = None) -> str:
    """What to say of an object whose bytes are not what its name says."""
    where = config.read(root).remote(remote)
    return (
        f"remote `{where.name}` holds object {md5} with other bytes than its name says: cut off, or tampered with. It "
        f"is not used. `{where.removal(md5)}`, then `lockstep push --remote {where.name}` in a clone that has it"
    )


def push(
    root: Path,
    md5s: Iterable[str],
    remote: str | None = None,
    *,
    patience: Patience = MOVING,
    called: Mapping[str, str] | None = None,
) -> Sent:
    """Send objects to the remote. What is there is not written again; bytes are checked before they are sent. Listings
    go last, and only when all files went well, so that a listing's files are there when it is. `called` gives the
    paths by which people know them.

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
        raise OutsideError(damaged_sentence(root, others[0], where.name))
    if damaged := by_answer.get(DAMAGED):
        raise _damaged_here(settings, damaged, _some(damaged, called or {}))
    if absent := by_answer.get(ABSENT):
        raise InputError(
            f"{_count(absent)} neither in DVC's cache nor in remote {where}: {_some(absent, called or {})}. "
            f"`make repro` makes {'it' if len(absent) == 1 else 'them'} again"
        )
    return Sent(sent=tuple(by_answer.get(OK, ())), there=tuple(by_answer.get(THERE, ())))


def probe(root: Path, remote: str, *, patience: Patience = LOOKING) -> str:
    """Can the remote be asked and written to? Nothing stays there, except where something can be added and nothing
    removed: then the address of a small object is returned. Raises `InputError`, `OutsideError` when it cannot.
    """
    where, md5 = config.read(root).remote(remote), hashlib.md5(PROBE, usedforsecurity=False).hexdigest()
    return where.address(md5) if child.run(root, where, "probe", {md5: {}}, patience)[md5] == LEFT else ""


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
        return child.run(root, where, "get", _arrivals(settings, md5s, folder), patience)


def _arrivals(settings: Configuration, md5s: Iterable[str], folder: str) -> dict[str, dict[str, Any]]:
    """Where each object arrives, and where it goes once it has been checked."""
    return {
        md5: {"cache": str(_object(settings, md5)), "beside": str(Path(folder, md5)), "shared": settings.shared}
        for md5 in md5s
    }


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


def _damaged_here(settings: Configuration, md5s: Sequence[str], some: str) -> InputError:
    paths = " ".join(str(_object(settings, md5)) for md5 in md5s[:5])
    return InputError(
        f"{_count(md5s)} damaged in DVC's cache, and not sent: {some}. `rm -f {paths}`, then `make repro`"
    )


def _count(md5s: Sequence[str]) -> str:
    return "an object is" if len(md5s) == 1 else f"{len(md5s)} objects are"


def _some(md5s: Sequence[str], called: Mapping[str, str]) -> str:
    more = f" and {len(md5s) - 3} more" if len(md5s) > 3 else ""
    return ", ".join(called.get(md5, md5) for md5 in md5s[:3]) + more
