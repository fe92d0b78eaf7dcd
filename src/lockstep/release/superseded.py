"""Where a commit stands towards the one that is on staging: an older commit never deploys over its descendant."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from lockstep.release.earlier import is_ancestor
from lockstep.revision import git, git_bytes


class Standing(Enum):
    """What a commit is to the one that is deployed."""

    FIRST = "nothing is deployed yet"
    SAME = "this commit is deployed"
    AFTER = "what is deployed is older"
    SUPERSEDED = "what is deployed is newer"
    ASIDE = "neither is an ancestor of the other"


def standing(root: Path, deployed: str, commit: str) -> Standing:
    """Of `commit`, where `deployed` ("" for none) is on staging. A deployed commit that is not here lies aside."""
    if not deployed:
        return Standing.FIRST
    if deployed == commit:
        return Standing.SAME
    if is_ancestor(root, deployed, commit):
        return Standing.AFTER
    return Standing.SUPERSEDED if is_ancestor(root, commit, deployed) else Standing.ASIDE


def skipped(root: Path, before: str, commit: str) -> list[str]:
    """Commits after `before` that reached the default branch and had no release of their own, oldest first."""
    if not before or not is_ancestor(root, before, commit) or before == commit:
        return []
    listed = git(
        root, "rev-list", "--reverse", "--first-parent", "--end-of-options", f"{before}..{commit}"
    ).splitlines()
    return listed[:-1]


def told(root: Path, commit: str) -> str:
    """A commit in a line: its first digits and its subject."""
    found = git_bytes(root, "show", "--no-patch", "--format=%h %s", "--abbrev=7", "--end-of-options", commit)
    return found.stdout.decode(errors="replace").strip() if found.returncode == 0 else commit[:7]
