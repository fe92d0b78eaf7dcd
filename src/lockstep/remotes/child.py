"""Running a job on a remote in a process of its own, because libraries hang: an S3 server that dies in mid-push keeps
DVC waiting for minutes, whatever its timeouts say.

Time is limited where nothing moves, never as such: a big object on a slow line takes as long as it takes. What is done
stays done, and the next try goes on with the rest.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from lockstep.errors import InputError, OutsideError
from lockstep.remotes.config import Remote, missing_part, without_secrets
from lockstep.running.console import say

JOBS = 8


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long nothing may move, how many tries in a row may bring nothing, and the pause after the first of them,
    in seconds; it doubles. `once`: whoever says nothing at all for so long is not asked again.
    """

    stall: float = 60.0
    tries: int = 4
    pause: float = 1.0
    once: bool = False


MOVING = Patience()
LOOKING = Patience(stall=15.0, tries=3, pause=0.5, once=True)
"""For small questions, such as whether an object is there."""

SILENT = 2.0
"""Seconds without a sign of life after which people are told for whom we wait."""


class Unusable(OutsideError):
    """The remote cannot be used now. `short` says why without naming it; `remedy` is a command, or what to do."""

    def __init__(self, said: str, short: str = "", remedy: str = "") -> None:
        super().__init__(said)
        self.short, self.remedy = short or said, remedy


class Denied(Unusable):
    """The remote answers, and does not let this machine do that."""


class Misconfigured(InputError):
    """The remote cannot be opened as it is configured; `short` and `remedy` as above."""

    def __init__(self, said: str, short: str, remedy: str) -> None:
        super().__init__(said)
        self.short, self.remedy = short, remedy


Items = Mapping[str, Mapping[str, Any]]
Found = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """Why a try ended early. `again`: the next one may go better; `stalled`: nothing was heard."""

    why: str
    kind: str = "failed"
    stalled: bool = False

    @property
    def again(self) -> bool:
        return self.kind == "failed"


def run(root: Path, remote: Remote, action: str, items: Items, patience: Patience) -> Found:
    """What was found for each of `items` (by md5, with what the action needs to know); see `worker.ACTIONS`.

    Raises `InputError` when the remote is configured wrongly, `OutsideError` when it cannot be used: nothing
    half-written is left, and it is safe to repeat.
    """
    found: Found = {}
    fruitless = 0
    waiting = _Notice(f"waiting for remote {remote} …")
    while rest := [{"md5": md5, **items[md5]} for md5 in items if md5 not in found]:
        before = len(found)
        stopped = _try(root, remote, action, rest, patience.stall, found, waiting)
        if stopped is None:
            break
        fruitless = 1 if len(found) > before else fruitless + 1
        if not stopped.again or fruitless >= patience.tries or (stopped.stalled and patience.once):
            raise _error(remote, action, stopped, done=len(found), of=len(items), tries=fruitless)
        time.sleep(patience.pause * 2 ** (fruitless - 1))
    return found


def _error(remote: Remote, action: str, stopped: Stopped, *, done: int, of: int, tries: int) -> Exception:
    why = without_secrets(stopped.why).rstrip(".")
    if stopped.kind == "full" and action == "get":
        return OSError(errno.ENOSPC, why)
    if stopped.kind == "local":
        return InputError(
            f"DVC's cache on this machine cannot be used: {why}. Mend its rights, or choose another folder"
        )
    if stopped.kind == "configured":
        remedy = missing_part(why) or "`lockstep remote` shows what is configured"
        return Misconfigured(
            f"remote {remote} cannot be opened: {why}. {_sentence(remedy)}", f"cannot be opened: {why}", remedy
        )
    if stopped.kind == "denied":
        return _denied(remote, why)
    if stopped.kind == "absent":
        return _absent(remote, why)
    count = f", {tries} times in a row" if tries > 1 else ""
    through = f"{done} of {of} objects got through. " if of > 1 else ""
    return Unusable(
        f"remote {remote} failed{count}: {why}. {through}Nothing is half-written: it is safe to repeat",
        f"{without_secrets(remote.url)} does not answer as it should: {why}",
        "try again when it is up; `lockstep remote URL` if that is not the right URL",
    )


def _denied(remote: Remote, why: str) -> Denied:
    if remote.path:
        hint, remedy = (
            "This user may not do that there: mend the folder's rights",
            f"ls -ld {shlex.quote(os.fspath(remote.path))}",
        )
    else:
        hint = (
            "The credentials of this machine are missing, expired, or may not do this: renew them, or see "
            "docs/remote.md for the rights that are needed"
        )
        remedy = "renew this machine's credentials, or grant them what docs/remote.md lists"
    return Denied(f"remote {remote} refuses: {why}. {hint}; then repeat", f"refused: {why}", remedy)


def _absent(remote: Remote, why: str) -> Unusable:
    if remote.path:
        make = f"mkdir -p {shlex.quote(os.fspath(remote.base or remote.path))}"
        remedy = f"mount it; if it is new: `{make}`"
    else:
        bucket = urlsplit(remote.url).netloc
        make = f"create it (`{remote.aws(f'mb s3://{bucket}')}`)" if remote.url.startswith("s3://") else "create it"
        remedy = f"{make}, or correct the URL: `lockstep remote URL`"
    return Unusable(f"remote {remote} is not there: {why}. {_sentence(remedy)}", why, remedy)


def _sentence(remedy: str) -> str:
    return remedy[0].upper() + remedy[1:]


class _Notice:
    """Something that people are told once."""

    def __init__(self, text: str) -> None:
        self._text: str | None = text

    def __call__(self) -> None:
        if self._text:
            say(self._text)
        self._text = None


def _try(
    root: Path,
    remote: Remote,
    action: str,
    items: Sequence[Mapping[str, Any]],
    stall: float,
    found: Found,
    waiting: Callable[[], None],
) -> Stopped | None:
    """One process; adds to `found` what it says. None when it got through everything."""
    job = {
        "root": os.fspath(root.absolute()), "remote": remote.name, "path": remote.path and os.fspath(remote.path),
        "base": remote.base and action != "put" and os.fspath(remote.base),
        "action": action, "items": list(items), "jobs": JOBS,
    }  # fmt: skip
    with tempfile.TemporaryFile() as stderr, _process(root, stderr) as process:
        lines = _lines(process, job)
        while True:
            try:
                line = _next(lines, stall, waiting)
            except queue.Empty:
                return Stopped(why=f"not a byte moved in {stall:g} seconds", stalled=True)
            if line is None:
                return Stopped(why=_last_words(stderr))
            if "done" in line:
                found[line["done"]] = line["found"]
            elif "stopped" in line:
                return Stopped(kind=line["stopped"], why=line["why"])
            elif "end" in line:
                return None


def _next(lines: queue.Queue[Any], stall: float, waiting: Callable[[], None]) -> Any:
    """What is said next. Raises `queue.Empty` when that takes longer than `stall`."""
    if stall <= SILENT:
        return lines.get(timeout=stall)
    with suppress(queue.Empty):
        return lines.get(timeout=SILENT)
    waiting()
    return lines.get(timeout=stall - SILENT)


@contextmanager
def _process(root: Path, stderr: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
    """The worker as the leader of a group of its own, which is ended as a whole."""
    quiet = {"DVC_NO_ANALYTICS": "1", "ITERATIVE_DO_NOT_TRACK": "1"}
    # The tries are ours: botocore's own would only make each of them longer.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lockstep.remotes.worker"],
        cwd=root, env={"AWS_MAX_ATTEMPTS": "2"} | os.environ | quiet, text=True, encoding="utf-8", bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # the kernel keeps a process that waits for a dead network folder
            process.wait(timeout=5)
        with suppress(BrokenPipeError):
            process.stdin.close()  # type: ignore[union-attr]


def _lines(process: subprocess.Popen[str], job: Mapping[str, Any]) -> queue.Queue[Any]:
    """What the worker says, line by line, and None at its end. Told on a thread, so that waiting can have a limit."""
    lines: queue.Queue[Any] = queue.Queue()

    def read() -> None:
        try:
            process.stdin.write(json.dumps(job) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            with process.stdout as said:  # type: ignore[union-attr]
                for line in said:
                    lines.put(json.loads(line))
        except (OSError, ValueError):
            pass  # it ended, or was ended; what it said before that counts
        lines.put(None)

    threading.Thread(target=read, daemon=True, name="remote").start()
    return lines


def _last_words(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    said = stderr.read().decode(errors="replace").strip().splitlines()
    return f"its process ended without a word{f': {said[-1]}' if said else ''}"
