"""The hash that DVC gives a file or a folder of the work tree, without importing DVC: .dvcignore is obeyed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE = ".dvcignore"
ALWAYS = (".hg/", ".git/", ".git", ".dvc/")
"""What DVC never looks at."""


class Hashes:
    """Hashes of paths below `root`, each computed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._specs: dict[str, GitIgnoreSpec | None] = {}
        self._known: dict[str, str] = {}

    def of(self, path: str) -> str:
        """md5 of a file; of a folder the md5 of its listing and `.dir`. Raises `OSError` when it is missing."""
        if path not in self._known:
            whole = self._root / path
            self._known[path] = digest_listing(dict(self.listing(path))) if whole.is_dir() else digest(whole)
        return self._known[path]

    def listing(self, folder: str) -> Iterator[tuple[str, str]]:
        """Each file of a folder, by its path within, and its md5; what .dvcignore names is left out."""
        for name in self.files(folder):
            yield name, digest(self._root / folder / name)

    def files(self, folder: str) -> Iterator[str]:
        """Paths within a folder that DVC would see. As for DVC, links to folders are not followed."""
        top = self._root / folder
        for base, folders, names in os.walk(top):
            inside = Path(base).relative_to(self._root).as_posix()
            folders[:] = sorted(name for name in folders if not self._ignores(f"{inside}/{name}/"))
            for name in names:
                if not self._ignores(f"{inside}/{name}"):
                    yield Path(base, name).relative_to(top).as_posix()

    def kept(self, folder: str, files: Mapping[str, str]) -> dict[str, str]:
        """Of `files`, by path within `folder`, those that .dvcignore does not name."""
        return {name: md5 for name, md5 in files.items() if not self._ignores_any(folder, name)}

    def _ignores_any(self, folder: str, name: str) -> bool:
        parts = name.split("/")
        folders = ("/".join(parts[:end]) + "/" for end in range(1, len(parts)))
        return any(self._ignores(f"{folder}/{part}") for part in (*folders, name))

    def _ignores(self, path: str) -> bool:
        """Does a .dvcignore name the path, from the root on (a folder ends in `/`)? The deepest one decides."""
        path = path.removeprefix("./")
        parts = path.rstrip("/").split("/")
        decision = False
        for depth in range(len(parts)):
            spec = self._spec("/".join(parts[:depth]))
            found = spec.check_file("/".join(parts[depth:]) + "/" * path.endswith("/")).include if spec else None
            decision = decision if found is None else found
        return decision

    def _spec(self, folder: str) -> GitIgnoreSpec | None:
        if folder not in self._specs:
            lines = _lines(self._root / folder / IGNORE)
            self._specs[folder] = _parse([*ALWAYS, *lines] if not folder else lines)
        return self._specs[folder]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _parse(lines: list[str]) -> GitIgnoreSpec | None:
    if not lines:
        return None
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)


def digest(path: Path) -> str:
    """md5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def digest_listing(files: Mapping[str, str]) -> str:
    """The hash of a folder from the md5 of each file by its path within.

    >>> digest_listing({"b": "2" * 32, "a": "1" * 32})
    '69b21f9286a6fb0074a12c7211f88005.dir'
    """
    return hashlib.md5(as_object(files), usedforsecurity=False).hexdigest() + ".dir"


def as_object(files: Mapping[str, str]) -> bytes:
    """The listing of a folder as DVC keeps it."""
    items = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    return json.dumps(items, sort_keys=True).encode()
