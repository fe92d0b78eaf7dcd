"""Is dvc.lock true? From the tree alone; with the bytes that are here; by rebuilding it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.errors import InputError
from lockstep.lock import data, declared, fresh, objects, rebuild, seal
from lockstep.lock.entries import FILE, Entries, Entry, parse
from lockstep.lock.shortly import shortened
from lockstep.revision import Revision, git, resolve
from lockstep.running import versions

if TYPE_CHECKING:
    from lockstep.remotes.transfer import Looked

PR = "pr"
"""The remote of pull requests: what they made waits there until it is merged."""

MACHINES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not true, by the check that found it."""

    check: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was looked at, what is not true, what people should know besides."""

    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def is_true(self) -> bool:
        """Did no check find anything?"""
        return not self.findings


def verify(
    root: Path,
    *,
    remote: str | None = None,
    bytes_: bool = False,
    again: bool = False,
    from_source: bool = False,
    progress: Callable[[str], None] = lambda sentence: None,
) -> Answer:
    """Look at the work tree's lock and seal, and at the remote where there is one.

    `remote` names another than the default one; `bytes_` reads what is in the cache and the work tree; `again` rebuilds
    HEAD, with `from_source` from the source on.
    Raises `InputError` when a file cannot be read, `OutsideError` when a remote cannot be reached.
    """
    declared.check_root(root)
    verification = _Verification(root)
    verification.look_at_lock()
    if verification.entries:
        verification.look_at_remote(remote)
        if bytes_:
            verification.look_at_bytes()
        if again or from_source:
            verification.rebuild(from_source, progress)
    return verification.answer()


class _Verification:
    """One verification, as it goes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.entries: Entries = fresh.read_lock(root)
        self._checks: list[str] = []
        self._findings: list[Finding] = []
        self._notes: list[str] = []

    def answer(self) -> Answer:
        return Answer(checks=tuple(self._checks), findings=tuple(self._findings), notes=tuple(self._notes))

    def _add(self, check: str, sentences: list[str]) -> None:
        self._checks.append(check)
        self._findings += [Finding(check=check, sentence=sentence) for sentence in sentences]

    def look_at_lock(self) -> None:
        if not self.entries:
            self._add("lock", [f"there is no {FILE}, or nothing in it: `make repro` writes it"])
            return
        look = fresh.look(self._root)
        self._add("lock", [finding.sentence for finding in look.stale])
        self._add("seal", _seal(self._root, self.entries))
        self._notes += look.unseen
        self._notes += elsewhere(self._root)

    def look_at_remote(self, name: str | None) -> None:
        from lockstep.remotes import transfer

        chosen = name or transfer.default(self._root)
        if chosen is None:
            self._notes.append("no remote is configured: nothing but this machine is known to hold data and model")
            return
        looked, paths = self._look_into(chosen)
        damaged = [md5 for md5 in looked.damaged if self._is_damaged(md5)]
        lacking = list(looked.missing)
        if lacking and name is None and PR in transfer.names(self._root) and chosen != PR:
            elsewhere_ = transfer.look(self._root, dict.fromkeys(lacking), PR)
            waiting = set(lacking) - {*elsewhere_.missing, *elsewhere_.damaged}
            lacking = [md5 for md5 in lacking if md5 not in waiting]
            if waiting:
                self._notes.append(f"{len(waiting)} objects are in remote `{PR}` only, until they are merged")
        gone = shortened([paths[md5] for md5 in lacking])
        sentences = [f"{gone}: not in remote `{chosen}`: `lockstep push` sends it"] * bool(lacking)
        sentences += [f"{paths[md5]}: {transfer.damaged_sentence(self._root, md5, chosen)}" for md5 in damaged]
        self._add(f"remote `{chosen}`", sentences)

    def _look_into(self, remote: str) -> tuple[Looked, dict[str, str]]:
        """What the remote lacks or holds damaged of what the lock needs, and the path of each object by its md5.

        Listings that are not here are brought, or the files of their folders would not be known.
        """
        from lockstep.remotes import transfer

        wanted = objects.needed(self._root, self.entries)
        sizes = {each.md5: each.size if each.size is not None else self._size_here(each.md5) for each in wanted}
        unlisted = [each.md5 for each in objects.unlisted(self._root, wanted)]
        looked = transfer.look(self._root, sizes, remote, unlisted=unlisted)
        if unlisted:
            wanted = objects.needed(self._root, self.entries)
        return looked, {each.md5: each.path for each in wanted}

    def _size_here(self, md5: str) -> int | None:
        """Of an object whose size dvc.lock does not record, such as a file in a folder: that of DVC's copy."""
        copy = objects.find(self._root, md5)
        return copy.stat().st_size if copy else None

    def _is_damaged(self, md5: str) -> bool:
        """Not so when it is DVC's copy here that has the wrong size."""
        recorded = {each.md5 for each in objects.needed(self._root, self.entries) if each.size is not None}
        copy = objects.find(self._root, md5)
        return md5 in recorded or copy is None or objects.holds(copy, md5)

    def look_at_bytes(self) -> None:
        damaged, absent = data.in_cache(self._root, objects.needed(self._root, self.entries))
        self._add("data", [*data.differences(self._root, self.entries), *damaged])
        if absent:
            self._notes.append(
                f"DVC's cache lacks {shortened([each.path for each in absent])}: `make repro` brings or makes it"
            )

    def rebuild(self, from_source: bool, progress: Callable[[str], None]) -> None:
        head = _committed(self._root)
        with rebuild.rebuilt(self._root, head, from_source=from_source) as tree:
            made = parse((tree / FILE).read_bytes())
        left_out = [name for name in self.entries if name == rebuild.SOURCE and not from_source]
        for name, entry in self.entries.items():
            if name not in left_out:
                wrong = list(compare(entry, made[name], from_source=from_source))
                same = f"byte for byte the same: {shortened(list(entry.outs))}"
                progress(f"{name}: {'NOT the same' if wrong else same}")
                self._findings += [Finding(check="rebuild", sentence=sentence) for sentence in wrong]
        self._checks.append("rebuild")
        self._notes += [
            f"{name} was not run: its rows are the lock's; `--from-source` asks the source" for name in left_out
        ]


def _seal(root: Path, entries: Entries) -> list[str]:
    try:
        return seal.differences(entries, seal.read(root))
    except InputError as error:
        return [str(error)]


def elsewhere(root: Path) -> Iterator[str]:
    """A sentence when this machine is not one on which the lock's bytes can be expected."""
    recorded = versions.read(root)
    here = f"{platform.system().lower()}/{MACHINES.get(platform.machine(), platform.machine())}"
    there = recorded.get("platform", versions.PLATFORM)
    differs = [f"{here}, not {there}"] if here != there else []
    if versions.python() != recorded.get("python", versions.python()):
        differs.append(f"Python {versions.python()}, not {recorded['python']}")
    if differs:
        yield f"this is {' and '.join(differs)}: the last bits of results may differ here, and CI's lock counts"


def _committed(root: Path) -> Revision:
    """HEAD, if the tree is what it says. Raises `InputError` when tracked files have changes."""
    changed = [line[3:] for line in git(root, "status", "--porcelain", "--untracked-files=no").splitlines()]
    if changed:
        raise InputError(
            f"a rebuild verifies a commit, and {shortened(changed)} changed since the last one: commit first"
        )
    return resolve(root, "HEAD")


def compare(recorded: Entry, made: Entry, *, from_source: bool = False) -> Iterator[str]:
    """Sentences: where running the stage again gave something else than its entry says."""
    for path, md5 in recorded.outs.items():
        if made.outs.get(path) != md5:
            maybe = ": the source may have changed since" if from_source and recorded.name == rebuild.SOURCE else ""
            yield f"{recorded.name}: {path} came out otherwise than {FILE} says{maybe}"
    changed = [path for path, md5 in recorded.deps.items() if made.deps.get(path) != md5]
    if changed:
        yield f"{recorded.name}: it read another {shortened(changed)} than {FILE} says"
    if made.params != recorded.params:
        yield f"{recorded.name}: it ran with other parameters or versions than {FILE} says"
