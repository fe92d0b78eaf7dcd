"""`lockstep repro`: run what changed, and seal the lock."""

from __future__ import annotations

from pathlib import Path

import click

from lockstep.commands.check import check
from lockstep.lock import reproduce


@click.command()
@click.option("--pull", is_flag=True, help="First bring from the remote, by hash, what dvc.lock names and is not here.")
@click.pass_context
def repro(ctx: click.Context, pull: bool) -> None:
    """Check, run what changed and what depends on it, look at every output, and seal dvc.lock."""
    ctx.invoke(check, fix=False, outputs=False, as_json=False)
    done = reproduce.reproduce(Path.cwd(), pull=pull)
    if done.sealed:
        click.echo(f"sealed: {', '.join(done.sealed)}")
    click.echo("fine: outputs, seal")
