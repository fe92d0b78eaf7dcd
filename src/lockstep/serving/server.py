"""The HTTP server: uvicorn with limits on how long a connection may dawdle, and an end in good order."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lockstep.errors import InputError, OutsideError
from lockstep.serving.app import App
from lockstep.serving.arrival import PATIENCE
from lockstep.serving.health import Health

MOST_CONNECTIONS = 2000
"""More take the place of those that wait for nothing; where there are none, they are answered with 503 at once."""

PROBES = frozenset({b"/livez", b"/readyz", b"/metrics"})
"""Are answered however many connections there are: a busy service is not a dead one."""

MOST_HEAD = 32 << 10
"""Bytes of a request's headers."""

HEAD_PATIENCE = 10.0
"""Seconds that the headers of a request, and of the first from the connection on, may take to arrive."""

BODY_PATIENCE = PATIENCE + 5.0
"""Seconds that a body may take. Who waits for one answers sooner that it is too slow; many requests wait for none."""

ANSWER_PATIENCE = 30.0
"""Seconds that a caller may take to read an answer, but for the last 64 KiB."""

LAST_REQUESTS = 20
"""Seconds that requests have to finish once the service was told to stop."""


class Protocol(HttpToolsProtocol):
    """uvicorn takes a head of any size, and waits forever for its rest, for the rest of a body that nobody reads, and
    for a caller to read an answer: this does not."""

    _waiting: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _head = 0
    _partial = False
    _patience = HEAD_PATIENCE

    def connection_made(self, transport: Any) -> None:
        """A caller has connected."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(HEAD_PATIENCE, transport.abort)
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()

    def _make_room(self) -> None:
        """Close as many connections that were answered as there are too many, if there are so many."""
        idle = [each for each in self.connections if isinstance(each, Protocol) and each.timeout_keep_alive_task]
        for other in idle[: len(self.connections) - MOST_CONNECTIONS]:
            other.transport.abort()
            self.connections.discard(other)

    def data_received(self, data: bytes) -> None:
        """A part of a request has arrived. Nearly always a whole one: a timer is set only where it is not.

        uvicorn's own, for a connection that was answered, ends with whatever arrives, be it an empty line.
        """
        super().data_received(data)
        if self._waiting is None and (self._partial or self.cycle.response_complete):
            self._waiting = self.loop.call_later(self._patience, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """A caller has gone."""
        self._arrived()
        self._read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More of an answer waits to be read than is kept for a caller."""
        super().pause_writing()
        self._read()
        self._unread = self.loop.call_later(ANSWER_PATIENCE, self.transport.abort)

    def resume_writing(self) -> None:
        """Most of the answer was read."""
        self._read()
        super().resume_writing()

    def _read(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        """A caller has asked nothing for long. If the last answer was not read, it will not be."""
        self.transport.abort()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head, self._partial, self._patience = 0, True, HEAD_PATIENCE
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has arrived."""
        self._head += len(name) + len(value)
        if self._head > MOST_HEAD:
            raise ValueError("too large a head")  # uvicorn answers 400 and closes
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """All headers have arrived."""
        self._patience = BODY_PATIENCE
        self._arrived()
        app = self.config.loaded_app
        crowded = len(self.connections) > MOST_CONNECTIONS and self.url not in PROBES
        self.app = app.crowded if crowded else app
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._partial, self._patience = False, HEAD_PATIENCE
        if self._waiting:
            self._arrived()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What has arrived is no HTTP."""
        self.config.loaded_app.malformed()
        super().send_400_response(msg)

    def _arrived(self) -> None:
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None


class Server(uvicorn.Server):
    """Told to stop, it first is not ready for `notice` seconds, so that a balancer sends nothing more; then it ends."""

    def __init__(self, config: uvicorn.Config, health: Health, notice: float) -> None:
        super().__init__(config)
        self._health, self._notice = health, notice

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has arrived. A second one, and Ctrl-C, end at once."""
        if sig != signal.SIGTERM or self._health.leaving or not self.started:
            super().handle_exit(sig, frame)
            return
        self._health.leaving = True
        asyncio.get_running_loop().call_later(self._notice, super().handle_exit, sig, frame)


def serve(app: App, health: Health, listening: socket.socket, *, notice: float) -> bool:
    """Serve until told to stop. False when the application did not start."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="error",  # a warning is what a caller does wrong: it is counted, and must not fill a disk
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=LAST_REQUESTS,
    )
    server = Server(config, health, notice)
    server.run(sockets=[listening])
    return server.started


def listen(host: str, port: int) -> socket.socket:
    """Take a port. Raises `InputError` for a host that this machine is not, `OutsideError` for a port that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        why = f"the service cannot listen on {host}:{port} ({error})"
        if error.errno == errno.EADDRNOTAVAIL or (error.errno or 0) < 0:  # below nought: a name leads nowhere
            raise InputError(f"{why}. LOCKSTEP_HOST must be an address of this machine; 0.0.0.0 is all.") from error
        if error.errno == errno.EACCES:
            raise InputError(f"{why}. LOCKSTEP_PORT below 1024 is the administrator's: choose a higher one.") from error
        raise OutsideError(f"{why}; is the port taken?") from error
