"""What a run is to judge: which commit, against which base. The pull request's own run asks this first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lockstep.errors import InputError, Refused
from lockstep.github.api import Api
from lockstep.github.surroundings import Surroundings
from lockstep.revision import git, git_bytes, resolve

Kind = Literal["pull_request", "merge_group", "workflow_dispatch"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """`base` is the commit that the head is compared with: the tip of the branch that it is to be merged into."""

    kind: Kind
    head: str
    base: str
    base_name: str
    number: int | None = None


def find(root: Path, around: Surroundings, api: Api | None = None) -> Task:
    """The task of this run. `api` is asked for a pull request that the event names only by its number.

    Raises `InputError` for an event that is none of ours, `Refused` when the run is not of the head that it names.
    """
    if around.event == "pull_request":
        return _of_pull(root, around.payload["pull_request"], "pull_request")
    if around.event == "merge_group":
        group = around.payload["merge_group"]
        name = group["base_ref"].removeprefix("refs/heads/")
        return Task(kind="merge_group", head=group["head_sha"], base=group["base_sha"], base_name=name)
    if around.event == "workflow_dispatch" and api is not None:
        return _of_dispatch(root, around, api)
    raise InputError(f"a run of `{around.event}` has nothing to judge")


def _of_pull(root: Path, pull: Any, kind: Kind) -> Task:
    name = pull["base"]["ref"]
    return Task(
        kind=kind, head=pull["head"]["sha"], base=_tip(root, name) or pull["base"]["sha"], base_name=name,
        number=pull["number"],
    )  # fmt: skip


def _of_dispatch(root: Path, around: Surroundings, api: Api) -> Task:
    number = str((around.payload.get("inputs") or {}).get("number") or "")
    if not number.isdecimal():
        raise InputError(f"the run was asked for pull request `{number}`, which is not a number")
    pull = api.find(f"pulls/{number}")
    if pull is None:
        raise InputError(f"there is no pull request {number}")
    if pull["head"]["sha"] != around.sha:
        raise Refused(
            f"this run is of {around.sha[:7]}, the head of pull request {number} is {pull['head']['sha'][:7]}: start "
            "it on the pull request's own branch, as in `gh workflow run pull-request.yml --ref BRANCH -f number=N`"
        )
    return _of_pull(root, pull, "workflow_dispatch")


def _tip(root: Path, name: str) -> str:
    found = git_bytes(root, "rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{name}^{{commit}}")
    return found.stdout.decode().strip()


def insist(root: Path, task: Task) -> None:
    """Raise unless the work tree is of the head, and the head holds all of its base.

    What would be judged is not what would be merged otherwise.
    """
    here = resolve(root, "HEAD").sha
    if here != task.head:
        raise InputError(f"{here[:7]} is checked out here, and {task.head[:7]} is to be judged")
    resolve(root, task.base)
    if git_bytes(root, "merge-base", "--is-ancestor", task.base, task.head).returncode:
        lacking = git(root, "rev-list", "--count", f"{task.head}..{task.base}")
        raise Refused(behind(task.base_name, int(lacking)))


def behind(name: str, commits: int) -> str:
    """What somebody is told whose branch lacks the base's tip."""
    what = f"{commits:,} commit{'s' * (commits != 1)}"
    return (
        f"this branch lacks {what} of `{name}`: what would be judged is not what would be merged. "
        f"`git fetch origin`, `git merge origin/{name}` and `make repro` bring it up to date; commit and push"
    )
