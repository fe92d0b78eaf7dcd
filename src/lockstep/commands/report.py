"""`lockstep report`: this branch's model against its base's, as a verdict that a pull request can show."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from lockstep.errors import Refused
from lockstep.report.document import Report
from lockstep.revision import base_of
from lockstep.running.console import say


@click.command()
@click.option(
    "--base",
    metavar="REV",
    help="Compare with this commit. Default: the merge base with the default branch; there, the commit before.",
)
@click.option("--seeds", type=click.IntRange(2, 50), help="Refit with so many other seeds, and print what they spread.")
@click.option("--exit-code", is_flag=True, help="Exit with 3 when the verdict is a refusal.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    help="The folder for report.md, report.html and verdict.json.",
)
def report(base: str | None, seeds: int | None, exit_code: bool, as_json: bool, output: Path) -> None:
    """Compare this branch's model with its base's, judge it by the gates, and write a report.

    Exits with 0 when it could judge, whatever the verdict.
    """
    # One thread: two cores gain little on such sizes, and the last digits are the same on every machine.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    from lockstep.report import write

    root = Path.cwd()
    write.clear(output)
    from lockstep.report.assess import assess
    from lockstep.report.compose import compose
    from lockstep.spec import read_spec

    judged = assess(root, read_spec(root / "params.yaml"), base_of(root, base), seeds=seeds or 0, progress=say)
    made, document = compose(judged), write.document(judged)
    comment, page, _ = write.write(output, made, document)
    if as_json:
        click.echo(document.model_dump_json(indent=1))
    else:
        _show(made, comment)
        say(f"the comment: {comment}\nthe page, with plots that answer: {page}")
    if exit_code and document.conclusion == "failure":
        raise Refused(document.headline)


def _show(made: Report, comment: Path) -> None:
    """In colours where somebody watches, else the Markdown itself."""
    if not sys.stdout.isatty():
        click.echo(comment.read_text(encoding="utf-8"), nl=False)
        return
    from rich.console import Console

    from lockstep.report.terminal import show

    show(made, Console())
