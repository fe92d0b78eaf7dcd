"""`lockstep rollback`: make the default branch what an earlier release was, by a pull request like any other."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstep.errors import OutsideError, Refused
from lockstep.running.console import say

if TYPE_CHECKING:
    from lockstep.release.kept import Kept
    from lockstep.release.rollback import Back
    from lockstep.release.tags import Released


@click.command()
@click.argument("version", required=False)
@click.option("--why", default="", metavar="TEXT", help="The reason, for the commit's message and the pull request.")
@click.option(
    "--push", "push_", is_flag=True, help="Push the branch; with GITHUB_TOKEN set also open the pull request."
)
@click.option("--rebuild", is_flag=True, help="Go on though the model's files are lost: the run makes them again.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def rollback(version: str | None, why: str, push_: bool, rebuild: bool, as_json: bool) -> None:
    """Make the branch that goes back to VERSION (the one before what is out, unless given): code, spec and lock.

    .github/ and deploy/ stay as they are on the default branch. The work tree is not touched.
    """
    from lockstep.release import kept
    from lockstep.release import rollback as way
    from lockstep.revision import Revision

    root = Path.cwd()
    if trouble := way.fetch(root, needed=push_):
        say(f"note: this goes by what is here, which may be old: {trouble}")
    to, now = way.choose(root, version)
    _insist(to, kept.look(root, Revision(root=root, sha=to.commit)), rebuild=rebuild)
    back = way.make(root, to, now, why)
    address = _pushed(root, back) if push_ else ""
    if as_json:
        click.echo(json.dumps(_facts(back, address), indent=1))
    else:
        _say(back, pushed=push_, address=address)


def _insist(to: Released, found: Kept, *, rebuild: bool) -> None:
    """The model's bytes must be somewhere. Without a remote a run may have them, or make them again."""
    if found.lost and found.trouble:
        raise OutsideError(f"{', '.join(found.lost)} of {to.version} is not here, and no remote said: {found.trouble}")
    if found.lost and found.remote and not rebuild:
        raise Refused(
            f"{', '.join(found.lost)} of {to.version} is neither in DVC's cache here nor in the remote "
            f"`{found.remote}`. On a machine that has it, `git checkout {to.tag} && lockstep push` sends it; "
            "`lockstep rollback --rebuild` lets the pull request's run make it again: the same must come out"
        )
    if found.lost:
        say(
            f"note: {', '.join(found.lost)} is not here: the pull request's run makes it again, and it must be the same"
        )
    if found.trouble:
        say(f"note: the remotes were not asked: {found.trouble}")
    elif found.remote and {*found.here, *found.waiting} - {*found.there}:
        send = f"`git checkout {to.tag} && lockstep push` sends it"
        say(f"note: remote `{found.remote}` lacks some of {to.version}: {send}")


def _pushed(root: Path, back: Back) -> str:
    """The pull request's address; "" where it is left to people."""
    from lockstep.github import api
    from lockstep.release import rollback as way

    way.push(root, back)
    hub = api.of_clone(root, os.environ)
    if hub is None:
        return ""
    return way.propose(hub, back, starts_runs=os.environ.get("GITHUB_ACTIONS") != "true")


def _facts(back: Back, address: str) -> dict[str, object]:
    return {
        "version": str(back.to.version), "tag": back.to.tag, "released_from": back.to.commit, "branch": back.branch,
        "commit": back.commit, "base": back.base, "reused": back.reused, "pull_request": address or None,
    }  # fmt: skip


def _say(back: Back, *, pushed: bool, address: str) -> None:
    there = "is here already" if back.reused else "is made"
    click.echo(f"branch {back.branch} {there}: {back.commit[:7]} on {back.into} holds what {back.to.tag} does")
    if address:
        click.echo(f"pull request: {address}")
    elif pushed:
        click.echo(
            f"it is pushed; open the pull request: `gh pr create --head {back.branch} --base {back.base} --fill`"
        )
    else:
        click.echo(
            f"next: `lockstep rollback {back.to.version} --push`, or by hand\n"
            f"  git push origin {back.branch}\n"
            f"  gh pr create --head {back.branch} --base {back.base} --fill\n"
            "its report will say that this is a rollback, and pass"
        )
