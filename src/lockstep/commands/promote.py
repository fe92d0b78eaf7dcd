"""`lockstep promote`: propose that production becomes what staging is."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click


@click.command()
@click.option("--record", is_flag=True, help="Tag the version that production has; for the workflow after a merge.")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
def promote(record: bool, as_json: bool) -> None:
    """Open the pull request into the branch `deploy` that moves production to what staging has.

    Nothing is built. There is one at a time: when staging has moved on, it follows. With GITHUB_TOKEN and
    GITHUB_REPOSITORY it is opened on GitHub; otherwise its branch is pushed, and somebody merges it.
    """
    from lockstep.github import api
    from lockstep.release import promote as work
    from lockstep.spec import read_spec

    name = read_spec(Path.cwd() / "params.yaml").project.name
    if record:
        sentence = work.assign(Path.cwd(), name)
        click.echo(json.dumps({"sentence": sentence}) if as_json else sentence)
        return
    done = work.promote(Path.cwd(), name, api.of_clone(Path.cwd(), os.environ))
    if as_json:
        click.echo(json.dumps(asdict(done), indent=1))
        return
    click.echo(done.sentence)
    if done.onward:
        click.echo(done.onward)
