"""Programs of others, run to their end: what they said when they failed, and none that outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lockstep.errors import InputError, OutsideError
from lockstep.lock.processes import die_with_parent, without_tokens

TOLD = 12
"""Lines of what a program said that are worth repeating."""


class Failed(OutsideError):
    """A program ended badly. `said` is what it wrote, whole."""

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


def run(
    command: Sequence[str],
    what: str,
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdin: str = "",
) -> str:
    """What the program writes to its standard output. Raises `Failed` when it ends badly or takes too long.

    `what` begins the sentence about a failure, such as "the push"; `environment` is added to ours.
    """
    with (
        tempfile.TemporaryFile() as err,
        started(command, err, stdout=subprocess.PIPE, environment=environment, folder=folder) as process,
    ):
        try:
            out, _ = process.communicate(stdin.encode(), timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{what} did not end in {timeout:g} seconds: {command[0]} was stopped") from None
        if process.returncode:
            said = _text(err) or out.decode(errors="replace")
            raise Failed(f"{what} failed (`{command[0]}` ended with {process.returncode}): {last_lines(said)}", said)
        return out.decode(errors="replace")


@contextmanager
def started(
    command: Sequence[str],
    stderr: IO[bytes],
    *,
    stdout: int | IO[bytes],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program with all it starts, in a group of its own: it ends with the block, and with us however we end."""
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=without_tokens(os.environ) | dict(environment or {}), stdin=subprocess.PIPE,
            stdout=stdout, stderr=stderr, start_new_session=True, preexec_fn=die_with_parent,  # noqa: PLW1509  (it takes no lock)
        )  # fmt: skip
    except FileNotFoundError:
        raise InputError(f"the program `{command[0]}` is not installed: install it, then run again") from None
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The group as a whole: asked first, so that an engine can tidy up."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if process.poll() is not None:
            break
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(patience)
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):
            if pipe:
                pipe.close()


def last_lines(said: str, count: int = TOLD) -> str:
    """The end of what a program wrote.

    >>> last_lines("one\\ntwo\\n\\nthree\\n", 2)
    'two\\nthree'
    """
    return "\n".join([line for line in said.splitlines() if line.strip()][-count:]) or "it said nothing"


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()
