"""The champion: the model of another revision, by the hashes that its dvc.lock records.

Its files come from DVC's cache, else from a remote, else from a rebuild by that revision's own code. None is read
before its hash is right, and all of them are data: ONNX, JSON, parquet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lockstep.comparison.frames import read_columns, read_keys
from lockstep.comparison.question import Question, of_revision, window_end
from lockstep.comparison.result import Champion
from lockstep.errors import InputError, LockstepError, OutsideError
from lockstep.lock import objects
from lockstep.lock.rebuild import rebuilt
from lockstep.models import model
from lockstep.models.model import Model
from lockstep.remotes import transfer
from lockstep.revision import Revision, git
from lockstep.rows.splits import Hashes

FILES: Mapping[str, str] = {
    "model.onnx": "model/model.onnx",
    "linear.onnx": "model/linear.onnx",
    "contract.json": "model/contract.json",
    "provenance.parquet": "model/provenance.parquet",
    "golden.json": "model/golden.json",
    "reference.parquet": "model/reference.parquet",
    "holdout.parquet": "data/prepared/holdout.parquet",
}
"""What is asked of a revision: by the name in the champion's folder, the path in its dvc.lock."""

NEEDED = frozenset(FILES) - {"linear.onnx", "reference.parquet"}
"""Those without which nothing can be compared."""

KEPT = ".dvc/tmp/lockstep/champions"


class Incomparable(LockstepError):
    """The files are what their lock says, and today's code can make nothing of them."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """A champion's files in one folder, by the names of `FILES`, and the md5 of each. `until` is the end of the window
    that its rows are of, "" where it does not say.
    """

    folder: Path
    champion: Champion
    question: Question
    md5s: Mapping[str, str]
    until: str = ""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A champion that can answer. `provenance` holds the sorted key hashes of the rows it learned from."""

    files: Files
    model: Model
    golden: Mapping[str, Any]
    provenance: Hashes

    @cached_property
    def keys(self) -> Hashes:
        """The key hashes of the rows that it was held to, (n,)."""
        return read_keys(self.files.folder / "holdout.parquet")

    def holdout(self, columns: Iterable[str]) -> pd.DataFrame:
        """The rows that it was held to, n of them in the order of `keys`; those of the columns that they have."""
        return read_columns(self.files.folder / "holdout.parquet", columns)


def recorded(revision: Revision) -> dict[str, str]:
    """The md5 of each of `FILES` in the revision's dvc.lock, by name; those that it lacks are left out.

    Raises `InputError` for a lock that cannot be read.
    """
    outs = {path: md5 for entry in revision.entries().values() for path, md5 in entry.outs.items()}
    return {name: outs[path] for name, path in FILES.items() if path in outs}


def has_model(revision: Revision) -> bool:
    """Does the revision's dvc.lock name a model?"""
    return "model.onnx" in recorded(revision)


def load(root: Path, revision: Revision, *, tag: str = "") -> Loaded:
    """The model of a revision, ready to answer; `tag` is the release that it stands for.

    Raises what `gather` and `opened` raise.
    """
    return opened(gather(root, revision, tag=tag))


def gather(root: Path, revision: Revision, *, tag: str = "") -> Files:
    """Bring the files of a revision's model together in a folder below `.dvc/tmp`, and say where they were.

    Raises `InputError` when they are nowhere and cannot be rebuilt, `OutsideError` when a remote fails that may have
    them.
    """
    md5s = recorded(revision)
    source = _fetch(root, revision, md5s)
    folder = root / KEPT / revision.sha
    folder.mkdir(parents=True, exist_ok=True)
    for name, md5 in md5s.items():
        _link(_whole(root, md5), folder / name)
    champion = Champion(
        revision=revision.sha,
        subject=git(root, "log", "-1", "--format=%s", revision.sha),
        md5=md5s.get("model.onnx", ""),
        source=source,
        released=tag,
    )
    return Files(
        folder=folder,
        champion=champion,
        question=of_revision(revision),
        md5s=md5s,
        until=window_end(revision),
    )


def _fetch(root: Path, revision: Revision, md5s: Mapping[str, str]) -> str:
    """Bring what DVC's cache lacks into it; from where, as a phrase."""
    if not _lacking(root, md5s):
        return "from DVC's cache"
    remotes, failure = _ask_remotes(root, _lacking(root, md5s))
    if rest := _lacking(root, md5s):
        _rebuild(root, revision, rest, failure)
        return "rebuilt from its own commit"
    return f"from the remote {' and '.join(f'`{name}`' for name in remotes)}"


def _lacking(root: Path, md5s: Mapping[str, str]) -> dict[str, str]:
    """What DVC's cache does not hold whole: it never looks at its objects again."""
    return {name: md5 for name, md5 in md5s.items() if not _is_whole(objects.find(root, md5), md5)}


def _is_whole(path: Path | None, md5: str) -> bool:
    return path is not None and objects.holds(path, md5)


def _whole(root: Path, md5: str) -> Path:
    found = objects.find(root, md5)
    assert found is not None
    return found


def _ask_remotes(root: Path, md5s: Mapping[str, str]) -> tuple[list[str], OutsideError | None]:
    """Let come into the cache what remotes have: from which, or why they could not be asked."""
    if not transfer.names(root):
        return [], None
    try:
        brought = transfer.bring(root, sorted(set(md5s.values())))
    except OutsideError as error:  # a fork knows the remote's name and has no key to it
        return [], error
    return sorted(set(brought.found.values()) - {"cache"}), None


def _rebuild(root: Path, revision: Revision, md5s: Mapping[str, str], failure: OutsideError | None) -> None:
    """Let the revision's own code make its files again, and keep them; `failure` says why no remote could be asked.

    Raises `InputError` when other files come out or none, `OutsideError` when a remote may have the right ones.
    """
    try:
        wrong = _remake(root, revision, md5s)
        why = f"a rebuild gives another {', '.join(wrong)} than its dvc.lock records" if wrong else ""
    except InputError as error:
        why = f"it cannot be rebuilt: {error}"
    if why and failure:
        raise OutsideError(f"{_nowhere(revision)} {why}; and a remote that may have it could not be asked: {failure}")
    if why:
        push = "" if "`lockstep push`" in why else ". `lockstep push` sends it from where it was made"
        raise InputError(
            f"{_nowhere(revision)} neither DVC's cache nor a remote has all of it, and {why}{push}; "
            "`--base REV` compares with another revision"
        )


def _nowhere(revision: Revision) -> str:
    return f"the champion, the model of {revision.short}, cannot be had:"


def _remake(root: Path, revision: Revision, md5s: Mapping[str, str]) -> list[str]:
    """Keep what a rebuild makes with the right md5; returns the paths of what it makes with another one.

    No more is run than must be: where what a stage reads is lost too, those before it; at last the source is asked.
    """
    entries = revision.entries().values()
    stages = [entry.name for entry in entries if any(FILES[name] in entry.outs for name in md5s)]
    for how in ({"stages": stages}, {}, {"from_source": True}):
        try:
            with rebuilt(root, revision, **how) as tree:
                return _keep(root, tree, md5s)
        except InputError as error:
            failure = error
    raise failure


def _keep(root: Path, tree: Path, md5s: Mapping[str, str]) -> list[str]:
    """Keep what is right in a rebuilt tree; returns the paths of the others."""
    right = {name for name, md5 in md5s.items() if objects.holds(tree / FILES[name], md5)}
    for name in right:
        objects.put(root, (tree / FILES[name]).read_bytes(), md5s[name])
    return [FILES[name] for name in md5s if name not in right]


def _link(target: Path, place: Path) -> None:
    """A symbolic link, in one step, also where another stands."""
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target.absolute())
    beside.replace(place)


def opened(files: Files) -> Loaded:
    """Read what was gathered. Raises `Incomparable` when something is missing there or today's code cannot read it."""
    short = files.champion.short
    lacking = [path for name, path in FILES.items() if name in NEEDED and name not in files.md5s]
    if lacking:
        raise Incomparable(f"dvc.lock of {short} names no {', '.join(lacking)}: nothing can be compared without.")
    try:
        return Loaded(
            files=files,
            model=model.load(files.folder),
            golden=_golden(files.folder / "golden.json"),
            provenance=np.sort(read_keys(files.folder / "provenance.parquet", "key")),
        )
    except InputError as error:
        why = " ".join(str(error).replace(f"{files.folder}/", "").partition(" Restore it")[0].split())
        raise Incomparable(f"Today's code cannot read the model of {short}: {why.rstrip('.')[:300]}.") from None


def _golden(path: Path) -> Mapping[str, Any]:
    try:
        golden = json.loads(path.read_bytes())
        rows, predictions = golden["rows"], golden["predictions"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no golden rows ({error})") from None
    if not rows or len(rows) != len(predictions):
        raise InputError(f"{path} holds {len(rows)} golden rows and {len(predictions)} predictions")
    return {"rows": rows, "predictions": predictions}
