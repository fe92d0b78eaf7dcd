"""Two versions of dvc.lock, or of its seal, and their common ancestor → one, stage by stage.

What only one side changed is taken. A stage that both changed, differently, is left out of the result, which stays a
readable file without markers: `make repro` runs it. So no entry and no line of a seal is made that neither side had.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import InputError
from lockstep.lock import entries, fresh, seal, yaml12
from lockstep.revision import git_bytes

DRIVER = "lockstep"
_STAGE = re.compile(r"^  (?P<name>[^\s#][^\n]*?):[ \t]*\n", flags=re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The file's content, and the stages that were left out."""

    text: str
    conflicts: tuple[str, ...]


def merge_lock(base: bytes, ours: bytes, theirs: bytes) -> Merged:
    """dvc.lock. Raises `InputError` for a version that DVC did not write."""
    return _merge(base, ours, theirs, _blocks, lambda blocks: _HEAD + "".join(blocks.values()) if blocks else "")


def merge_seal(base: bytes, ours: bytes, theirs: bytes) -> Merged:
    """dvc.lock.seal. Raises `InputError` for a version with other things than lines."""
    return _merge(base, ours, theirs, seal.parse, seal.text)


KINDS: Mapping[str, Callable[[bytes, bytes, bytes], Merged]] = {entries.FILE: merge_lock, seal.FILE: merge_seal}
"""What can be merged, by file name."""

_HEAD = "schema: '2.0'\nstages:\n"


def _merge(
    base: bytes,
    ours: bytes,
    theirs: bytes,
    split: Callable[[bytes], dict[str, str]],
    join: Callable[[dict[str, str]], str],
) -> Merged:
    before, left, right = split(base), split(ours), split(theirs)
    merged: dict[str, str] = {}
    conflicts = []
    for name in dict.fromkeys((*left, *right)):
        chosen = left.get(name) if right.get(name) in (before.get(name), left.get(name)) else right.get(name)
        if left.get(name) not in (before.get(name), chosen):
            conflicts.append(name)
        elif chosen is not None:
            merged[name] = chosen
    return Merged(text=join(merged), conflicts=tuple(conflicts))


def _blocks(text: bytes) -> dict[str, str]:
    """The text of each stage's entry, as DVC wrote it."""
    known = entries.parse(text)
    found = _cut(text.decode())
    # Whoever edited the file by hand may have indented it otherwise: rather stop than mix stages up.
    if {name: yaml12.load(f"{_HEAD}{block}")["stages"][name] for name, block in found.items()} != {
        name: entry.raw for name, entry in known.items()
    }:
        raise InputError(f"{entries.FILE} is not written as DVC writes it: it cannot be merged stage by stage")
    return found


def _cut(text: str) -> dict[str, str]:
    starts = list(_STAGE.finditer(text))
    ends = [*(start.start() for start in starts), len(text)][1:]
    return {str(yaml12.load(start["name"])): text[start.start() : end] for start, end in zip(starts, ends, strict=True)}


def without(text: bytes, names: set[str]) -> str:
    """dvc.lock without some stages. Raises `InputError` as `merge_lock` does."""
    kept = {name: block for name, block in _blocks(text).items() if name not in names}
    return _HEAD + "".join(kept.values()) if kept else ""


def settle(root: Path) -> list[str]:
    """Merge what a git without the driver has left in conflict; returns sentences about what was done."""
    said = []
    for name, merge in KINDS.items():
        if _has_markers(root / name):
            merged = merge(*_versions(root, name))
            (root / name).write_text(merged.text, encoding="utf-8")
            said.append(f"merged {name}, stage by stage")
    return said


def _versions(root: Path, name: str) -> tuple[bytes, bytes, bytes]:
    """The ancestor and both sides of a file in conflict: git's, or, if someone has added the file with its marks, what
    they divide, without an ancestor.
    """
    if not git_bytes(root, "ls-files", "--unmerged", "--", name).stdout:
        return b"", *sides((root / name).read_bytes())
    base, ours, theirs = (git_bytes(root, "cat-file", "blob", f":{stage}:./{name}").stdout for stage in (1, 2, 3))
    return base, ours, theirs


def sides(text: bytes) -> tuple[bytes, bytes]:
    """The two versions that git's marks divide.

    >>> sides(b"a\\n<<<<<<< x\\nb\\n=======\\nc\\n>>>>>>> y\\nd\\n")
    (b'a\\nb\\nd\\n', b'a\\nc\\nd\\n')
    """
    found: tuple[list[bytes], list[bytes]] = ([], [])
    belongs: tuple[int, ...] = (0, 1)
    for line in text.splitlines(keepends=True):
        mark = next((mark for mark in _MARKS if line.startswith(mark)), None)
        if mark is None:
            for side in belongs:
                found[side].append(line)
        else:
            belongs = _MARKS[mark]
    return b"".join(found[0]), b"".join(found[1])


_MARKS: Mapping[bytes, tuple[int, ...]] = {b"<<<<<<< ": (0,), b"||||||| ": (), b"=======\n": (1,), b">>>>>>> ": (0, 1)}
"""How git divides versions, and to which of the two sides the lines after each mark belong."""

UNDER_WAY: Mapping[str, tuple[str, str]] = {
    "rebase-merge": ("rebase", "`git rebase --continue`"),
    "rebase-apply": ("rebase", "`git rebase --continue`"),
    "MERGE_HEAD": ("merge", "commit"),
    "CHERRY_PICK_HEAD": ("cherry-pick", "`git cherry-pick --continue`"),
    "REVERT_HEAD": ("revert", "`git revert --continue`"),
}
"""What git leaves in its folder while it waits for a person: what that is, and how it goes on."""


def onward(root: Path) -> str | None:
    """How to go on with a merge, now that lock, seal and results are made; None when git waits for nothing."""
    asked = git_bytes(root, "rev-parse", "--absolute-git-dir")
    folder = Path(asked.stdout.decode().rstrip("\n"))
    found = next((UNDER_WAY[name] for name in UNDER_WAY if asked.returncode == 0 and (folder / name).exists()), None)
    if found is None:
        return None
    what, then = found
    unmerged = git_bytes(root, "diff", "--name-only", "--relative", "--diff-filter=U", "-z").stdout.decode().split("\0")
    open_ = [name for name in unmerged if name and _has_markers(root / name)]
    if open_:
        return f"{', '.join(open_)}: this {what} still needs you there. Then `git add -A` and {then}"
    return f"nothing of this {what} is open any more: `git add -A` and {then}"


def _has_markers(path: Path) -> bool:
    try:
        return fresh.has_markers(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        return False


def install(root: Path) -> bool:
    """Tell git how to call the driver, in the configuration of this clone alone; returns whether that was news.

    Nothing happens outside of a git work tree, nor in a further worktree, which shares the configuration of the first
    and may be gone tomorrow. The command is the one that runs now, with its folder: git may be used where `.venv/bin`
    is not on the path.
    """
    asked = git_bytes(root, "rev-parse", "--is-inside-work-tree", "--absolute-git-dir", "--git-common-dir")
    inside, *folders = asked.stdout.decode().splitlines() or ["false"]
    if inside != "true" or len({(root / folder).resolve() for folder in folders}) != 1:
        return False
    wanted = {
        f"merge.{DRIVER}.name": "dvc.lock and its seal, stage by stage",
        f"merge.{DRIVER}.driver": f"{_command()} merge-driver %O %A %B %P",
    }
    news = {
        key: value
        for key, value in wanted.items()
        if git_bytes(root, "config", "--local", "--get", key).stdout.decode().rstrip("\n") != value
    }
    for key, value in news.items():
        git_bytes(root, "config", "--local", key, value)
    return bool(news)


def _command() -> str:
    script = Path(sys.executable).with_name("lockstep")
    # git hands the line to a shell, after it has replaced what follows each %.
    return shlex.quote(str(script)).replace("%", "%%") if script.exists() else "lockstep"
