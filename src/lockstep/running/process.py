"""How the process of a stage runs: what is fixed before anything is imported, what is checked, how it ends.

A result must not depend on the machine's number of cores, on its locale or time zone, or on who started it; a process
whose DVC died must not write; and what was read must be what the stage before has written.
"""

from __future__ import annotations

import fcntl
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from lockstep.errors import InputError, exit_code
from lockstep.running import evidence, listing, lock, repository, versions
from lockstep.running.guardian import Guardian
from lockstep.running.quiet import QUIET
from lockstep.running.stage import Run, Stage
from lockstep.spec import Spec, read_spec

STOPPED = 128 + signal.SIGTERM

FIXED = QUIET | {
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Sums depend on the order of their terms, and that on the number of threads."""

FIXED_ON_X86 = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
}
"""Libraries choose their kernels by processor; all use the ones that every x86-64 server has. numpy says nothing when
a feature in this list is unknown to it or to the processor."""


def main(stage: Stage, run: Run) -> int:
    """Run a stage in the current folder, the repository's root; returns the exit code."""
    fix_environment()
    signal.signal(signal.SIGTERM, _stop)
    return exit_code(lambda: _run(stage, run, Path.cwd()))


def fix_environment() -> None:
    """Set what libraries read when they are imported; they must not have been yet."""
    os.environ.update(FIXED)
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.update(FIXED_ON_X86)
    time.tzset()


def _stop(signum: int, frame: FrameType | None) -> None:
    """Unwind, so that what is half-written gets removed."""
    sys.exit(STOPPED)


def _run(stage: Stage, run: Run, root: Path) -> None:
    guardian = Guardian.of_this_process()
    repository.on_path(root)
    listed = _listed(root, stage)
    with _alone(root, stage):
        _check_versions(root, listed)
        spec = read_spec(root / "params.yaml").restricted(stage.spec)
        if listed:
            _check_listed(root, stage, spec, listed)
        if guardian.watches:
            _check_inputs(root, stage)
        before = _state(root, listed)

        def before_moving() -> None:
            guardian.check()
            if listed:
                listing.check_code(stage.name, listed, root)

        with stage.files(root, before_moving) as files:
            run(spec, files)
            _check_unchanged(root, stage, spec, before, _state(root, listed))
        if listed:
            _leave_evidence(root, stage, listed, before, checked=guardian.watches)


def _listed(root: Path, stage: Stage) -> Mapping[str, Any]:
    """The stage as dvc.yaml lists it; empty without one."""
    listed = (_values(root / "dvc.yaml").get("stages") or {}).get(stage.name)
    return listed if isinstance(listed, Mapping) else {}


def _values(path: Path) -> Mapping[str, Any]:
    """A YAML file as bare values; empty without one."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path.name} cannot be read: {error}") from None


def _check_listed(root: Path, stage: Stage, spec: Spec, listed: Mapping[str, Any]) -> None:
    """DVC knows of everything that the stage is about to read."""
    listing.check_params(stage.name, listed, stage.spec, _values(root / listing.SPEC))
    listing.check_inputs(stage.name, listed, [*stage.reads.values(), *stage.incoming(spec)])


@contextmanager
def _alone(root: Path, stage: Stage) -> Iterator[None]:
    """One process a stage: a second one would write into the same files. The lock ends with the process."""
    folder = root / ".dvc" / "tmp"
    if not folder.parent.is_dir():
        yield
        return
    folder.mkdir(exist_ok=True)
    with (folder / f"lockstep-{stage.name}.lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"stage {stage.name} is running in this repository already: wait until it ends, then run again"
            ) from None
        yield


def _check_versions(root: Path, listed: Mapping[str, Any]) -> None:
    """The libraries that run are those that the lock file will claim."""
    tracked = [
        name
        for item in listed.get("params") or []
        if isinstance(item, Mapping)
        for name in item.get(versions.FILE) or []
    ]
    if tracked and (wrong := versions.mismatches(versions.read(root), tracked)):
        raise InputError(
            f"{'; '.join(wrong)}. `make repro` installs what {versions.LOCK} locks; "
            f"`lockstep check --fix` records what it and this Python give, and the stages that use it run again"
        )


def _check_inputs(root: Path, stage: Stage) -> None:
    """What an earlier stage wrote is still what it wrote, also when DVC's cache brought it back."""
    if damaged := lock.differences(root, stage.reads.values()):
        raise InputError("\n".join(damaged))


State = Mapping[str, Any]


def _leave_evidence(root: Path, stage: Stage, listed: Mapping[str, Any], before: State, *, checked: bool) -> None:
    """Remember on what this process ran and what came out, unless something was edited before that was read.

    What an earlier stage wrote was hashed when it was `checked`, and need not be again.
    """
    recorded = lock.outputs(root) if checked else {}
    known = {path: recorded[path].md5 for path in stage.reads.values() if path in recorded}
    content = evidence.collect(root, listed, known)
    if content and _state(root, listed) == before:
        evidence.leave(root, stage.name, content)


def _state(root: Path, listed: Mapping[str, Any]) -> State:
    """Inode, size and time of every listed file: enough to see that one was written to while the stage ran."""
    deps = [name for item in listed.get("deps") or [] for name in ([item] if isinstance(item, str) else item)]
    return {name: _stat(root / name) for name in [*deps, "params.yaml", versions.FILE]}


def _stat(path: Path) -> Any:
    try:
        # What Python keeps of a module that it imported, or an editor of one that is open, is no change to it.
        if path.is_dir():
            return {each.name: _stat(each) for each in path.iterdir() if not repository.is_litter(each.name)}
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _check_unchanged(root: Path, stage: Stage, spec: Spec, before: State, after: State) -> None:
    """DVC hashes what a stage read after it ran: a file edited meanwhile would be recorded with a foreign result."""
    changed = [name for name, state in before.items() if after[name] != state]
    if "params.yaml" in changed and read_spec(root / "params.yaml").restricted(stage.spec) == spec:
        changed.remove("params.yaml")
    if changed:
        raise InputError(
            f"{', '.join(changed)} changed while stage {stage.name} ran, so its result belongs to neither version. "
            f"It was dropped: run again"
        )
