"""Does a transfer move? What it says itself, and what the kernel has seen arrive at the other end.

A library that uploads 10 MB in one request says nothing until it is through, which takes long on a slow line. The
kernel knows of every byte that was acknowledged. A request that is sent again is no progress: only more bytes than
the attempt before it got through count.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

EVERY = 0.5
_ACKNOWLEDGED_AND_RECEIVED = 120
"""Where `tcpi_bytes_acked` and `tcpi_bytes_received`, 64 bits each, stand in Linux's struct tcp_info."""


class Progress:
    """Counts steps; calls `report` at most every half second, and only when something has moved."""

    def __init__(self, report: Callable[[], None]) -> None:
        self._report = report
        self._steps = 0
        self._seen = (0, 0)
        threading.Thread(target=self._watch, daemon=True, name="progress").start()

    def step(self, *_: object) -> None:
        """Something has moved."""
        self._steps += 1

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(EVERY):
            if self._moved():
                self._report()

    def _moved(self) -> bool:
        """More steps than when we last looked, or more bytes than ever since the last step."""
        now = (self._steps, acknowledged())
        if now > self._seen:
            self._seen = now
            return True
        return False


def acknowledged() -> int:
    """Bytes acknowledged and received so far on the TCP connections that this process has open; 0 where unknown."""
    return sum(_bytes(descriptor) for descriptor in _sockets())


def _sockets() -> Iterator[int]:
    folder = Path("/proc/self/fd")
    for link in [*folder.iterdir()] if folder.is_dir() else ():
        with suppress(OSError):  # closed meanwhile
            if stat.S_ISSOCK(link.stat().st_mode):
                yield int(link.name)


def _same_socket(descriptor: int) -> socket.socket:
    copied = os.dup(descriptor)
    try:
        return socket.socket(fileno=copied)
    except OSError:
        os.close(copied)
        raise


def _bytes(descriptor: int) -> int:
    try:
        with _same_socket(descriptor) as same:
            if same.type != socket.SOCK_STREAM or same.family not in (socket.AF_INET, socket.AF_INET6):
                return 0
            found = same.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    except OSError:
        return 0  # closed meanwhile
    known = len(found) >= _ACKNOWLEDGED_AND_RECEIVED + 16
    return sum(struct.unpack_from("QQ", found, _ACKNOWLEDGED_AND_RECEIVED)) if known else 0
