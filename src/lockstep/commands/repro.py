"""`lockstep repro`: run what changed, and seal the lock."""

from __future__ import annotations

from pathlib import Path

import click

from lockstep import upkeep
from lockstep.commands.check import check
from lockstep.lock import reproduce


@click.command()
@click.option("--no-pull", is_flag=True, help="Leave the remote alone: what is not here is made here.")
@click.pass_context
def repro(ctx: click.Context, no_pull: bool) -> None:
    """Check, run what changed and what depends on it, look at every output, and seal dvc.lock.

    What dvc.lock names and is not here is first brought from the remote, by hash, where one is configured.
    """
    for path in upkeep.mend(Path.cwd(), upkeep.GENERATED):
        click.echo(f"rewrote {path.relative_to(Path.cwd())}")
    ctx.invoke(check, fix=False, outputs=False, as_json=False)
    done = reproduce.reproduce(Path.cwd(), pull=not no_pull)
    if done.sealed:
        click.echo(f"sealed: {', '.join(done.sealed)}")
    click.echo("fine: outputs, seal")
    if done.onward:
        click.echo(done.onward)
