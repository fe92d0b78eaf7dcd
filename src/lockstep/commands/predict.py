"""`lockstep predict`: a file of rows, scored."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from lockstep.errors import Refused
from lockstep.running.console import say, track

if TYPE_CHECKING:
    from lockstep.batch.predict import Done
    from lockstep.batch.scorer import Scored

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source", metavar="IN", type=PATH)
@click.argument("out", metavar="OUT", type=PATH)
@click.option("--model", type=PATH, default=Path("model"), show_default=True, help="The folder of the model.")
@click.option(
    "--quarantine", type=PATH, help="Where refused rows go. Default: OUT with `.quarantine` before its ending."
)
@click.option(
    "--without", metavar="COLUMN", multiple=True, help="IN lacks this column: it is missing in all rows. Repeatable."
)
@click.option("--prefix", metavar="TEXT", default="", help="Begins the names of the new columns.")
@click.option("--strict", is_flag=True, help="Exit with 3 when a row was refused.")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
def predict(
    source: Path,
    out: Path,
    model: Path,
    quarantine: Path | None,
    without: tuple[str, ...],
    prefix: str,
    strict: bool,
    as_json: bool,
) -> None:
    """Predict every row of IN and write it to OUT, its columns and the predictions: CSV or parquet, by their endings.

    Rows that the service would refuse go to the quarantine, with their reasons. The same bytes in are the same bytes
    out.
    """
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    from lockstep.batch import predict as batch

    def drawn(scored: Iterator[Scored], pieces: int | None) -> Iterator[Scored]:
        return track(scored, "predicting", pieces)

    with _ending_tidily():
        done = batch.predict(
            source, out, folder=model, quarantine=quarantine, without=without, prefix=prefix, track=drawn
        )
    if as_json:
        click.echo(json.dumps(asdict(done), indent=1, default=str))
    _tell(done)
    if done.refused and (strict or not done.predicted):
        raise Refused(f"{done.refused:,} of {done.rows:,} rows were refused: {done.quarantine} says why")


@contextmanager
def _ending_tidily() -> Iterator[None]:
    """SIGTERM, which a scheduler sends, ends us as Ctrl-C does: nothing half-written stays. One of them is enough: the
    next must not disturb the tidying up.
    """

    def end(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    found = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    before = {each: was for each, was in found.items() if was not in (None, signal.SIG_IGN)}
    for each in before:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each, was in before.items():
            if signal.getsignal(each) is end:
                signal.signal(each, was)


def _tell(done: Done) -> None:
    say(f"{done.predicted:,} of {done.rows:,} rows predicted by model {done.fingerprint[:12]}: {done.out}")
    if done.refused:
        say(f"{done.refused:,} refused, with their reasons: {done.quarantine}")
    if done.unknown:
        named = ", ".join(f"{name} ({count:,} rows)" for name, count in done.unknown.items())
        say(f"labels that training never saw, served as unknown: {named}")
    if done.carried:
        say(f"carried along, not read: {', '.join(done.carried)}")
