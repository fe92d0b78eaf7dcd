"""A revision of this repository: what git knows of it. Nothing of it is run, and only text and data are read."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import InputError
from lockstep.lock.entries import FILE, Entries, parse, reason

ELSEWHERE = "A commit stays as it is: mend the file in a new commit there, or choose another revision"
"""What to do about a file of a commit that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A commit, by its full hash, in the repository whose work tree is `root`."""

    root: Path
    sha: str

    @property
    def short(self) -> str:
        """The first seven digits."""
        return self.sha[:7]

    def read(self, path: str) -> bytes | None:
        """A file as the commit holds it; None without one."""
        found = git_bytes(self.root, "cat-file", "blob", f"{self.sha}:./{path}")
        return found.stdout if found.returncode == 0 else None

    def values(self) -> dict[str, Any]:
        """params.yaml as bare values: today's rules need not hold for it. Empty without one.

        Raises `InputError` when it is not YAML.
        """
        try:
            values = yaml.load(self.read("params.yaml") or b"", Loader=yaml.CSafeLoader)
        except (yaml.YAMLError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise InputError(f"params.yaml of {self.short} cannot be read: {reason(error)}. {ELSEWHERE}") from None
        return values if isinstance(values, dict) else {}

    def entries(self) -> Entries:
        """dvc.lock by stage; empty without one."""
        return parse(self.read(FILE) or b"", f"{FILE} of {self.short}", ELSEWHERE)


def git_bytes(root: Path, *arguments: str, content: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run git, which reads `content`; the caller looks at the return code. Raises `InputError` when git is not
    installed.
    """
    try:
        return subprocess.run(["git", "-C", str(root), *arguments], input=content, capture_output=True, check=False)
    except FileNotFoundError:
        raise InputError("git is not installed: `apt-get install git`") from None


def git(root: Path, *arguments: str) -> str:
    """What git prints, without the last newline. Raises `InputError` with git's own words when it fails."""
    found = git_bytes(root, *arguments)
    if found.returncode:
        said = found.stderr.decode(errors="replace").strip() or f"exit code {found.returncode}"
        raise InputError(f"`git {' '.join(arguments)}` failed: {said}")
    return found.stdout.decode(errors="replace").rstrip("\n")


def evaluated_tree(root: Path) -> str:
    """Git's hash of the work tree as it is, but for what git ignores; the index stays as it was."""
    with tempfile.TemporaryDirectory() as scratch:
        environ = os.environ | {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        for arguments in (["read-tree", "HEAD"], ["add", "--all"]):
            subprocess.run(["git", "-C", str(root), *arguments], env=environ, check=True, capture_output=True)
        written = subprocess.run(
            ["git", "-C", str(root), "write-tree"], env=environ, check=True, capture_output=True, text=True
        )
    return written.stdout.strip()


def resolve(root: Path, name: str) -> Revision:
    """The commit that `name` (branch, tag, hash, HEAD~2) stands for.

    Raises `InputError` when there is none, and says so when that is because the clone is shallow.
    """
    found = git_bytes(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode == 0:
        return Revision(root=root, sha=found.stdout.decode().strip())
    if is_shallow(root):
        raise InputError(f"there is no commit `{name}` here: this clone is shallow. `git fetch --unshallow` mends it")
    raise InputError(f"there is no commit `{name}` here. `git fetch` brings what the remote has; `git log` lists it")


def is_shallow(root: Path) -> bool:
    """Does this clone lack history?"""
    return git(root, "rev-parse", "--is-shallow-repository") == "true"


def default_branch(root: Path) -> str:
    """The default branch as this clone knows it: `origin/HEAD`, else `origin/main`, `main`, `origin/master`, `master`.

    Raises `InputError` when there is none of them.
    """
    found = git_bytes(root, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    names: Sequence[str] = [found.stdout.decode().strip()] if found.returncode == 0 else []
    for name in (*names, "origin/main", "main", "origin/master", "master"):
        if git_bytes(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").returncode == 0:
            return name
    raise InputError("the default branch is not known here: name what to compare with, as in `--base REV`")


def base_of(root: Path, name: str | None = None) -> Revision | None:
    """What a branch is compared with: `name`, else the merge base with the default branch; on the default branch
    itself the first parent. None for a first commit.

    Raises `InputError` for an unknown name, a shallow clone, no shared history.
    """
    if name is not None:
        return resolve(root, name)
    head, branch = resolve(root, "HEAD"), default_branch(root)
    found = git_bytes(root, "merge-base", "HEAD", branch)
    if found.returncode:
        hint = "`git fetch --unshallow` mends it" if is_shallow(root) else "name one with `--base REV`"
        raise InputError(f"this branch and `{branch}` share no commit here: {hint}")
    base = found.stdout.decode().strip()
    if base != head.sha:
        return Revision(root=root, sha=base)
    parent = git_bytes(root, "rev-parse", "--verify", "--quiet", "HEAD^1")
    if parent.returncode == 0:
        return Revision(root=root, sha=parent.stdout.decode().strip())
    if is_shallow(root):
        raise InputError("the commit before this one is not here: this clone is shallow. `git fetch --unshallow`")
    return None
