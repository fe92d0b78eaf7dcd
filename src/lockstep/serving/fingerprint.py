"""One name for a model's bytes: what a lock names, a service loads and a release tag stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

SERVED = ("model.onnx", "contract.json")
"""The files that answer, as `models.model` names them: who only asks for a name must not load ONNX. Golden rows only
prove that they do.
"""

SHORT = 12
"""Characters by which people know a model."""


def fingerprint(md5s: Mapping[str, str]) -> str:
    """SHA-256, in hex, of the md5 of graph and contract; `md5s` holds them by file name.

    >>> fingerprint({"model.onnx": "0" * 32, "contract.json": "1" * 32})[:SHORT]
    'c8c80d558548'
    """
    text = "".join(f"{name} {md5s[name]}\n" for name in SERVED)
    return hashlib.sha256(text.encode()).hexdigest()


def of_folder(folder: Path) -> str:
    """The fingerprint of the files that lie in a folder. Raises `FileNotFoundError` when one is missing."""
    return fingerprint({name: _md5(folder / name) for name in SERVED})


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
