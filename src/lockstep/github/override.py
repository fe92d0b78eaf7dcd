"""A maintainer's label that lets a refused change pass: who set it, when, and whether it counts for this head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lockstep.github.api import Api, part
from lockstep.github.runs import WORKFLOW

LABEL = "lockstep: override"
MAY = frozenset({"admin", "maintain", "write"})
"""What somebody must be allowed whose label counts."""


@dataclass(frozen=True, kw_only=True)
class Override:
    """The label on a pull request. `counts` unless `why_not` says why it does not."""

    who: str
    when: str
    why_not: str = ""

    @property
    def counts(self) -> bool:
        """Does it let this head pass?"""
        return not self.why_not


def look(api: Api, number: int, head: str) -> Override | None:
    """The label of pull request `number` as it stands; None without it."""
    set_by = _last(api.pages(f"issues/{number}/timeline"))
    if set_by is None:
        return None
    who, when = (set_by.get("actor") or {}).get("login", ""), set_by["created_at"]
    return Override(who=who, when=when, why_not=_why_not(api, who, when, head))


def _last(events: Iterable[Any]) -> Any | None:
    """The event that set the label which is there now."""
    found = None
    for event in events:
        if event.get("event") in ("labeled", "unlabeled") and event["label"]["name"] == LABEL:
            found = event if event["event"] == "labeled" else None
    return found


def _why_not(api: Api, who: str, when: str, head: str) -> str:
    said = api.find(f"collaborators/{part(who)}/permission") if who else None
    if said is None or not {said.get("permission"), said.get("role_name")} & MAY:
        return "who set it may not write to this repository"
    if when <= since(api, head):
        return "it was set for an earlier commit: a new one needs it anew"
    return ""


def since(api: Api, head: str) -> str:
    """Since when `head` has been what is to be judged.

    A commit's own date is its author's word and may lie in the past: GitHub's record of when its run began cannot.
    """
    committed = api.get(f"git/commits/{head}")["committer"]["date"]
    runs = api.pages("actions/runs", "workflow_runs", head_sha=head, event="pull_request")
    began = [run["created_at"] for run in runs if run["path"].partition("@")[0] == WORKFLOW]
    return str(max([committed, *began]))
