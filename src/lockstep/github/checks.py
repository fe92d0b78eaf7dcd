"""The check run `lockstep verdict`, which branch protection can require."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from lockstep.github.api import Api

NAME = "lockstep verdict"
OVERRIDDEN = "Overridden by"
"""How the title of a check begins that a maintainer's label turned green."""

SUMMARY_MOST = 60_000
"""Characters; GitHub takes 65,535."""

_OURS = re.compile(r"lockstep:(?P<conclusion>success|failure):(?P<judged>yes|no)")

Conclusion = Literal["success", "failure"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A verdict on a commit. `conclusion` is the run's own word; an override turns it green and is told by `title`.

    `into` is the branch to be merged into when that is not the default one: such a verdict gets another name, since
    it was found against another base.
    """

    conclusion: Conclusion
    judged: bool
    title: str
    summary: str
    url: str
    overridden: str = ""
    into: str = ""

    @property
    def name(self) -> str:
        """What branch protection calls it."""
        return name_of(self.into)


def name_of(into: str) -> str:
    """The verdict's name for what is to be merged into a branch; "" is the default one."""
    return f"{NAME} (into {into})" if into else NAME


def put(api: Api, check: Check, sha: str) -> int:
    """Record the verdict on a commit; returns its number. Never neutral: GitHub lets neutral pass."""
    title = check.overridden or check.title
    summary = "\n\n".join([*([check.overridden] if check.overridden else []), check.title, check.summary])
    made = api.post(
        "check-runs",
        {
            "name": check.name,
            "head_sha": sha,
            "status": "completed",
            "conclusion": "success" if check.overridden else check.conclusion,
            "external_id": f"lockstep:{check.conclusion}:{'yes' if check.judged else 'no'}",
            "details_url": check.url,
            "output": {"title": title[:250], "summary": summary[:SUMMARY_MOST]},
        },
    )
    return int(made["id"])


def latest(api: Api, sha: str, into: str = "", before: int | None = None) -> Check | None:
    """The last verdict that was recorded on a commit (before the one of that number), as it was before any override;
    None when there is none.
    """
    runs = api.pages(f"commits/{sha}/check-runs", "check_runs", check_name=name_of(into), filter="all")
    ours = [run for run in runs if _OURS.fullmatch(run.get("external_id") or "")]
    ours = [run for run in ours if before is None or run["id"] < before]
    return _check(max(ours, key=lambda run: run["id"]), into) if ours else None


def impostors(api: Api, sha: str, into: str = "") -> list[str]:
    """Links to checks on a commit that only bear the verdict's name: a branch's workflow may call its job so."""
    named = api.pages(f"commits/{sha}/check-runs", "check_runs", check_name=name_of(into), filter="all")
    return [str(run["html_url"]) for run in named if not _OURS.fullmatch(run.get("external_id") or "")]


def _check(run: Any, into: str) -> Check:
    found = _OURS.fullmatch(run["external_id"])
    assert found
    output = run.get("output") or {}
    summary = output.get("summary") or ""
    if summary.startswith(OVERRIDDEN):
        summary = summary.partition("\n\n")[2]
    title, _, summary = summary.partition("\n\n")
    return Check(
        conclusion="success" if found["conclusion"] == "success" else "failure",
        judged=found["judged"] == "yes",
        title=title,
        summary=summary,
        url=run.get("details_url") or "",
        into=into,
    )
