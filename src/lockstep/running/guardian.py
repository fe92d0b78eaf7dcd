"""A stage's process does not outlive the DVC that started it: an orphan could still write when DVC has been run again.

DVC starts `shell -c command`; most shells turn into the command, some stay in between. So whoever is above, up to
DVC, is watched.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

PR_SET_PDEATHSIG = 1
ORPHANED = 128 + signal.SIGKILL


class Guardian:
    """Watches the processes above and ends this one at once when one of them has ended (on Linux)."""

    def __init__(self, above: Iterable[int]) -> None:
        self._watched: list[int] = []
        for pid in above:
            try:
                self._watched.append(os.pidfd_open(pid))
            except ProcessLookupError:
                os._exit(ORPHANED)
        if self.watches:
            threading.Thread(target=self._wait, daemon=True, name="guardian").start()

    @classmethod
    def of_this_process(cls) -> Guardian:
        """The guardian of a stage that DVC started; one started by hand may outlive its shell, as with nohup."""
        if not os.environ.get("DVC_STAGE") or not hasattr(os, "pidfd_open"):
            return cls(())
        # The kernel's own way is the only one that works while a library holds the interpreter's lock.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        above = _above()
        if any(os.getpgid(pid) != os.getpgrp() for pid in above):
            os._exit(ORPHANED)  # DVC died before we looked, and someone adopted us
        return cls(above)

    @property
    def watches(self) -> bool:
        """Was this process started by DVC?"""
        return bool(self._watched)

    def check(self) -> None:
        """End this process now if one above has ended."""
        if self._ended(timeout=0):
            os._exit(ORPHANED)

    def _wait(self) -> None:
        if self._ended(timeout=None):
            os._exit(ORPHANED)

    def _ended(self, timeout: float | None) -> bool:
        return bool(self._watched and select.select(self._watched, [], [], timeout)[0])


def _above() -> list[int]:
    """The parent and, when that is a shell whose one command we are, the parent's parent: DVC."""
    parent = os.getppid()
    try:
        command = Path(f"/proc/{parent}/cmdline").read_bytes()
        status = Path(f"/proc/{parent}/stat").read_text(encoding="utf-8")
    except OSError:
        return [parent]
    is_shell = b"-c\0" in command and sys.orig_argv[-1].encode() in command
    # The fields after the name, which is in brackets and may hold anything.
    return [parent, int(status.rpartition(")")[2].split()[1])] if is_shell else [parent]
