"""Which files that take part in judging a pull request changes: asked of GitHub, not of the run that they may steer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lockstep.github.api import Api, part
from lockstep.github.runs import Pull

JUDGES = (
    ".github", ".ci", "requirements", "pyproject.toml", "Makefile", "dvc.yaml", ".dvc/config", ".dvcignore",
    ".gitattributes", "src/lockstep",
)  # fmt: skip
"""Files and folders that take part in judging. The report lists the same."""

SHOWN_BY_GITHUB = 300
"""Changed files that a comparison of GitHub lists at most."""


@dataclass(frozen=True, kw_only=True)
class Changed:
    """`judges` take part in judging; `complete` unless there are more changed files than GitHub lists. `behind` counts
    the base's commits that the head lacks; `merge_base` is the last one that it has.
    """

    judges: tuple[str, ...] = ()
    complete: bool = True
    behind: int = 0
    merge_base: str = ""


def changed(api: Api, pull: Pull, head: str) -> Changed:
    """What GitHub says of the pull request's base and a head of it."""
    found = api.get(f"compare/{part(pull.base_name)}...{head}")
    files = found.get("files") or []
    names = [name for each in files for name in (each["filename"], each.get("previous_filename")) if name]
    return Changed(
        judges=tuple(sorted(judging(names))), complete=len(files) < SHOWN_BY_GITHUB, behind=found["behind_by"],
        merge_base=found["merge_base_commit"]["sha"],
    )  # fmt: skip


def judging(paths: Iterable[str]) -> set[str]:
    """Those of the paths that take part in judging."""
    return {path for path in paths if any(path == judge or path.startswith(f"{judge}/") for judge in JUDGES)}
