"""`lockstep ci`: what the workflows call, one command a step."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lockstep.github.desk import Desk
    from lockstep.github.surroundings import Surroundings


@click.group()
def ci() -> None:
    """What the workflows in .github/workflows call. On your machine, `make report` shows the same report."""


@ci.command()
def begin() -> None:
    """Find out what is to be judged; insist that it holds all of its base."""
    from lockstep.github import api, surroundings, task

    around = surroundings.from_environment(os.environ)
    asked = api.from_environment(os.environ) if around.event == "workflow_dispatch" else None
    found = task.find(Path.cwd(), around, asked)
    task.insist(Path.cwd(), found)
    around.prepend_path(Path(sys.executable).parent)
    around.tell("base", found.base)
    around.tell("number", str(found.number or ""))
    click.echo(f"judging {found.head[:7]} against {found.base[:7]}, the tip of {found.base_name}")


@ci.command()
@click.option("--base", required=True, help="The commit that it was compared with.")
@click.option("--number", default="", help="The pull request's number, if it has one.")
def pack(base: str, number: str) -> None:
    """Show the report on the run's page, and pack it with what moved into artifact/."""
    from lockstep.github import packing, surroundings
    from lockstep.github.artifact import REPORT

    around = surroundings.from_environment(os.environ)
    manifest = packing.pack(Path.cwd(), base, int(number) if number else None, may_move=around.event != "merge_group")
    around.summarise(Path(REPORT).read_text(encoding="utf-8"))
    moved = ", ".join([*manifest.moved, *(f"{path} (removed)" for path in manifest.removed)])
    click.echo(f"packed the report; moved: {moved or 'nothing'}")


@ci.command()
def comment() -> None:
    """Answer a run that has ended: check run, commit of the lock, comment. Trusts nothing that the run left."""
    from lockstep.github import answer, runs, surroundings

    around = surroundings.from_environment(os.environ)
    for sentence in answer.of_run(_desk(around), runs.of_event(around.payload)):
        click.echo(sentence)


@ci.command()
def label() -> None:
    """Answer a label that was set or taken away."""
    from lockstep.github import answer, surroundings

    around = surroundings.from_environment(os.environ)
    click.echo(answer.of_label(_desk(around), around.payload["pull_request"]["number"]))


@ci.command()
def remake() -> None:
    """Run what is not true of the default branch's lock, and pack what moved into artifact/, for `mend`."""
    from lockstep.github import mending

    manifest = mending.remake(Path.cwd())
    click.echo(f"packed what moved: {', '.join([*manifest.moved, *manifest.removed]) or 'nothing'}")


@ci.command()
def mend() -> None:
    """Open the pull request that makes the default branch's lock true, with what `remake` left. Runs no stage."""
    from lockstep.github import api, mending, surroundings

    around = surroundings.from_environment(os.environ)
    branch, run = around.payload["repository"]["default_branch"], int(os.environ.get("GITHUB_RUN_ID", "0"))
    done = mending.mend(Path.cwd(), api.from_environment(os.environ), branch, run)
    click.echo(done.sentence)
    around.summarise(done.sentence)


def _desk(around: Surroundings) -> Desk:
    from lockstep.github import api
    from lockstep.github.desk import Desk

    asked, app_token = api.from_environment(os.environ), os.environ.get("LOCKSTEP_APP_TOKEN", "")
    return Desk(
        api=asked,
        committer=replace(asked, token=app_token) if app_token else None,
        default_branch=around.payload["repository"]["default_branch"],
        authors_commit=os.environ.get("LOCKSTEP_LOCK_BY", "") == "author",
    )
