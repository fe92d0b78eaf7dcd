"""What this machine has built, tried and pushed: the digest of an image, until the version's tag says it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from lockstep.release.tags import FACTS
from lockstep.release.wanted import Wanted

ROOM = ".dvc/tmp/lockstep/shipped"


def remember(root: Path, wanted: Wanted, digest: str) -> None:
    """Write down what was pushed."""
    path = _path(root, wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(digest, encoding="utf-8")
    unfinished.replace(path)


def recalled(root: Path, wanted: Wanted) -> str:
    """The digest of what was pushed for this commit under this version; "" for nothing."""
    path = _path(root, wanted)
    digest = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return digest if re.fullmatch(FACTS["digest"], digest) else ""


def _path(root: Path, wanted: Wanted) -> Path:
    """By the commit, too: none can hold a file that is called by its own hash, so none can bring one along."""
    about = f"{wanted.commit}\n{wanted.identity}\n{wanted.version}\n{wanted.registry}"
    return root / ROOM / hashlib.sha256(about.encode()).hexdigest()
