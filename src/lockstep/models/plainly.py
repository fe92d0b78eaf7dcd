"""Warnings of the libraries as people can use them: a sentence each, without file paths."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

FOR_MAINTAINERS = (FutureWarning, DeprecationWarning, PendingDeprecationWarning)
"""Warnings about how one library calls another: nobody who reads the console can do anything about them."""


@contextmanager
def plainly(progress: Callable[[str], None]) -> Iterator[None]:
    """Inside, the first line of each warning goes to `progress`, once; those for maintainers go nowhere."""
    heard: set[str] = set()

    def say(message: Warning | str, *_: Any, **__: Any) -> None:
        text = next(iter(str(message).strip().splitlines()), "")
        if text and text not in heard:
            heard.add(text)
            progress(f"warning: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for category in FOR_MAINTAINERS:
            warnings.simplefilter("ignore", category)
        warnings.showwarning = say  # restored by catch_warnings
        yield
