"""`lockstep merge-driver`: what git calls to merge dvc.lock and its seal."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lockstep.errors import LockstepError
from lockstep.lock import merging
from lockstep.running.console import say


@click.command(name="merge-driver")
@click.argument("base", type=click.Path(path_type=Path), required=False)
@click.argument("ours", type=click.Path(path_type=Path), required=False)
@click.argument("theirs", type=click.Path(path_type=Path), required=False)
@click.argument("name", required=False)
@click.option("--install", is_flag=True, help="Tell git about it, in this clone alone.")
def merge_driver(base: Path | None, ours: Path | None, theirs: Path | None, name: str | None, install: bool) -> None:
    """Merge dvc.lock or dvc.lock.seal stage by stage: BASE OURS THEIRS NAME, the result into OURS.

    Exits with 1 when a stage had to be left out, and when the files cannot be read: then OURS stays as it is.
    """
    if install:
        merging.install(Path.cwd())
        return
    if base is None or ours is None or theirs is None or name is None:
        raise click.UsageError("four arguments are needed: git gives them as %O %A %B %P")
    merge = merging.KINDS.get(Path(name).name)
    if merge is None:
        raise click.UsageError(f"{name} is none of {', '.join(merging.KINDS)}")
    try:
        merged = merge(base.read_bytes(), ours.read_bytes(), theirs.read_bytes())
    except LockstepError as error:
        say(f"{name}: {error}. Ours was kept: `make repro` makes what is open, and says how to go on")
        sys.exit(1)
    ours.write_text(merged.text, encoding="utf-8")
    if merged.conflicts:
        say(
            f"{name}: both sides changed {', '.join(merged.conflicts)}, which was left out: `make repro` runs what is "
            "open, and says how to go on"
        )
        sys.exit(1)
