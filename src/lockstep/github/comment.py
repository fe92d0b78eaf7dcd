"""The one comment that stays at its place and is always up to date."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.errors import OutsideError, Refused
from lockstep.github import cml
from lockstep.github.api import Api
from lockstep.github.taming import tame
from lockstep.running.console import say

MARK = "<!-- lockstep: report -->"
OVERRIDE_ENDS = "<!-- lockstep: override -->"
"""The report's first lines: a mark that this is ours, what an override says, where that ends."""

MOST = 65_536
"""Characters of a comment that GitHub takes."""

SPARE = 2_000
"""Characters that are left for CML's own line and for what a later label says."""

BOT = "github-actions[bot]"
"""Who comments with a workflow's own token."""


def compose(
    *, override: str = "", verdict: str = "", notices: Sequence[str] = (), report: str, foot: str = "", run: str = ""
) -> str:
    """The body: what a label says, what the trusted side says, the report, a foot in small letters.

    The report is tamed, and cut to the room that is left; it may lead to `run` alone.
    """
    before = [_top(override), *([verdict] if verdict else []), *notices]
    after = [f"---\n<sub>{foot}</sub>"] if foot else []
    room = MOST - SPARE - sum(len(each) + 2 for each in [*before, *after])
    return "\n\n".join([*before, tame(report, run, room), *after]) + "\n"


def put(api: Api, number: int, body: str, *, environ: Mapping[str, str] = os.environ) -> None:
    """Show `body` on a pull request: in our comment, or in a new one.

    Raises `Refused` for a `cml` that is not CML: then the comment has been written through the API.
    """
    before = [*api.pages(f"issues/{number}/comments")]
    ours = _ours(before, environ)
    try:
        program = cml.program(environ)
    except Refused:
        _write(api, number, ours, body)
        raise
    if program is not None and _cml_finds_it(before, ours):
        try:
            cml.comment(program, number, body, token=api.token, environ=environ)
        except OutsideError as error:
            say(f"{error}. The comment is written through the API instead")
        else:
            return
    _write(api, number, ours, body)


def change_override(api: Api, number: int, override: str, *, environ: Mapping[str, str] = os.environ) -> bool:
    """Let our comment say something else of a label. False when there is no comment of ours."""
    ours = _ours([*api.pages(f"issues/{number}/comments")], environ)
    if ours is None or OVERRIDE_ENDS not in ours["body"]:
        return False
    _write(api, number, ours, _top(override) + ours["body"].partition(OVERRIDE_ENDS)[2])
    return True


def _top(override: str) -> str:
    return "\n\n".join([MARK, *([override] if override else []), OVERRIDE_ENDS])


def _ours(comments: Sequence[Any], environ: Mapping[str, str]) -> Any | None:
    """The comment that this wrote earlier. Its author is looked at: anybody could write its marks."""
    bot = environ.get("LOCKSTEP_BOT") or BOT
    return next(
        (each for each in comments if (each.get("user") or {}).get("login") == bot and MARK in (each["body"] or "")),
        None,
    )


def _cml_finds_it(comments: Sequence[Any], ours: Any | None) -> bool:
    """Would CML update the comment that is ours, or make the first one: and no other, whoever wrote it?"""
    marked = [each["id"] for each in comments[: cml.LOOKS_AT] if cml.is_marked(each["body"] or "")]
    return marked == ([ours["id"]] if ours else [])


def _write(api: Api, number: int, ours: Any | None, body: str) -> None:
    if ours is None:
        api.post(f"issues/{number}/comments", {"body": body})
    else:
        api.patch(f"issues/comments/{ours['id']}", {"body": body})
