"""`lockstep verify`: is the lock true?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from lockstep import errors, upkeep
from lockstep.lock import verify as lock
from lockstep.running.console import say


@click.command()
@click.option("--data", is_flag=True, help="Also read every byte in DVC's cache and in the work tree.")
@click.option(
    "--rebuild", is_flag=True, help="Also run the stages again, from the locked raw data, and compare hashes."
)
@click.option("--from-source", is_flag=True, help="As --rebuild, and ask the source for the raw data.")
@click.option("--remote", metavar="NAME", help="Look into this remote instead of the default one.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def verify(data: bool, rebuild: bool, from_source: bool, remote: str | None, as_json: bool) -> None:
    """Say whether dvc.lock and its seal are what this tree gives, and the remote has what they name; exit 3 if not."""
    answer = lock.verify(Path.cwd(), remote=remote, bytes_=data, again=rebuild, from_source=from_source, progress=say)
    if as_json:
        click.echo(json.dumps({"true": answer.is_true, **asdict(answer)}, indent=1))
    else:
        _report(answer)
    if not answer.is_true:
        sys.exit(errors.Refused.code)


def _report(answer: lock.Answer) -> None:
    for finding in answer.findings:
        click.echo(f"untrue: {finding.sentence}", err=True)
    for note in answer.notes:
        click.echo(f"note: {note}", err=True)
    if answer.is_true:
        click.echo(f"true: {', '.join(answer.checks)}")
    elif any(finding.check in ("lock", "seal") for finding in answer.findings):
        click.echo(_remedy(list(upkeep.look(Path.cwd(), upkeep.CHECKS))), err=True)


def _remedy(wrong: list[upkeep.Finding]) -> str:
    """What makes lock and seal true: `make repro`, unless `lockstep check` would stop it."""
    if not wrong:
        return "`make repro` makes lock and seal true"
    if all(finding.mendable for finding in wrong):
        return "`lockstep check --fix`, then `make repro` makes lock and seal true"
    return "`lockstep check` says what is to be mended first; then `make repro` makes lock and seal true"
