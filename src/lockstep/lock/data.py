"""The bytes behind dvc.lock: in the work tree and in DVC's cache, file by file.

DVC does not look: a copy that was cut off in its cache is checked out as it is, and `dvc status` calls it clean.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lockstep.lock import declared, hashing, objects
from lockstep.lock.declared import Declared
from lockstep.lock.entries import FILE, Entries


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A file that is not what dvc.lock records of `stage`. `copy`: DVC's copy of it, when that is damaged too."""

    path: str
    md5: str
    sentence: str
    copy: Path | None = None
    stage: str = ""


def damages(root: Path, entries: Entries) -> list[Damage]:
    """Every output in the work tree that is missing or has other bytes than the lock names."""
    stages = declared.read(root)
    return [
        replace(damage, stage=entry.name)
        for entry in entries.values()
        if entry.name in stages
        for path, md5 in entry.outs.items()
        if objects.is_md5(md5)
        for damage in _look(root, stages[entry.name], path, md5)
    ]


def differences(root: Path, entries: Entries) -> list[str]:
    """The sentences of `damages`."""
    return [damage.sentence for damage in damages(root, entries)]


def mend(root: Path, found: list[Damage]) -> list[str]:
    """Remove each damaged copy, and the file that DVC made of it; what remains is for `dvc repro` to make again.

    Files whose copy is right are left alone: DVC sees by itself that they changed. Returns sentences.
    """
    said = []
    for damage in found:
        if damage.copy is not None:
            damage.copy.unlink()
            (root / damage.path).unlink(missing_ok=True)
            said.append(f"removed DVC's copy of {damage.path}, which was damaged")
    return said


def restore(root: Path, found: list[Damage]) -> list[str]:
    """Put DVC's copy in the place of each file that is damaged, or missing in a folder, where the copy is whole.
    Returns the paths.
    """
    said = []
    for damage in found:
        copy = objects.find(root, damage.md5)
        if copy is not None and not damage.md5.endswith(".dir") and objects.holds(copy, damage.md5):
            _place(copy, root / damage.path)
            said.append(damage.path)
    return said


def _place(copy: Path, target: Path) -> None:
    """Whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".lockstep-", suffix=".tmp") as beside:
        shutil.copyfile(copy, Path(beside, target.name))
        Path(beside, target.name).replace(target)


def in_cache(root: Path, wanted: list[objects.Object]) -> tuple[list[str], list[objects.Object]]:
    """Sentences about damaged objects in the local cache, and the objects that are not there."""
    damaged, absent = [], []
    for each in wanted:
        path = objects.find(root, each.md5)
        if path is None:
            absent.append(each)
        elif not objects.holds(path, each.md5):
            damaged.append(
                f"DVC's copy of {each.path} is damaged: {shown(root, path)} has other bytes than its name says"
            )
    return damaged, absent


def shown(root: Path, path: Path) -> str:
    """A path as people read it: from the repository's root where it lies within."""
    return path.relative_to(root.absolute()).as_posix() if path.is_relative_to(root.absolute()) else str(path)


def _look(root: Path, stage: Declared, path: str, md5: str) -> Iterator[Damage]:
    place = stage.place(path)
    files = objects.listing(root, md5) if md5.endswith(".dir") else {"": md5}
    if not (root / place).exists():
        copy = None if files is None or md5.endswith(".dir") else _damaged_copy(root, md5)
        yield Damage(path=place, md5=md5, sentence=_missing(place), copy=copy)
    elif files is None:
        yield from _look_at_folder(root, place, md5)
    else:
        yield from _look_at_files(root, place, md5, files)


def _look_at_folder(root: Path, place: str, md5: str) -> Iterator[Damage]:
    """A folder whose listing is not here: only whether it is the right one can be said."""
    if hashing.Hashes(root).of(place) != md5:
        yield Damage(path=place, md5=md5, sentence=_sentence(root, place, copy=_damaged_copy(root, md5)))


def _look_at_files(root: Path, place: str, md5: str, files: Mapping[str, str]) -> Iterator[Damage]:
    for name, each in files.items():
        whole = f"{place}/{name}" if name else place
        if not objects.holds(root / whole, each):
            copy = _damaged_copy(root, each)
            yield Damage(path=whole, md5=each, sentence=_sentence(root, whole, copy=copy), copy=copy)
    if md5.endswith(".dir"):
        for name in sorted(set(hashing.Hashes(root).files(place)) - set(files)):
            yield Damage(path=f"{place}/{name}", md5="", sentence=f"{place}/{name} is not in what {FILE} records")


def _damaged_copy(root: Path, md5: str) -> Path | None:
    path = objects.find(root, md5)
    return path if path is not None and not objects.holds(path, md5) else None


def _missing(name: str) -> str:
    return f"{name}, which {FILE} names, is missing: `make repro` brings it back"


def _sentence(root: Path, name: str, *, copy: Path | None) -> str:
    path = root / name
    if not path.exists():
        return _missing(name)
    size = f" ({path.stat().st_size:,} bytes)" if path.is_file() else ""
    cause = f"DVC's copy of it, {shown(root, copy)}, is damaged" if copy else "it was cut off or edited"
    return f"{name}{size} is not the file that {FILE} records: {cause}. `make repro` mends it"
