"""What a pull request changes: asked of GitHub, not of the run that its files may steer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lockstep import judging
from lockstep.github.api import Api, part
from lockstep.github.runs import Pull

COMPARED, LISTED = 300, 3000
"""Changed files that GitHub gives at most: for two commits, and for a pull request."""


@dataclass(frozen=True, kw_only=True)
class Changed:
    """`judges` change who judges, `runs` is other code that runs meanwhile; `complete` unless there may be more changed
    files than GitHub gives. `behind` counts the base's commits that the head lacks; `merge_base` is the last one that
    it has.
    """

    judges: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    complete: bool = True
    behind: int = 0
    merge_base: str = ""


def changed(api: Api, pull: Pull, head: str) -> Changed:
    """What GitHub says of the pull request's base and a head of it."""
    found = api.get(f"compare/{part(pull.base_name)}...{head}")
    names, complete = _names(found.get("files") or []), len(found.get("files") or []) < COMPARED
    if not complete:
        more, complete = _listed(api, pull, head)
        names |= more
    return Changed(
        judges=tuple(sorted(filter(judging.judges, names))),
        runs=tuple(sorted(name for name in names if judging.group(name) == judging.RUNS)),
        complete=complete,
        behind=found["behind_by"],
        merge_base=found["merge_base_commit"]["sha"],
    )


def _listed(api: Api, pull: Pull, head: str) -> tuple[set[str], bool]:
    """All changed files of the pull request, and whether they are all of this head's."""
    files = [*api.pages(f"pulls/{pull.number}/files")]
    still = api.get(f"pulls/{pull.number}")["head"]["sha"] == head
    return _names(files), still and len(files) < LISTED


def _names(files: Iterable[Any]) -> set[str]:
    return {name for each in files for name in (each["filename"], each.get("previous_filename")) if name}
