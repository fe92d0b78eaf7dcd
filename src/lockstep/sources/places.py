"""Places: the files that `ingest.files` means, on disk or behind any fsspec URL."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from lockstep.errors import InputError, OutsideError
from lockstep.rows import tables
from lockstep.sources import readers

WILDCARDS = "*?["
HASHES = ("ETag", "etag", "md5Hash", "content_md5", "sha256")
"""Where the file systems of fsspec keep a hash of a file's content."""


@dataclass(frozen=True)
class Place:
    """One file, by the name the spec gives it: a path, or a URL."""

    name: str

    def open(self) -> IO[bytes]:
        if not _remote(self.name):
            return Path(self.name).open("rb")
        with _outside(self.name):
            system, path = _system(self.name)
            return cast(IO[bytes], system.open(path, "rb"))

    def hash(self) -> str:
        """Of the content; a remote store's own, where it keeps one."""
        if not _remote(self.name):
            return tables.md5_of(Path(self.name))
        with _outside(self.name):
            system, path = _system(self.name)
            info = system.info(path)
            kept = next((str(info[item]) for item in HASHES if info.get(item)), None)
            return kept or tables.md5_of_file(system.open(path, "rb"))


def _remote(name: str) -> bool:
    return "://" in name


def _system(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        return cast(tuple[Any, str], fsspec.core.url_to_fs(url))
    except (ImportError, ValueError) as error:
        raise InputError(f"ingest.files: `{url}` cannot be opened ({error})") from error


@contextlib.contextmanager
def _outside(name: str) -> Iterator[None]:
    """What goes wrong in a remote store is not the user's input, and may go well the next time."""
    try:
        yield
    except (InputError, OutsideError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"ingest.files: `{name}` does not exist") from error
    except Exception as error:  # every store has errors of its own
        raise OutsideError(f"ingest.files: `{name}` cannot be reached ({type(error).__name__}: {error})") from error


def places(files: str | list[str]) -> list[Place]:
    """The files that a folder, a glob or a list of them means, by name.

    Raises `InputError` when one means none, or lies where DVC cannot watch it.
    """
    watched(files)
    names: set[str] = set()
    for entry in [files] if isinstance(files, str) else files:
        found = _remote_names(entry) if _remote(entry) else _local_names(entry)
        if not found:
            raise InputError(f"ingest.files: `{entry}` matches no file that can be read ({', '.join(readers.READERS)})")
        names.update(found)
    return [Place(name) for name in sorted(names)]


def _local_names(entry: str) -> list[str]:
    path = Path(entry)
    if path.is_dir():
        inside = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
        return [(path / file).as_posix() for file in inside if _readable(file.parts)]
    if path.is_file():
        return [path.as_posix()]
    # pathlib's glob takes no absolute pattern.
    found = glob.glob(entry, recursive=True)  # noqa: PTH207
    return [Path(name).as_posix() for name in found if Path(name).is_file()]


def _remote_names(entry: str) -> list[str]:
    with _outside(entry):
        system, path = _system(entry)
        system.invalidate_cache()
        if any(sign in path for sign in WILDCARDS):
            found = [name for name in system.glob(path) if not system.isdir(name)]
        elif system.isdir(path):
            root = PurePosixPath(path)
            found = [name for name in system.find(path) if _readable(PurePosixPath(name).relative_to(root).parts)]
        else:
            found = [path] if system.exists(path) else []
        return [str(system.unstrip_protocol(name)) for name in found]


def _readable(parts: Sequence[str]) -> bool:
    """In a folder other files may lie: hidden ones, and such as are no tables."""
    return readers.suffix_of(parts[-1]) is not None and not any(part.startswith(".") for part in parts)


def watched(files: str | list[str]) -> list[str]:
    """What DVC should watch: files and folders as they are, of a glob the folder above its first wildcard."""
    return sorted({_base(entry) for entry in ([files] if isinstance(files, str) else files)})


def _base(entry: str) -> str:
    if any(sign in entry for sign in WILDCARDS):
        parts = entry.split("/")
        first = next(number for number, part in enumerate(parts) if any(sign in part for sign in WILDCARDS))
        entry = "/".join(parts[:first])
    entry = entry.rstrip("/") or "."
    if entry in (".", "data", "./data"):
        raise InputError(
            f"ingest.files: `{entry}` also holds what the pipeline writes; put the files in a folder of their own"
        )
    return entry
