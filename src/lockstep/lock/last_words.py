"""What a program said last on stderr, while people go on reading all of it."""

from __future__ import annotations

import fcntl
import os
import re
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

KEPT = 16_000
"""Bytes."""

PATIENCE = 2.0
"""Seconds that we wait for the end of what was said: a grandchild may go on holding the line."""

BUG = "This is a bug"
"""What `lockstep.errors` says after a traceback."""

_FAILED = re.compile(r"^ERROR: (?:failed to reproduce '(?P<stage>[^']+)'(?:: )?)?(?P<rest>.*)", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Heard:
    """The last of it, as bytes that grow while the program speaks."""

    def __init__(self) -> None:
        self.content = b""

    def add(self, said: bytes) -> None:
        """Keep it, and forget the oldest."""
        self.content = (self.content + said)[-KEPT:]

    @property
    def text(self) -> str:
        """Without colours, and each line as it stood in the end."""
        lines = _COLOUR.sub("", self.content.decode(errors="replace")).replace("\r\n", "\n").split("\n")
        return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


@contextmanager
def listening() -> Iterator[Heard]:
    """While it lasts, stderr (ours, and of the programs that we start) is passed on and its end is kept. Where it is a
    terminal, programs still find one.
    """
    sys.stderr.flush()
    heard, original = Heard(), os.dup(2)
    inner, outer = _terminal(original) if os.isatty(original) else os.pipe()
    passing = Thread(target=_pass_on, args=(inner, original, heard), daemon=True)
    passing.start()
    os.dup2(outer, 2)
    os.close(outer)
    try:
        yield heard
    finally:
        sys.stderr.flush()
        os.dup2(original, 2)
        passing.join(PATIENCE)


def _terminal(like: int) -> tuple[int, int]:
    """Both ends of a terminal of the same size, which changes nothing of what it passes on."""
    inner, outer = os.openpty()
    size = fcntl.ioctl(like, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(outer, termios.TIOCSWINSZ, size)
    attributes = termios.tcgetattr(outer)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(outer, termios.TCSANOW, attributes)
    return inner, outer


def _pass_on(inner: int, original: int, heard: Heard) -> None:
    while said := _read(inner):
        heard.add(said)
        while said:
            said = said[os.write(original, said) :]
    os.close(inner)
    os.close(original)


def _read(inner: int) -> bytes:
    try:
        return os.read(inner, 4096)
    except OSError:  # what a terminal says when nobody holds its other end
        return b""


def cause(text: str) -> str:
    """Of what `dvc repro` said: which stage failed and why, in the stage's own words where it has spoken.

    >>> cause("x\\nerror: no rows\\n\\nERROR: failed to reproduce 'train': failed to run: y")
    'train: no rows'
    >>> cause("Traceback ...\\nValueError: odd\\n\\nERROR: failed to reproduce 'train': failed to run: y")
    'train: ValueError: odd'
    >>> cause("ERROR: output 'a' is already tracked"), cause("")
    ("output 'a' is already tracked", '')
    """
    failed = [*_FAILED.finditer(text)]
    before = text[: failed[-1].start()] if failed else text
    stage = failed[-1]["stage"] if failed else None
    if failed and stage is None:
        return failed[-1]["rest"]
    return ": ".join(part for part in (stage, _said(before)) if part)


def _said(text: str) -> str:
    """The last error in words, up to the end; of a traceback the line that names what was raised."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if lines and lines[-1].startswith(BUG):
        return next(iter(lines[-2:-1]), "")
    spoken = f"\n{text}".rpartition("\nerror: ")
    return spoken[2].strip() if spoken[1] else next(iter(lines[-1:]), "")
