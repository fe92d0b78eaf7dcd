"""The model that a lock names: its bytes by hash, and proof that they are what its stages make.

A lock, its seal and objects that agree can be forged by whoever may push to the remote of pull requests. So unless the
spec trusts pull requests the stages run again in a clean worktree before anything is released, and every hash must be
the lock's. The rows are the lock's, which reviewers saw; they come from the source only where nobody has them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from lockstep.errors import InputError, Refused
from lockstep.lock import fresh as freshness
from lockstep.lock import objects, rebuild, seal, verify
from lockstep.lock.entries import FILE, Entries, parse
from lockstep.lock.objects import Object
from lockstep.lock.shortly import shortened
from lockstep.release.bento import SERVED
from lockstep.remotes import transfer
from lockstep.revision import Revision, git

ROOM = ".dvc/tmp/lockstep"

Progress = Callable[[str], None]

MEND = (
    "Nothing was released. `make repro` on the default branch makes it true, and a pull request brings that in; in the "
    "workflow `lockstep ci mend` opens it"
)
FORGED = (
    "It was forged, or its stages do not give the same each time. Nothing was released: `git log -- dvc.lock` shows "
    "which commit brought it; revert that one"
)


class Untrue(Refused):
    """The lock or its seal is not what the tree gives: running its stages would make it so."""


def insist_true(root: Path) -> Entries:
    """The lock of the work tree. Raises `Untrue` when it or its seal is not what this tree gives."""
    entries = freshness.read_lock(root)
    if not entries:
        raise Untrue(f"there is no {FILE}: nothing can be released before `make repro` has made a model")
    found = [*freshness.stale(root)]
    try:
        found += seal.differences(entries, seal.read(root))
    except InputError as error:
        found.append(str(error))
    if found:
        raise Untrue(f"the lock is not true: {'; '.join(found[:5])}. {MEND}")
    return entries


def md5s(entries: Entries) -> dict[str, str]:
    """The md5 of each of `SERVED` in the lock. Raises `InputError` when it names no model."""
    outs = {path: md5 for entry in entries.values() for path, md5 in entry.outs.items()}
    if lacking := [name for name in SERVED if f"model/{name}" not in outs]:
        raise InputError(f"{FILE} names no model/{lacking[0]}: there is nothing to release")
    return {name: outs[f"model/{name}"] for name in SERVED}


def obtain(root: Path, head: Revision, entries: Entries, *, trusted: bool, progress: Progress) -> Path:
    """A folder with the model's files, every byte checked, that `head` is proven to make.

    `trusted`: objects with the lock's hashes are enough. Raises `Refused` when the lock's stages give something else,
    `InputError` when a stage fails, `OutsideError` when a remote cannot be reached.
    """
    known = _proven(root, head, entries)
    if (trusted or known.exists()) and not _fetched(root, entries):
        progress("the model is here with the lock's hashes")
    else:
        _rebuild(root, head, entries, progress)
        known.parent.mkdir(parents=True, exist_ok=True)
        known.touch()
    return _gathered(root, entries)


def keep(root: Path, entries: Entries, progress: Progress) -> None:
    """Send what the lock names to the default remote, where there is one: a rollback needs it."""
    if transfer.default(root) is None:
        progress("no remote is configured: nothing but the image keeps this model")
        return
    needed = objects.needed(root, entries)
    done = transfer.push(root, [each.md5 for each in needed], called={each.md5: each.path for each in needed})
    progress(f"the remote has what the lock names: {len(done.sent):,} objects sent, {len(done.there):,} were there")


def _proven(root: Path, head: Revision, entries: Entries) -> Path:
    """A file of this machine that is there once a commit's lock was proven here."""
    lines = "".join(f"{name} {line}\n" for name, line in seal.lines(entries).items())
    return root / ROOM / "proven" / hashlib.sha256(f"{head.sha}\n{lines}".encode()).hexdigest()


def _lacking(root: Path, wanted: list[Object]) -> list[Object]:
    """What DVC's cache does not hold whole."""
    return [each for each in wanted if not ((found := objects.find(root, each.md5)) and objects.holds(found, each.md5))]


def _fetched(root: Path, entries: Entries) -> list[Object]:
    """Bring what the entries need and the cache does not hold whole; returns what is nowhere.

    Twice: the files of a folder are known only when its listing is here.
    """
    for _ in range(2):
        lacking = _lacking(root, objects.needed(root, entries))
        if lacking and transfer.names(root) and (transfer.default(root) or verify.PR in transfer.names(root)):
            transfer.fetch(root, [each.md5 for each in lacking])
    return _lacking(root, objects.needed(root, entries))


def _rebuild(root: Path, head: Revision, entries: Entries, progress: Progress) -> None:
    """Run the lock's stages again, into DVC's cache. Raises `Refused` when they give something else."""
    raw = {name: entry for name, entry in entries.items() if name == rebuild.SOURCE}
    from_source = bool(_fetched(root, raw))
    again = [name for name in entries if from_source or name != rebuild.SOURCE]
    progress(f"making the model again to prove the lock: {', '.join(again)}")
    if from_source:
        progress("nobody has the raw rows that the lock names: the source is asked for them")
    for each in _lacking(root, objects.needed(root, entries)):
        if damaged := objects.find(root, each.md5):  # DVC would take the damaged copy for what it has just made
            damaged.unlink()
    with rebuild.rebuilt(root, head, from_source=from_source, shared=True) as tree:
        made = parse((tree / FILE).read_bytes())
    found = [
        sentence
        for name in again
        for sentence in (
            verify.compare(entries[name], made[name], from_source=from_source)
            if name in made
            else [f"{name}: it is no stage of dvc.yaml"]
        )
    ]
    if found:
        elsewhere = "".join(f". Mind that {sentence}" for sentence in verify.elsewhere(root))
        raise Refused(
            f"the lock of {head.short} does not say what its stages make: {'; '.join(found[:6])}{elsewhere}. {FORGED}"
        )
    progress(f"proven: the stages give what the lock says, byte for byte ({shortened(again, 6)})")


def _gathered(root: Path, entries: Entries) -> Path:
    """The model's files in a folder of their own."""
    wanted = md5s(entries)
    folder = root / ROOM / "release" / hashlib.sha256("".join(wanted.values()).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    for name, md5 in wanted.items():
        unfinished = folder / f".{name}.tmp"
        source = objects.find(root, md5)
        if source is not None:
            shutil.copyfile(source, unfinished)
        else:  # git keeps it
            unfinished.write_bytes(Revision(root=root, sha=git(root, "rev-parse", "HEAD")).read(f"model/{name}") or b"")
        if not objects.holds(unfinished, md5):
            raise Refused(f"model/{name} is not the file that {FILE} names ({md5}), here or in any remote. {MEND}")
        unfinished.chmod(0o644)
        unfinished.replace(folder / name)
    return folder
