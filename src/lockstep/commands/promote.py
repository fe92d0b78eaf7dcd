"""`lockstep promote`: propose that production becomes what staging is."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lockstep.github.api import Api


@click.command()
@click.option("--record", is_flag=True, help="Tag the version that production has; for the workflow after a merge.")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
def promote(record: bool, as_json: bool) -> None:
    """Open the pull request into the branch `deploy` that moves production to what staging has.

    Nothing is built. There is one at a time: when staging has moved on, it follows. With GITHUB_TOKEN and
    GITHUB_REPOSITORY it is opened on GitHub; otherwise its branch is pushed, and somebody merges it.
    """
    from lockstep.release import promote as work
    from lockstep.spec import read_spec

    name = read_spec(Path.cwd() / "params.yaml").project.name
    if record:
        sentence = work.assign(Path.cwd(), name)
        click.echo(json.dumps({"sentence": sentence}) if as_json else sentence)
        return
    done = work.promote(Path.cwd(), name, _api(Path.cwd()))
    if as_json:
        click.echo(json.dumps(asdict(done), indent=1))
        return
    click.echo(done.sentence)
    if done.onward:
        click.echo(done.onward)


def _api(root: Path) -> Api | None:
    """GitHub's, where there is a token, and a repository: said, or origin's."""
    from lockstep.github import api
    from lockstep.release import origin

    if not os.environ.get("GITHUB_TOKEN"):
        return None
    repository = os.environ.get("GITHUB_REPOSITORY") or origin.repository(root)
    return api.from_environment({**os.environ, "GITHUB_REPOSITORY": repository}) if repository else None
