"""`dvc repro`, and what it leaves open: a stage is sealed only when it is known to have run on what its entry says."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import InputError
from lockstep.lock import (
    data,
    declared,
    evidence,
    fresh,
    last_words,
    merging,
    objects,
    processes,
    pulling,
    rebuild,
    seal,
)
from lockstep.lock.entries import FILE
from lockstep.lock.shortly import shortened
from lockstep.running.console import say

ATTEMPTS = 4
"""A stage that gives other results each time makes those after it stale again; so often we follow."""


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """The stages that ran (those that were restored did not), and those whose line in the seal is new. `onward`: how
    to go on with the merge that is under way, if one is.
    """

    ran: tuple[str, ...]
    sealed: tuple[str, ...]
    onward: str | None = None


def reproduce(root: Path, *, pull: bool = True) -> Reproduced:
    """Run what changed and what depends on it, look at every output, and seal the lock.

    `pull`: where a remote is configured, first bring from it, by hash, what the lock names and is not here. What it
    lacks, and all of it when it cannot be used, is said and made here.

    Raises `InputError` when a stage fails or does not settle.
    """
    merging.install(root)
    for sentence in (*merging.settle(root), *_forget(root)):
        say(sentence)
    if pull:
        pulling.pull(root)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        dvc = _Dvc(root, Path(folder, "notes"))
        _restore(root)
        dvc.check_out(_resting(root))
        _run(root, dvc)
        _settle(root, dvc)
    sealed = tuple(_seal(root))
    return Reproduced(ran=tuple(dict.fromkeys(dvc.ran)), sealed=sealed, onward=merging.onward(root))


class _Dvc:
    """DVC in a process of its own, and the stages that it has run."""

    def __init__(self, root: Path, notes: Path) -> None:
        self._root = root
        self._notes = notes
        self.ran: list[str] = []
        bin_ = Path(sys.executable).parent
        path = f"{bin_}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        self._environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "PATH": path}

    def repro(self, *arguments: str) -> None:
        """Run what is stale. Raises `InputError` when a stage fails."""
        self._notes.write_text("", encoding="utf-8")
        with last_words.listening() as heard:
            code = self._call("lockstep.lock.watch", str(self._notes), "repro", *arguments)
        names = self._notes.read_text(encoding="utf-8").splitlines()
        self.ran += names
        if code:
            why = last_words.cause(heard.text)
            raise InputError(f"`dvc repro` ended with exit code {code}. What ran before that is kept. {why}".rstrip())
        entries = fresh.read_lock(self._root)
        for name in set(names) & set(entries):
            evidence.remember(self._root, entries[name])

    def check_out(self, paths: list[str]) -> None:
        """Put outputs in place that the cache holds. One that it does not hold whole is left to `repro`."""
        if paths:
            self._call("dvc", "checkout", "--quiet", *paths)

    def _call(self, module: str, *arguments: str) -> int:
        # -P: what lies in the repository's root must not be taken for one of DVC's own imports.
        return processes.run([sys.executable, "-P", "-m", module, *arguments], self._root, self._environment)


def _run(root: Path, dvc: _Dvc) -> None:
    """The first run; once more when a stage refused what a damaged copy in the cache had given it."""
    try:
        dvc.repro()
    except InputError:
        # What is missing now is so because the stage failed: its own reason is to be read, not that.
        if not _removed(root, data.damages(root, fresh.read_lock(root))):
            raise
        dvc.repro()


def _settle(root: Path, dvc: _Dvc) -> None:
    """Until every output is what the lock records and every stage is known to have run."""
    for _ in range(ATTEMPTS):
        if _mend(root):
            dvc.repro()
            continue
        names = _open(root)
        if not names:
            return
        say(f"{', '.join(names)}: nothing here shows that it ran on what {FILE} says, so it runs again")
        dvc.repro("--force", "--single-item", *names)
        dvc.repro()
    raise InputError(
        f"{', '.join(_open(root))} does not settle: each run gives another result, or a file is edited meanwhile. A "
        "stage's result must follow from what it reads alone: look for clocks, the order of a set, a missing seed"
    )


def _mend(root: Path) -> bool:
    """Remove damaged copies; was there one? Raises `InputError` for outputs that are wrong for another reason."""
    found = data.damages(root, fresh.read_lock(root))
    removed = _removed(root, found)
    if found and not removed:
        raise InputError("\n".join(damage.sentence for damage in found))
    return removed


def _removed(root: Path, found: list[data.Damage]) -> bool:
    """Remove damaged copies and say so; was there one?"""
    said = data.mend(root, found)
    for sentence in said:
        say(sentence)
    return bool(said)


def _open(root: Path) -> list[str]:
    """Stages of the lock that are stale, or for whose entry there is neither a line nor evidence; in order."""
    entries, known = fresh.read_lock(root), declared.read(root)
    right, sealed = seal.lines(entries), _lines(root)
    doubtful = [name for name in entries if sealed.get(name) != right[name]]
    unproven = set(doubtful) - (evidence.proven(root, entries, doubtful) if doubtful else set())
    stale = {name for name in fresh.look(root).stages if name in known and not known[name].always}
    return rebuild.order(known, [name for name in known if name in unproven | stale])


def _seal(root: Path) -> list[str]:
    """Write the seal; returns the stages whose line is new."""
    right, before = seal.lines(fresh.read_lock(root)), _lines(root)
    if right or before:
        seal.write(root, right)
    return [name for name, line in right.items() if before.get(name) != line]


def _lines(root: Path) -> dict[str, str]:
    """The seal's lines; none where a merge of texts has left markers."""
    try:
        return seal.read(root)
    except InputError:
        return {}


def _forget(root: Path) -> list[str]:
    """Take out of the lock what dvc.yaml no longer has, which DVC never does; returns sentences."""
    gone = set(fresh.read_lock(root)) - set(declared.read(root))
    if not gone:
        return []
    path = root / FILE
    path.write_text(merging.without(path.read_bytes(), gone), encoding="utf-8")
    return [f"{', '.join(sorted(gone))}: no stage of dvc.yaml any more, so taken out of {FILE}"]


def _resting(root: Path) -> list[str]:
    """Outputs that the cache holds and that are not in place. DVC would run a stage again for some of them: one that
    adds to what is there, one of whose results git keeps.
    """
    entries, known = fresh.read_lock(root), declared.read(root)
    return [
        place
        for name, entry in entries.items()
        for path, out in known[name].outs.items()
        if out.cached and path in entry.outs
        if not (root / (place := known[name].place(path))).exists() and objects.find(root, entry.outs[path])
    ]


def _restore(root: Path) -> None:
    """The locked bytes back in the place of what was damaged or deleted, where DVC's copy is whole: else a stage that
    adds to what is there would ask its source, which may say something else today.

    Results of a stage that is stale are left alone: an interrupted run may go on with them.
    """
    found = data.damages(root, fresh.read_lock(root))
    stale = set(fresh.look(root).stages) if found else set()
    if done := data.restore(root, [damage for damage in found if damage.stage not in stale]):
        say(f"brought back what {FILE} names: {shortened(done)}")
