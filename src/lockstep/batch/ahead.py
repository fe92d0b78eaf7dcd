"""Pieces of a file are worked at side by side and come out in their order, so that threads change no byte."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")

MOST = 4
"""Threads; each one holds a piece in memory."""


def useful_threads() -> int:
    """As many as there are processors for us, at most `MOST`."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, ours)


def in_order(work: Callable[[Piece], Result], pieces: Iterable[Piece], *, threads: int) -> Iterator[Result]:
    """`work` of each piece, in order; the next pieces are read and worked at while the caller has one result.

    At most `threads` + 1 pieces and results are held at a time. What `work` raises is raised after the results before
    it; what the reading raises, at once.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="piece") as pool:
        try:
            for piece in pieces:
                waiting.append(pool.submit(work, piece))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
