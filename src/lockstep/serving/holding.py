"""Files that are being written are held by a lock, which the kernel drops with the process, however that ended.

So a file without a holder is one that somebody left behind, in whatever container they lived and whatever their number.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems without locks answer. There nobody can tell a file that was left behind: all stay as they are."""


def hold(descriptor: int) -> None:
    """Hold a new file. Waits for whoever has taken it for a leftover, which takes that process a moment."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


@contextmanager
def left_behind(path: Path) -> Iterator[int | None]:
    """The open file, held by us, if nobody else holds it; None where somebody does. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield descriptor if _is_ours(descriptor, path) else None
    finally:
        os.close(descriptor)


def _is_ours(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.path.samestat(path.stat(), os.fstat(descriptor))
