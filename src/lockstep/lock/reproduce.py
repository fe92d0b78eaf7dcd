"""`dvc repro`, and what it leaves open: a stage is sealed only when it is known to have run on what its entry says."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import InputError
from lockstep.lock import data, declared, evidence, fresh, merging, objects, processes, rebuild, seal
from lockstep.lock.entries import FILE
from lockstep.running.console import say

ATTEMPTS = 4
"""A stage that gives other results each time makes those after it stale again; so often we follow."""


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """The stages that ran (those that were restored did not), and those whose line in the seal is new."""

    ran: tuple[str, ...]
    sealed: tuple[str, ...]


def reproduce(root: Path, *, pull: bool = False) -> Reproduced:
    """Run what changed and what depends on it, look at every output, and seal the lock.

    `pull`: bring the objects that the lock names and that are not here from a remote, by hash; one that may not be
    read is passed over, and said.

    Raises `InputError` when a stage fails or does not settle, `OutsideError` when a remote fails.
    """
    merging.install(root)
    for sentence in (*merging.settle(root), *_forget(root)):
        say(sentence)
    if pull:
        _pull(root)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        dvc = _Dvc(root, Path(folder, "notes"))
        dvc.check_out(_resting(root))
        _run(root, dvc)
        _settle(root, dvc)
    return Reproduced(ran=tuple(dict.fromkeys(dvc.ran)), sealed=tuple(_seal(root)))


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
        code = self._call("lockstep.lock.watch", str(self._notes), "repro", *arguments)
        names = self._notes.read_text(encoding="utf-8").splitlines()
        self.ran += names
        if code:
            raise InputError(
                f"`dvc repro` ended with exit code {code}, and says above why. What ran before that is kept"
            )
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
        if not _mend(root):
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
        say(f"{_list(names)}: nothing here shows that it ran on what {FILE} says, so it runs again")
        dvc.repro("--force", "--single-item", *names)
        dvc.repro()
    raise InputError(
        f"{_list(_open(root))} does not settle: each run gives another result, or a file is edited meanwhile. A "
        "stage's result must follow from what it reads alone: look for clocks, the order of a set, a missing seed"
    )


def _mend(root: Path) -> bool:
    """Remove damaged copies; was there one? Raises `InputError` for outputs that are wrong for another reason."""
    found = data.damages(root, fresh.read_lock(root))
    if not found:
        return False
    said = data.mend(root, found)
    for sentence in said:
        say(sentence)
    if not said:
        raise InputError("\n".join(damage.sentence for damage in found))
    return True


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
    return [f"{_list(sorted(gone))}: no stage of dvc.yaml any more, so taken out of {FILE}"]


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


def _pull(root: Path) -> None:
    from lockstep.remotes import transfer

    entries = fresh.read_lock(root)
    for _ in range(2):  # listings first; only then are their files known
        lacking = [each.md5 for each in objects.needed(root, entries) if objects.find(root, each.md5) is None]
        if not lacking:
            return
        try:
            transfer.fetch(root, lacking)
        except transfer.Denied as denied:
            # Whoever has no key, as a workflow without rights to the bucket, makes what is missing: the same bytes.
            say(f"{denied}. What it may hold is made here instead")
            return


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
