"""One file of the prediction log: whole lines or none, and finished by renaming it when nobody writes it any more.

A file that is being written ends in `.jsonl.part` and is held (see `holding`); one that nobody holds was left behind.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from lockstep.serving import holding
from lockstep.serving.holding import hold

PART, DONE = ".jsonl.part", ".jsonl"


class LogFile:
    """A file of lines, open for appending. Every method may raise `OSError`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"predictions-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{os.getpid()}{PART}"
        self.size, self.lines = 0, 0
        self._opened = time.monotonic()
        self._descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            hold(self._descriptor)
        except OSError:
            os.close(self._descriptor)
            raise

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self._opened

    @property
    def is_removed(self) -> bool:
        """Has somebody deleted it? What is written to it then is lost without an error."""
        return os.fstat(self._descriptor).st_nlink == 0

    @property
    def is_in_place(self) -> bool:
        """Does its path still lead to it?"""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def write(self, data: bytes, lines: int) -> None:
        """Append whole lines. When that fails in the middle, as on a full disk, what was written of them is cut off."""
        try:
            written = os.write(self._descriptor, data)
            if written < len(data):
                # On a full disk the first write is short without an error; the second one says why.
                os.write(self._descriptor, data[written:])
                self._insist_on(self.size + len(data))
        except OSError:
            with suppress(OSError):  # the reason is on its way already; who finishes the file cuts half a line off
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)
        self.lines += lines

    def _insist_on(self, size: int) -> None:
        if os.fstat(self._descriptor).st_size != size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def finish(self) -> None:
        """Close the file and give it its final name; an empty one is removed."""
        try:
            if self.is_in_place:
                _finish(self.path, self._descriptor)
        finally:
            os.close(self._descriptor)


def left_behind(folder: Path) -> Iterator[tuple[Path, OSError | None]]:
    """Finish what others left: each `.part` that no living process writes, and why that failed where it did."""
    for path in sorted(folder.glob(f"predictions-*{PART}")):
        try:
            with holding.left_behind(path) as descriptor:
                if descriptor is not None:
                    _finish(path, descriptor)
                    yield path, None
        except FileNotFoundError:
            continue  # another process was quicker
        except OSError as error:
            yield path, error


def _finish(path: Path, descriptor: int) -> None:
    """While the lock is held: cut half a line off its end, and rename it."""
    whole = _end_of_last_line(path)
    if whole < os.fstat(descriptor).st_size:
        os.ftruncate(descriptor, whole)
    if whole:
        path.rename(path.with_name(path.name.removesuffix(PART) + DONE))
    else:
        path.unlink()


def _end_of_last_line(path: Path, block: int = 1 << 16) -> int:
    """The length of the file up to and with its last line break."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - block)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0
