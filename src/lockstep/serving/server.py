"""The HTTP server: uvicorn with limits on how long a connection may dawdle, and an end in good order."""

from __future__ import annotations

import asyncio
import signal
import socket
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lockstep.errors import OutsideError
from lockstep.serving.app import Asgi
from lockstep.serving.health import Health

MOST_CONNECTIONS = 2000
"""More are answered with 503 at once."""

MOST_HEAD = 32 << 10
"""Bytes of a request's headers."""

HEAD_PATIENCE = 10.0
"""Seconds that the headers of a request, and of the first from the connection on, may take to arrive."""

LAST_REQUESTS = 20
"""Seconds that requests have to finish once the service was told to stop."""


class Protocol(HttpToolsProtocol):
    """uvicorn waits forever for the rest of a head, and takes one of any size: this does not."""

    _waiting: asyncio.TimerHandle | None = None
    _head = 0
    _partial = False

    def connection_made(self, transport: Any) -> None:
        """A caller has connected."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(HEAD_PATIENCE, transport.close)

    def data_received(self, data: bytes) -> None:
        """A part of a request has arrived. Nearly always its whole head: a timer is set only where it is not."""
        super().data_received(data)
        if self._partial and self._waiting is None:
            self._waiting = self.loop.call_later(HEAD_PATIENCE, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """A caller has gone."""
        self._arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head, self._partial = 0, True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has arrived."""
        self._head += len(name) + len(value)
        if self._head > MOST_HEAD:
            raise ValueError("too large a head")  # uvicorn answers 400 and closes
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """All headers have arrived."""
        self._partial = False
        self._arrived()
        super().on_headers_complete()

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


def serve(app: Asgi, health: Health, *, host: str, port: int, notice: float) -> bool:
    """Serve until told to stop. False when the application did not start. Raises `OutsideError` for a taken port."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=LAST_REQUESTS,
        limit_concurrency=MOST_CONNECTIONS,
    )
    server = Server(config, health, notice)
    server.run(sockets=[_socket(host, port)])
    return server.started


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise OutsideError(f"the service cannot listen on {host}:{port} ({error}); is the port taken?") from error
