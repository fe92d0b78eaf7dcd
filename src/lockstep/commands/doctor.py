"""`lockstep doctor`: what is missing, and the command that mends it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from lockstep.doctor.check import MARKS, Check, Line, State, examine
from lockstep.errors import Refused

COLOURS = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red", State.UNKNOWN: "bright_black"}


@click.command()
@click.option(
    "--ruleset",
    type=click.Choice(["main", "deploy", "tags", "new-tags"]),
    is_flag=False,
    flag_value="main",
    help="Print the rules that GitHub should have, for its API: of the default branch, of `deploy`, of releases' tags.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def doctor(ruleset: str | None, as_json: bool) -> None:
    """Look at this clone, the remotes and the repository on GitHub: what is missing, and the command that mends it.

    Nothing is changed. Only a remote outside S3 that lets objects be added and not removed keeps 9 bytes, as is said
    then. With GITHUB_TOKEN set, GitHub is asked too. Exits with 3 when something fails.
    """
    from lockstep.doctor import here, hub, shipping
    from lockstep.doctor.clone import Clone

    if ruleset:
        rules = {"main": hub.RULESET, "deploy": shipping.DEPLOY_RULESET, "tags": shipping.TAGS_RULESET}
        found = rules.get(ruleset) or shipping.new_tags_ruleset(os.environ.get(hub.APP, ""))
        click.echo(json.dumps(found, indent=2))
        return
    checks = {**here.CHECKS, **hub.CHECKS, **shipping.CHECKS}
    lines = []
    for line in examine(Clone(root=Path.cwd(), environ=os.environ), checks):
        lines.append(line)
        if not as_json:
            _show(line, checks)
    if as_json:
        click.echo(json.dumps({"checks": [_values(line) for line in lines]}, indent=1))
    if any(line.found.state is State.FAIL for line in lines):
        sys.exit(Refused.code)


def _values(line: Line) -> dict[str, str]:
    found = line.found
    return {"id": line.id, "title": line.title, "state": found.state, "said": found.said, "remedy": found.remedy}


def _show(line: Line, checks: Mapping[str, Check]) -> None:
    """One line, aligned with the others."""
    width = max(len(check.title) for check in checks.values())
    mark = click.style(MARKS[line.found.state], fg=COLOURS[line.found.state])
    said = " ".join(line.found.said.split())
    remedy = f" → {line.found.remedy}" if line.found.remedy else ""
    click.echo(f"{mark} {line.title:{width}}  {said}{click.style(remedy, bold=True)}")
