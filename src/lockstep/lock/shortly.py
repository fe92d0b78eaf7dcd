"""Long lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def shortened(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are.

    >>> shortened(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
