"""A program run to its end; whatever stops us, it does not outlive us."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1

TOKENS = frozenset(
    {
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "ACTIONS_RUNTIME_TOKEN",
        "GH_TOKEN",
        "GITHUB_TOKEN",
        "LOCKSTEP_APP_TOKEN",
    }
)
"""What lets a program act in the name of a workflow."""

PATIENCE = 10.0
"""Seconds that a stopped program gets to remove what is half-written."""


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], *, apart: bool = False) -> int:
    """Its exit code. `apart`: in a group of processes of its own, which ends as a whole, its words on stderr; else it
    shares the terminal, and Ctrl-C reaches it without us.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=without_tokens(environment),
        stdin=subprocess.DEVNULL if apart else None,
        stdout=sys.stderr.fileno() if apart else None,
        start_new_session=apart,
        preexec_fn=die_with_parent if apart else None,  # noqa: PLW1509  (it takes no lock)
    )
    try:
        return process.wait()
    except BaseException:
        _end(process, apart=apart)
        raise


def without_tokens(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for programs that have no business with GitHub: stages, builds, engines.

    >>> without_tokens({"PATH": "/bin", "GITHUB_TOKEN": "x"})
    {'PATH': '/bin'}
    """
    return {name: value for name, value in environment.items() if name not in TOKENS}


def die_with_parent() -> None:
    """Linux sends SIGTERM when the parent ends, however it ends; the stages below look for their DVC themselves."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes], *, apart: bool) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            if apart:
                os.killpg(process.pid, number)
            else:
                _wait_for_ctrl_c(process)
                process.send_signal(number)
            process.wait(PATIENCE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        else:
            return


def _wait_for_ctrl_c(process: subprocess.Popen[bytes]) -> None:
    """A program at the same terminal has got the Ctrl-C that stops us, and may be tidying up."""
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        return
    raise ProcessLookupError
