"""The run of a pull request that has ended, and the pull request it is about: from GitHub's own records alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lockstep.errors import InputError
from lockstep.github.api import Api, ApiError
from lockstep.github.artifact import MOST, NAME, Bundle, Manifest, Poisoned, read, read_moved

WORKFLOW = ".github/workflows/pull-request.yml"
EVENTS = frozenset({"pull_request", "merge_group", "workflow_dispatch"})
_QUEUE = re.compile(r"gh-readonly-queue/(?P<branch>.+)/pr-(?P<number>\d+)-(?P<base>[0-9a-f]{40})")
_FAILED = frozenset({"failure", "timed_out", "cancelled"})

Left = TypeVar("Left")


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as `workflow_run` names it. `branch` and `owner` are of where its head comes from."""

    id: int
    event: str
    conclusion: str
    sha: str
    branch: str
    head_repository: str
    url: str

    @property
    def owner(self) -> str:
        """Whose repository the head is in."""
        return self.head_repository.partition("/")[0]

    def is_of(self, repository: str) -> bool:
        """Is its head in this repository, and not in a fork?"""
        return _same(self.head_repository, repository)

    @property
    def queue(self) -> tuple[str, int, str] | None:
        """The branch that a queue merges into, the group's last pull request, the commit that the group stands on."""
        found = _QUEUE.fullmatch(self.branch) if self.event == "merge_group" else None
        return (found["branch"], int(found["number"]), found["base"]) if found else None


@dataclass(frozen=True, kw_only=True)
class Pull:
    """An open pull request. `into_default` when it is to be merged into the default branch."""

    number: int
    head: str
    branch: str
    head_repository: str
    base: str
    base_name: str
    into_default: bool

    def is_of(self, repository: str) -> bool:
        """Is its branch in this repository, and not in a fork?"""
        return _same(self.head_repository, repository)


def of_event(payload: Mapping[str, Any]) -> Run:
    """The run that has ended. Raises `InputError` for one of another workflow or another event."""
    run = payload["workflow_run"]
    if run["path"].partition("@")[0] != WORKFLOW or run["event"] not in EVENTS:
        raise InputError(f"the run that ended is `{run['path']}` on `{run['event']}`, not {WORKFLOW}")
    return Run(
        id=run["id"], event=run["event"], conclusion=run["conclusion"] or "", sha=run["head_sha"],
        branch=run["head_branch"] or "", head_repository=(run.get("head_repository") or {}).get("full_name", ""),
        url=run["html_url"],
    )  # fmt: skip


def pull_of(api: Api, run: Run) -> list[Pull]:
    """Open pull requests that the run is about: found by its head's hash, which GitHub vouches for.

    A fork's commit is not always linked to its pull request, so those of its branch are looked at as well. A fork may
    also push a commit of ours: what its run says of it is not heard.
    """
    linked = _linked(api, run.sha)
    if not _same(run.head_repository, api.repository) and any(_is_our_head(pull, api, run) for pull in linked):
        return []
    found = {pull["number"]: pull for pull in linked}
    found |= {pull["number"]: pull for pull in api.pages("pulls", state="open", head=f"{run.owner}:{run.branch}")}
    chosen = [_pull(pull) for pull in found.values() if pull["state"] == "open" and _is_of(pull, api, run)]
    return sorted(chosen, key=lambda pull: pull.number)


def _linked(api: Api, sha: str) -> list[Any]:
    """Pull requests that GitHub links to a commit; none for one that it knows only from a fork."""
    try:
        return [*api.pages(f"commits/{sha}/pulls")]
    except ApiError as error:
        if error.status in (404, 422):
            return []
        raise


def _is_of(pull: Any, api: Api, run: Run) -> bool:
    """Is it to be merged here, and its branch the one that ran? (The head may have moved on meanwhile.)"""
    head = pull["head"]
    here, theirs = _same(_repository(pull["base"]), api.repository), _same(_repository(head), run.head_repository)
    return bool(here and theirs and head["ref"] == run.branch)


def _is_our_head(pull: Any, api: Api, run: Run) -> bool:
    """Is this commit the head of a branch in this repository that is to be merged?"""
    head = pull["head"]
    return pull["state"] == "open" and head["sha"] == run.sha and _same(_repository(head), api.repository)


def _repository(side: Any) -> str:
    return str((side.get("repo") or {}).get("full_name", ""))


def _same(one: str, other: str) -> bool:
    """Are these the same repository, and is it known which?"""
    return bool(one) and one.casefold() == other.casefold()


def pull(api: Api, number: int) -> Pull | None:
    """The pull request of that number, when it is open."""
    found = api.find(f"pulls/{number}")
    return _pull(found) if found is not None and found["state"] == "open" else None


def _pull(pull: Any) -> Pull:
    base = pull["base"]
    return Pull(
        number=pull["number"], head=pull["head"]["sha"],
        branch=pull["head"]["ref"], head_repository=(pull["head"].get("repo") or {}).get("full_name", ""),
        base=base["sha"], base_name=base["ref"], into_default=base["ref"] == base["repo"]["default_branch"],
    )  # fmt: skip


def bundle(api: Api, run: Run) -> Bundle:
    """What the run left, validated. Raises `Poisoned` when that is nothing, or not what a run leaves."""
    found = _left(api, run.id, read)
    if found.manifest.head != run.sha:
        raise Poisoned(f"what the run left is about {found.manifest.head[:7]}, and the run was of {run.sha[:7]}")
    return found


def moved(api: Api, run: int, head: str) -> tuple[Manifest, Mapping[str, bytes]]:
    """What an earlier job of a run left without a report, validated. Raises `Poisoned` as `bundle` does."""
    manifest, contents = _left(api, run, read_moved)
    if manifest.head != head:
        raise Poisoned(f"what the run left is about {manifest.head[:7]}, and the run is of {head[:7]}")
    return manifest, contents


def _left(api: Api, run: int, take_apart: Callable[[bytes], Left]) -> Left:
    artifacts = [each for each in api.pages(f"actions/runs/{run}/artifacts", "artifacts") if each["name"] == NAME]
    fresh = [each for each in artifacts if not each.get("expired")]
    if not fresh:
        raise Poisoned("the run left no report")
    newest = max(fresh, key=lambda each: each["id"])
    if newest["size_in_bytes"] > MOST:
        raise Poisoned(f"what the run left has {newest['size_in_bytes']:,} bytes")
    try:
        return take_apart(api.download(f"actions/artifacts/{newest['id']}/zip", MOST))
    except InputError as error:
        raise Poisoned(f"what the run left cannot be trusted: {error}") from None


def failed_step(api: Api, run: Run) -> str:
    """The name of the first step that failed; "" when GitHub does not say. The name is the branch's own text."""
    try:
        jobs = [*api.pages(f"actions/runs/{run.id}/jobs", "jobs")]
    except ApiError:
        return ""
    steps = (step for job in jobs for step in job.get("steps") or () if step.get("conclusion") in _FAILED)
    first = next(steps, None)
    return str(first["name"]) if first else ""
