"""The folder that everything happens in."""

from __future__ import annotations

import sys
from pathlib import Path


def on_path(root: Path) -> None:
    """Let the repository's own modules be imported, from `src` and from its root."""
    for folder in (str(root), str(root / "src")):
        if folder not in sys.path:
            sys.path.insert(0, folder)
