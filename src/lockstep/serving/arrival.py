"""A request's body on its way here: how long it may be, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from lockstep.serving.bodies import MOST_BYTES, BadRequest, too_large

PATIENCE = 10.0
"""Seconds that a body may take to arrive."""

EVERY = 1.0
"""Seconds between two looks at what takes too long. A timer for each request would cost a tenth of its time."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Gone(Exception):
    """The caller went away before the request was whole."""


class Arrivals:
    """The bodies that are being waited for."""

    def __init__(self) -> None:
        self._since: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._watched: asyncio.AbstractEventLoop | None = None

    async def whole(self, receive: Receive, length: str) -> bytes:
        """A body; `length` is the header's word for it, "" without one.

        Raises `BadRequest` when it is too large or too slow, `Gone` when its sender left.
        """
        if length.isascii() and length.isdigit() and (len(length) > 12 or int(length) > MOST_BYTES):
            raise too_large()
        task = asyncio.current_task()
        assert task is not None
        self._since[task] = monotonic()
        self._watch()
        try:
            return await _parts(receive)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise BadRequest(408, f"the body did not arrive within {PATIENCE:g} s", (b"connection", b"close")) from None
        finally:
            del self._since[task]
            self._late.discard(task)

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        if self._watched is not loop:
            self._watched = loop
            loop.call_later(EVERY, self._look)

    def _look(self) -> None:
        self._watched = None
        latest = monotonic() - PATIENCE
        for task, since in self._since.items():
            if since < latest and task not in self._late:
                self._late.add(task)
                task.cancel()
        if self._since:
            self._watch()


async def _parts(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise too_large()
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)
