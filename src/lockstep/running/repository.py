"""The folder that everything happens in."""

from __future__ import annotations

import sys
from fnmatch import fnmatch
from pathlib import Path

LITTER = ("__pycache__", ".ipynb_checkpoints", ".*.sw?", ".DS_Store", "._*", "*~", "#*#", ".#*")
"""Names of what Python, editors and systems leave beside files. `.dvcignore` has the same, for DVC."""


def is_litter(name: str) -> bool:
    """Does a file or folder of that name belong to nobody?

    >>> is_litter(".checks.py.swp"), is_litter("checks.py")
    (True, False)
    """
    return any(fnmatch(name, pattern) for pattern in LITTER)


def on_path(root: Path) -> None:
    """Let the repository's own modules be imported, from `src` and from its root."""
    for folder in (str(root), str(root / "src")):
        if folder not in sys.path:
            sys.path.insert(0, folder)
