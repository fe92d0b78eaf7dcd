"""The prediction log: what was answered and, later, what was true, as JSON lines. Off the request path.

A request only appends to a queue in memory. A thread writes the lines; what it cannot write waits as long as there is
room, then is lost and counted. No failure of the log ever reaches a request.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lockstep.running.console import say
from lockstep.serving.log_file import LogFile, left_behind
from lockstep.serving.log_lines import NONE, Row, Waiting, Writing, is_sampled

MOST_WAITING = 16 << 20
"""Bytes of lines that may wait to be written."""

MOST_QUEUED = 64 << 20
"""Bytes of memory that requests may take, about, that wait to be put into lines."""

EVERY = 0.1
"""Seconds between two looks at the queue: what a killed process can lose."""

SLICE, BREATH = 64, 0.0002
"""So many lines are made in a row, then the thread sleeps so many seconds: a request never waits long for the GIL."""

RETRY = 1.0
"""Seconds to wait after a failure before the next attempt."""

WARN_EVERY = 60.0
"""Seconds between two warnings."""

CHUNK = 256 << 10
"""Bytes that are written at a time, about: all of them or none. After a failure fewer."""


class PredictionLog:
    """Takes what was served, writes it when there is time.

    `folder` None: nothing is logged, which is said once. `sample` is the share of requests that is logged,
    `fingerprint` the model's (its first characters go into each line), `columns` are those that may be written: see
    `log_lines.loggable`. `warn` gets sentences for people, at most one a minute. A file is finished, by renaming it
    from `.jsonl.part` to `.jsonl`, when it has `most_bytes` or is `oldest` seconds old. Safe to call from several
    threads; each process has its own log, and several may share a folder.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        sample: float,
        fingerprint: str,
        version: str,
        columns: Collection[str],
        warn: Callable[[str], None] = say,
        most_bytes: int = 32 << 20,
        oldest: float = 300.0,
    ) -> None:
        self.written = 0
        """Lines that were given to the operating system."""
        self.failures = 0
        """Attempts to write that failed; the lines they were about are kept and tried again."""
        self._folder, self._sample, self._warn = folder, sample, warn
        self._most_bytes, self._oldest = most_bytes, oldest
        self._writing = Writing(version=version, fingerprint=fingerprint, sample=sample, columns=columns)
        self._lock = threading.Lock()
        self._queue: deque[Waiting] = deque()
        self._queued = self._refused = 0
        self._lines: deque[bytes] = deque()
        self._size_of_lines = self._lost = 0
        self._file: LogFile | None = None
        self._retry_at = self._warn_at = 0.0
        self._at_once = CHUNK
        self._reason, self._told, self._lost_told = "", 0, 0
        self._closing = threading.Event()
        self._open = folder is not None
        self._thread = threading.Thread(target=self._run, daemon=True, name="prediction-log")
        if self._open:
            self._thread.start()
        else:
            warn("predictions are not logged: no folder is given for them (LOCKSTEP_LOG)")

    @property
    def lost(self) -> int:
        """Lines that were never written and never will be: there was no room for them, or their file was removed."""
        return self._refused + self._lost

    def is_kept(self, request: str) -> bool:
        """Does a request belong to the share that is logged?"""
        return is_sampled(request, self._sample)

    def predicted(
        self,
        request: str,
        rows: Sequence[Row],
        answers: Sequence[Row],
        unknown: Mapping[int, Collection[str]] = NONE,
        *,
        size: int,
    ) -> None:
        """Remember one request: its rows as they were sent (parsed JSON), the answer to each, both in order.

        `unknown` names, by the row's position, columns that held a label training never saw; `size` is the length of
        the request's body in bytes, by which the queue is bounded. Nothing is copied: change nothing of it later.
        Takes about a microsecond; never raises, never waits for a disk.
        """
        if self._open and (self._sample >= 1 or self.is_kept(request)):
            self._put(Waiting(request, time.time(), size, rows, answers, unknown))

    def feedback(self, items: Sequence[Row], *, size: int) -> None:
        """Remember true outcomes: mappings with `request` (text), `row` (from 0) and `outcome`, checked by the caller.

        Outcomes of requests that were not sampled are left out. `size` as for `predicted`.
        """
        kept = [item for item in items if self.is_kept(item["request"])]
        if kept and self._open:
            self._put(Waiting(None, time.time(), size, kept, (), NONE))

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits, finish the file, end the thread. What could not be written in time is lost and counted."""
        if not self._open:
            return
        self._open = False
        self._closing.set()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._warn(f"prediction log: {self._folder} did not take the last lines within {timeout:g} s")

    def _put(self, waiting: Waiting) -> None:
        size = waiting.memory
        with self._lock:
            if self._queued + size > MOST_QUEUED:
                self._refused += len(waiting.rows)
                return
            self._queued += size
        self._queue.append(waiting)

    # What follows runs in the thread.

    def _run(self) -> None:
        self._attempt(self._finish_what_was_left)
        while not self._closing.wait(EVERY):
            self._turn()
        self._retry_at = 0.0
        while self._queue and not self._retry_at:
            self._turn()
        self._turn()
        self._attempt(self._finish)
        self._lost += len(self._lines) + sum(len(waiting.rows) for waiting in self._queue)
        if self.lost > self._lost_told:
            self._warn_at = 0.0  # the last chance to say it
        self._complain()

    def _turn(self) -> None:
        """Once: what waits becomes lines, lines are written, a full or old file is finished."""
        self._make_lines()
        if time.monotonic() >= self._retry_at:
            self._attempt(self._write)
        self._complain()

    def _make_lines(self) -> None:
        made = 0
        for _ in range(len(self._queue)):
            if self._size_of_lines >= MOST_WAITING:
                return
            waiting = self._queue.popleft()
            before = made
            try:
                for line in self._writing.lines(waiting):
                    self._lines.append(line)
                    self._size_of_lines += len(line)
                    made += 1
                    if made % SLICE == 0 and self._queued < MOST_QUEUED // 4:
                        time.sleep(BREATH)
            except Exception as error:  # noqa: BLE001  (it is said, and one request must not end the log)
                self._lost += len(waiting.rows) - (made - before)
                self._reason = f"a bug, please report it: {error!r}"
            with self._lock:
                self._queued -= waiting.memory

    def _attempt(self, work: Callable[[], None]) -> None:
        """Do what may fail outside. If it does: count, leave the file, and wait a little before the next attempt."""
        try:
            work()
        except OSError as error:
            self.failures += 1
            self._reason = str(error)
            self._retry_at = time.monotonic() + RETRY
            self._at_once //= 4  # on a disk that is nearly full less may still fit
            with suppress(OSError):  # the same trouble again; what could not be finished now is so with the next file
                self._finish()

    def _write(self) -> None:
        self._leave_what_is_gone()
        while self._lines:
            file = self._file or self._opened()
            lines = self._chunk()
            file.write(b"".join(lines), len(lines))
            for line in lines:
                self._size_of_lines -= len(line)
                self._lines.popleft()
            self.written += len(lines)
            self._at_once = CHUNK
            self._finish_if_due()
        self._finish_if_due()

    def _chunk(self) -> list[bytes]:
        """The lines to write next, at least one."""
        chosen, size = [], 0
        for line in self._lines:
            chosen.append(line)
            size += len(line)
            if size >= self._at_once:
                break
        return chosen

    def _opened(self) -> LogFile:
        assert self._folder is not None
        self._finish_what_was_left()
        self._file = LogFile(self._folder)
        return self._file

    def _leave_what_is_gone(self) -> None:
        """A file that was deleted takes all that is written to it and keeps nothing; a moved one belongs to others."""
        if self._file and not self._file.is_in_place:
            if self._file.is_removed:
                self._lost += self._file.lines
                self._reason = f"{self._file.path} was removed while it was written"
            self._finish()

    def _finish_if_due(self) -> None:
        if self._file and (self._file.size >= self._most_bytes or self._file.age >= self._oldest):
            self._finish()

    def _finish(self) -> None:
        file, self._file = self._file, None
        if file:
            file.finish()

    def _finish_what_was_left(self) -> None:
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        for path, error in left_behind(self._folder):
            if error:
                self.failures += 1
                self._reason = f"{path} was left behind and cannot be finished: {error}"

    def _complain(self) -> None:
        """Say what is wrong, if that is more than was said before, at most once in a while."""
        wrong = self.failures + self.lost
        if wrong == self._told or time.monotonic() < self._warn_at:
            return
        self._told, self._lost_told = wrong, self.lost
        self._warn_at = time.monotonic() + WARN_EVERY
        reason = self._reason or "more is served than can be written"
        lost = f"lines lost: {self.lost:,}" if self.lost else "no line is lost yet"
        counts = f"attempts to write that failed: {self.failures:,}; {lost}"
        self._reason = ""
        with suppress(OSError, ValueError):  # nobody listens
            self._warn(f"prediction log: {counts} ({reason}). Predictions go on")
