"""Pull requests that we open ourselves: one for each purpose, found again by its branch, and kept up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lockstep.github.api import Api


def find(api: Api, base: str, ours: Callable[[str], bool]) -> dict[str, Any] | None:
    """The oldest open pull request into `base` from a branch of this repository whose name is one of `ours`."""
    for pull in api.pages("pulls", state="open", base=base, sort="created", direction="asc"):
        head = pull["head"]
        own = head["repo"] is not None and head["repo"]["full_name"] == api.repository
        if own and ours(head["ref"]) and pull["base"]["ref"] == base:
            return dict(pull)
    return None


def put(api: Api, found: dict[str, Any] | None, *, branch: str, base: str, title: str, body: str) -> dict[str, Any]:
    """Open a pull request, or let the one that was found say this; returns it as GitHub has it."""
    said = {"title": title, "body": body}
    if found is None:
        return dict(api.post("pulls", {**said, "head": branch, "base": base}))
    if any(found.get(key) != value for key, value in said.items()):
        found = api.patch(f"pulls/{found['number']}", said)
    return dict(found)
