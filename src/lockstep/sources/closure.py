"""What partitions hang on beside the window: the source's code, our own, and the libraries both run on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from lockstep.running import versions as locked
from lockstep.sources import imports

MACHINERY = (
    "rows/columns",
    "rows/tables",
    "sources/filesource",
    "sources/kinds",
    "sources/partitions",
    "sources/places",
    "sources/readers",
)
"""Modules of ours whose code decides the bytes of a partition."""


def code_hash(module: str, root: Path) -> str:
    """Hex hash of the module, everything in the repository that it imports, and the versions of what lies outside."""
    reach = imports.closure([module], root)
    known = locked.read(root) if (root / locked.FILE).exists() else _installed()
    files = [file for name in reach.files for file in _sources(root / name)] or _own_file(module)
    return _hash(files, locked.distributions(reach.packages, known))


def machinery() -> str:
    """Hex hash of what stands between any source and its partitions: our code for it, and the libraries it uses."""
    return _hash([Path(__file__).parents[1] / f"{name}.py" for name in MACHINERY], {"numpy", "pandas", "pyarrow"})


def _hash(files: Iterable[Path], distributions: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in files:
        digest.update(hashlib.blake2b(path.read_bytes()).digest())
    versions = [(name, _version(name)) for name in sorted(distributions)]
    digest.update(repr((versions, sys.version_info[:2])).encode())
    return digest.hexdigest()


def _sources(path: Path) -> list[Path]:
    """The file itself; of a package that is needed whole, its modules."""
    return sorted(path.glob("*.py")) if path.is_dir() else [path]


def _version(name: str) -> str | None:
    """What runs; nothing for a name in the lock that this machine does not need, and so has not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _installed() -> set[str]:
    return {locked.normal(found.name) for found in importlib.metadata.distributions()}


def _own_file(module: str) -> list[Path]:
    """A module from outside of the repository: its own file, beside the version of its distribution if it has one."""
    spec = importlib.util.find_spec(module)
    return [Path(spec.origin)] if spec and spec.origin else []
