"""Folders of work that must not outlive it: removed however the work ends, and after a kill by whoever comes next.

A folder's owner holds a lock on a file in it, which ends with its process: nothing else tells a dead one's folder from
that of one at work.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from lockstep.revision import git_bytes

PREFIX = "lockstep-rebuild-"
OWNER = "owner"
MARK = "LOCKSTEP_REBUILD"
"""The variable that names the folder in the environment of what runs there."""

STOPPING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def folder(root: Path) -> Iterator[Path]:
    """A new one for worktrees of the repository at `root`. `sweep` leaves it alone as long as this process lives."""
    made = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with (made / f".{OWNER}").open("w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            (made / f".{OWNER}").rename(made / OWNER)  # only now a folder that could be swept
            yield made
    finally:
        with undisturbed():
            remove(root, made)


def remove(root: Path, made: Path) -> None:
    """The folder and the worktrees of the repository at `root` in it."""
    for top in made.iterdir() if made.is_dir() else ():
        if (top / ".git").exists():
            git_bytes(root, "worktree", "remove", "--force", "--force", str(top))
    shutil.rmtree(made, ignore_errors=True)
    git_bytes(root, "worktree", "prune")


def sweep(root: Path) -> None:
    """Remove what processes have left that were killed."""
    for made in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), (made / OWNER).open("r+", encoding="utf-8") as file:  # or its owner is at work
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _end_what_runs_in(made)
            remove(root, made)


def _end_what_runs_in(made: Path) -> None:
    """Processes that were started for this folder: they say so in their environment."""
    mark = f"{MARK}={made}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is someone else's
            if mark in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM, and the SIGHUP of a terminal that is closed, unwind like Ctrl-C. Under nohup it stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        sys.exit(128 + signum)

    heeded = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not stop the tidying up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *STOPPING)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
