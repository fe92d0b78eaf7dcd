"""The untrusted side of the artifact: what the run evaluated, and where that differs from the head."""

from __future__ import annotations

import shutil
from pathlib import Path

from lockstep.errors import InputError, Refused
from lockstep.github.artifact import FOLDER, MANIFEST, MOVED, PAGE, REPORT, TREE, VERDICT, Manifest
from lockstep.revision import evaluated_tree, git, git_bytes, resolve


def pack(root: Path, base: str, number: int | None, *, may_move: bool = True) -> Manifest:
    """Write the folder `artifact/`: report, moved files, manifest.

    Raises `InputError` without a report, `Refused` when something moved that only its author may change, or when
    anything moved although nothing may.
    """
    head, tree = resolve(root, "HEAD").sha, evaluated_tree(root)
    moved, removed = _differences(root, head, tree)
    if not may_move and (moved or removed):
        raise Refused(
            f"the lock of what would be merged is not true: its stages gave other {', '.join([*moved, *removed][:5])}. "
            "Bring the pull request's branch up to date, so that its own run makes the lock that is merged"
        )
    for name in (REPORT, PAGE, VERDICT):
        if not (root / name).is_file():
            raise InputError(f"{name} is not there: `lockstep report` writes it")
    manifest = Manifest(
        format=1, head=head, base=resolve(root, base).sha, number=number, tree=tree, moved=moved, removed=removed
    )
    _leave(root, manifest)
    for name in (REPORT, PAGE, VERDICT):
        _write(root / FOLDER / name, (root / name).read_bytes())
    return manifest


def pack_moved(root: Path) -> Manifest:
    """Write the folder `artifact/` without a report: moved files, manifest.

    Raises `Refused` when something moved that only its author may change.
    """
    head, tree = resolve(root, "HEAD").sha, evaluated_tree(root)
    moved, removed = _differences(root, head, tree)
    manifest = Manifest(format=1, head=head, base=head, number=None, tree=tree, moved=moved, removed=removed)
    _leave(root, manifest)
    return manifest


def _leave(root: Path, manifest: Manifest) -> None:
    """What moved, and what is said of it; whatever lay in the folder is gone."""
    folder = root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    for path in manifest.moved:
        # As git will hold it: line ends may differ on disk.
        _write(folder / TREE / path, git_bytes(root, "cat-file", "blob", f"{manifest.tree}:{path}").stdout)
    _write(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())


def _differences(root: Path, head: str, tree: str) -> tuple[list[str], list[str]]:
    """Paths that the run wrote, and paths that it removed."""
    said = git(root, "diff-tree", "-r", "-z", "--no-renames", "--raw", head, tree).split("\0")
    moved: list[str] = []
    removed: list[str] = []
    foreign: list[str] = []
    for about, path in zip(said[:-1:2], said[1::2], strict=True):
        mode = about.split()[1]
        if not MOVED.fullmatch(path) or mode not in ("100644", "000000"):
            foreign.append(path)
        else:
            (removed if mode == "000000" else moved).append(path)
    if foreign:
        raise Refused(
            f"the run changed {', '.join(foreign[:5])}, which only a commit of yours may change. Run `make repro` on "
            "your machine and commit it, or let git ignore it"
        )
    return moved, removed


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
