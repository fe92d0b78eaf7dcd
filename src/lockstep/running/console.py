"""What people see while something runs: sentences and progress on stderr, so that stdout stays for machines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def say(text: str) -> None:
    """One sentence, at once."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """The same items; on a terminal a bar shows how far they are, elsewhere nothing is drawn.

    >>> list(track([1, 2], "counting"))
    [1, 2]
    """
    if not sys.stderr.isatty():
        yield from items
        return
    # Imported only where there is a terminal to draw on: a stage under CI need not pay for it.
    from rich.console import Console
    from rich.progress import track as draw

    console = Console(stderr=True)
    yield from draw(items, description=description, total=total, console=console, transient=True)
