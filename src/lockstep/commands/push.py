"""`lockstep push`: send what the lock needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstep.errors import InputError

if TYPE_CHECKING:
    from lockstep.lock.entries import Entries


@click.command()
@click.option("--remote", metavar="NAME", help="Which remote; the default one unless given.")
@click.option(
    "--stall", type=click.FloatRange(min=1), default=60, show_default=True, metavar="SECONDS",
    help="How long nothing may move before a try is ended and the next one begins.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was sent as JSON.")
def push(remote: str | None, stall: float, as_json: bool) -> None:
    """Send the objects that dvc.lock needs to a remote. What is there already is not written again."""
    from lockstep.lock import entries, objects
    from lockstep.remotes import transfer
    from lockstep.remotes.child import Patience

    root = Path.cwd()
    needed = objects.needed(root, _entries(root))
    if not needed:
        raise InputError(f"{entries.FILE} names no object to send: `make repro` makes them")
    done = transfer.push(root, [each.md5 for each in needed], remote, patience=Patience(stall=stall))
    if as_json:
        click.echo(json.dumps({"sent": list(done.sent), "there": list(done.there)}, indent=1))
    else:
        click.echo(f"sent {len(done.sent):,}; {len(done.there):,} were there already")


def _entries(root: Path) -> Entries:
    from lockstep.lock import declared, fresh

    declared.check_root(root)
    return fresh.read_lock(root)
