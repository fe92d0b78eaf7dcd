"""Predict a file: read, judge, predict, write; at the end both files appear at once, or nothing has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.batch.ahead import in_order, useful_threads
from lockstep.batch.files import ENDINGS, Source, ending_of, open_source
from lockstep.batch.scorer import NUMBER, REASONS, Scored, Scorer
from lockstep.batch.sinks import Sink
from lockstep.errors import InputError
from lockstep.models.model import load_contract
from lockstep.sources.csv_reader import Ragged

if TYPE_CHECKING:
    import pyarrow as pa

Track = Callable[[Iterator[Scored], int | None], Iterator[Scored]]
"""Shows progress: takes the results as they come, and how many there will be about."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of a file's rows."""

    rows: int
    predicted: int
    refused: int
    out: Path
    quarantine: Path | None
    carried: list[str]
    unknown: dict[str, int]
    fingerprint: str


def predict(
    source: Path,
    out: Path,
    *,
    folder: Path,
    quarantine: Path | None = None,
    without: Collection[str] = (),
    prefix: str = "",
    track: Track = lambda scored, pieces: scored,
) -> Done:
    """Predict every row of `source` by the model of `folder`, and write those that it may serve to `out`.

    The other rows go to `quarantine` (by default `out` with `.quarantine` before its ending). Memory: a few pieces of
    65,536 rows. Raises `InputError` when a file, its columns or the model are not what they should be; then neither
    file has changed.
    """
    quarantine = quarantine or default_quarantine(out)
    for path in (out, quarantine):
        try:
            _insist_on(path, source)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
    if _same(out, quarantine):
        raise InputError(f"{quarantine}: predictions and refused rows cannot be written to one file")
    contract = load_contract(folder).contract
    opened = open_source(source, [name for name, column in contract.columns.items() if column.type == "category"])
    scorer = _scorer(source, opened, folder, without, prefix)
    refused_columns = [(name, type) for name, type in opened.schema if name not in (NUMBER, REASONS)]
    with (
        Sink(out.resolve(), [*opened.schema, *scorer.schema]) as kept,
        Sink(quarantine.resolve(), [*_lead(), *refused_columns]) as refused,
    ):
        unknown = _score(opened, scorer, kept, refused, track)
        refused.finish()
        kept.finish()
        return Done(
            rows=kept.rows + refused.rows,
            predicted=kept.rows,
            refused=refused.rows,
            out=out,
            quarantine=quarantine if refused.rows else None,
            carried=[name for name in opened.names if name not in scorer.read],
            unknown=dict(sorted(unknown.items())),
            fingerprint=scorer.fingerprint,
        )


def default_quarantine(out: Path) -> Path:
    """Where refused rows go.

    >>> default_quarantine(Path("scored/june.csv.gz")).as_posix()
    'scored/june.quarantine.csv.gz'
    """
    ending = out.name[len(out.name) - len(ending_of(out)) :]
    return out.with_name(f"{out.name.removesuffix(ending)}.quarantine{ending}")


def _score(source: Source, scorer: Scorer, kept: Sink, refused: Sink, track: Track) -> Counter[str]:
    unknown: Counter[str] = Counter()
    scores = in_order(lambda piece: scorer.score(*piece), _pieces(source), threads=useful_threads())
    for scored in track(scores, source.pieces):
        kept.write(scored.predicted)
        if len(scored.refused):
            refused.write(scored.refused)
        unknown.update(scored.unknown)
    return unknown


def _pieces(source: Source) -> Iterator[tuple[pa.Table, int, Ragged]]:
    """Each table with the number of its first row in the file, and which of its rows (from 0) cannot be used."""
    first = 0
    for table in source.tables:
        numbers = [number for number in source.ragged if number < first + len(table)]
        yield table, first, {number - first: source.ragged.pop(number) for number in numbers}
        first += len(table)


def _scorer(source: Path, opened: Source, folder: Path, without: Collection[str], prefix: str) -> Scorer:
    try:
        return Scorer(folder, opened.names, without=without, prefix=prefix)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _lead() -> list[tuple[str, pa.DataType]]:
    import pyarrow as pa

    return [(NUMBER, pa.int64()), (REASONS, pa.string())]


def _insist_on(path: Path, source: Path) -> None:
    ending_of(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file that ends in one of {', '.join(ENDINGS)}")
    if not path.resolve().parent.is_dir():
        raise InputError(f"{path}: its folder does not exist; make it first")
    if _same(path, source):
        raise InputError(f"{path} is the file that is read: name another one to write to")


def _same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()
