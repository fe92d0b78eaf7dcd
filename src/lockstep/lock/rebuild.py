"""A revision's stages run again, by that revision's own code, from inputs whose hashes its lock names.

It happens in a worktree of its own, which is removed whatever happens; nothing comes from DVC's cache of runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lockstep.errors import InputError, OutsideError
from lockstep.lock import declared, materials, objects, processes, scratch
from lockstep.lock.entries import Entries
from lockstep.revision import Revision, git
from lockstep.running import versions

SOURCE = "ingest"
"""The stage that fetches from outside: its result is taken from the lock unless the source itself is to be asked."""


@contextmanager
def rebuilt(
    root: Path,
    revision: Revision,
    *,
    stages: Sequence[str] | None = None,
    from_source: bool = False,
    shared: bool = False,
) -> Iterator[Path]:
    """A worktree of `revision` in which its `stages` have just run; its dvc.lock says what they made.

    All stages run unless some are named; without `from_source` all but `ingest`. What the others read comes from the
    cache, the work tree or a remote, by the hashes of the revision's lock. `shared`: results go into the repository's
    own DVC cache, so that they are found there next time; otherwise into one that is removed as well.

    Raises `InputError` when the revision has no lock, an input is nowhere or a stage fails; `OutsideError` when a
    remote or the set-up of its environment fails.
    """
    entries = revision.entries()
    if not entries:
        raise InputError(f"{revision.short} has no dvc.lock: there is nothing to rebuild")
    with _worktree(root, revision) as (tree, folder):
        known = declared.parse(revision.read(declared.FILE) or b"", tree)
        chosen = order(known, chosen_from(known, stages, from_source))
        materials.place(root, tree, _inputs(tree, entries, known, chosen))
        _configure(tree, materials.cache(root) if shared else folder / "cache")
        _run(tree, folder, chosen, revision)
        yield tree


def chosen_from(known: Iterable[str], stages: Sequence[str] | None, from_source: bool) -> list[str]:
    """The stages to run: those named, else all, the source only when it is asked for."""
    everything = list(known)
    if stages is None:
        return [name for name in everything if from_source or name != SOURCE]
    if lacking := [name for name in stages if name not in everything]:
        raise InputError(f"there is no stage {', '.join(lacking)} in that revision's {declared.FILE}")
    return list(stages)


def order(known: Mapping[str, declared.Declared], chosen: Iterable[str]) -> list[str]:
    """The chosen stages, each after those whose outputs it reads. Raises `InputError` when they run in a circle."""
    todo, done = list(chosen), list[str]()
    while todo:
        ready = [name for name in todo if not set(upstream(known, name)) & (set(todo) - {name})]
        if not ready:
            raise InputError(f"stages {', '.join(todo)} of {declared.FILE} wait for one another")
        done += ready
        todo = [name for name in todo if name not in ready]
    return done


def upstream(known: Mapping[str, declared.Declared], name: str) -> list[str]:
    """The stages whose outputs stage `name` reads, directly."""
    stage = known[name]
    reads = [stage.place(path) for path in stage.deps]
    return [
        other.name
        for other in known.values()
        if other.name != name and any(touches(read, other.place(out)) for read in reads for out in other.outs)
    ]


def touches(one: str, other: str) -> bool:
    """Are two paths the same, or one within the other?

    >>> touches("data/raw/a", "data/raw"), touches("data/raw", "data/rawer")
    (True, False)
    """
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _inputs(
    tree: Path, entries: Entries, known: Mapping[str, declared.Declared], chosen: Sequence[str]
) -> dict[str, str]:
    """What the chosen stages read and git does not hold: the hash by path."""
    made = {known[name].place(out) for name in chosen for out in known[name].outs}
    kept = {
        known[name].place(out): entry.outs[out]
        for name, entry in entries.items()
        if name in known and name not in chosen
        for out, how in known[name].outs.items()
        if how.cached and out in entry.outs
    }
    found: dict[str, str] = {}
    for name in chosen:
        for path, md5 in (entries[name].deps if name in entries else {}).items():
            if not objects.is_md5(md5):
                continue
            place = known[name].place(path)
            owners = {out: hash_ for out, hash_ in kept.items() if touches(place, out)}
            if owners:
                found |= owners
            elif not any(touches(place, out) for out in made) and not (tree / place).exists():
                found[place] = md5
    return found


@contextmanager
def _worktree(root: Path, revision: Revision) -> Iterator[tuple[Path, Path]]:
    """The revision's tree in a folder of its own, and a folder for what else is needed; both go in the end."""
    scratch.sweep(root)
    with scratch.terminable(), scratch.folder(root) as folder:
        top = folder / revision.short
        # A hook that DVC or a person installed is for their own checkouts.
        hooks = f"core.hooksPath={os.devnull}"
        git(root, "-c", hooks, "worktree", "add", "--quiet", "--detach", str(top), revision.sha)
        yield top / git(root, "rev-parse", "--show-prefix"), folder


def _configure(tree: Path, cache: Path) -> None:
    """Where DVC keeps what it makes here; nothing of it is linked, so that no stage can write into a cache."""
    (tree / ".dvc").mkdir(exist_ok=True)
    text = f'[cache]\n    dir = "{cache}"\n    type = copy\n'
    (tree / ".dvc" / "config.local").write_text(text, encoding="utf-8")


def _run(tree: Path, beside: Path, stages: Sequence[str], revision: Revision) -> None:
    python = _interpreter(tree, beside, revision)
    # -P: what lies in the tree's root must not be taken for one of DVC's own imports.
    command = [str(python), "-P", "-m", "dvc", "repro", "--force", "--single-item", "--no-run-cache", *stages]
    if stages and (code := processes.run(command, tree, _environment(tree, beside, python), apart=True)):
        raise InputError(
            f"{revision.short} could not be rebuilt: `dvc repro` ended with exit code {code}, and says above why"
        )


def _interpreter(tree: Path, beside: Path, revision: Revision) -> Path:
    """This Python where it is what the revision's versions.toml asks for; else one that its own Makefile sets up."""
    recorded = versions.read(tree)
    own = (tree / "src" / "lockstep").is_dir()
    wrong = versions.mismatches(recorded, [name for name in recorded if name != versions.LOCKSTEP or not own])
    if not wrong:
        return Path(sys.executable)
    if not (tree / "Makefile").is_file():
        raise InputError(f"{revision.short} ran with other versions ({'; '.join(wrong)}), and has no Makefile")
    environment = _environment(tree, beside, Path(sys.executable))
    if processes.run(["make", ".venv/.pipeline"], tree, environment, apart=True):
        raise OutsideError(f"the environment of {revision.short} could not be set up: `make .venv/.pipeline` says why")
    return tree / ".venv" / "bin" / "python"


def _environment(tree: Path, beside: Path, python: Path) -> dict[str, str]:
    """This environment without what would lead git, DVC or Python out of the tree."""
    left_out = (
        "DVC_ROOT",
        "DVC_STAGE",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "VIRTUAL_ENV",
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
    )
    kept = {key: value for key, value in os.environ.items() if key not in left_out and not key.startswith("GIT_DIR")}
    for name in ("GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"):
        kept.pop(name, None)
    return kept | {
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(beside / "site"),
        scratch.MARK: str(beside),
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(tree / "src"),
    }
