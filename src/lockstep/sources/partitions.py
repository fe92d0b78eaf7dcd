"""Partitions: the window cut into calendar pieces, one parquet file each, and the manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from lockstep.errors import InputError
from lockstep.rows.tables import md5_of
from lockstep.spec import Ingest

MANIFEST = "manifest.json"
UNPLACED = "unplaced"
"""Name of the partition for rows without a readable time: prepare puts them in quarantine, with that reason."""
WHOLE = "all"
"""Name of the one partition of a source without time or window."""

Every = Literal["day", "week", "month", "quarter", "year"]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """A piece of time, [start, end); an end that is None is open."""

    name: str
    start: datetime | None = None
    end: datetime | None = None

    def wanted(self, *parts: Any) -> Wanted:
        """This piece with the key that hashes its bounds and the parts."""
        return Wanted(
            name=self.name, start=self.start, end=self.end, key=hash_of(self.name, self.start, self.end, *parts)
        )


@dataclass(frozen=True, kw_only=True)
class Wanted(Bounds):
    """A partition that the window asks for; `key` hashes everything that decides its rows."""

    key: str


@dataclass(frozen=True, kw_only=True)
class Partition(Wanted):
    """A partition that is there."""

    rows: int
    md5: str

    def path(self, folder: Path) -> Path:
        """Where it lies in the folder of raw data."""
        return folder / f"{self.name}.parquet"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The partitions in time order, and what the source remembers about its files.

    An ingest that is under way keeps a manifest that is not `complete`: it can be taken up again, not read.
    """

    partitions: list[Partition]
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    complete: bool = True

    def write(self, path: Path) -> None:
        """As JSON with sorted keys; the same partitions give the same bytes."""
        entries = [_as_json(partition) for partition in self.partitions]
        content = {"complete": self.complete, "files": self.files, "partitions": entries}
        path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _as_json(partition: Partition) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(partition).items()
    }


def hash_of(*parts: Any) -> str:
    """Hex hash of JSON-able values, the same in every process."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


# --- calendar ---------------------------------------------------------------------------------------------------------


def floor(moment: datetime, every: Every) -> datetime:
    """Start of the calendar piece that holds the moment; weeks begin on Monday.

    >>> floor(datetime(2013, 5, 17, 8), "quarter")
    datetime.datetime(2013, 4, 1, 0, 0)
    """
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "day":
        return day
    if every == "week":
        return day - timedelta(days=day.weekday())
    month = {"month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1, "year": 1}[every]
    return day.replace(month=month, day=1)


def after(start: datetime, every: Every) -> datetime:
    """Start of the next calendar piece."""
    if every in ("day", "week"):
        return start + timedelta(days=1 if every == "day" else 7)
    months = start.month + {"month": 1, "quarter": 3, "year": 12}[every] - 1
    return start.replace(year=start.year + months // 12, month=months % 12 + 1)


def name_of(start: datetime, every: Every) -> str:
    """Name of the calendar piece that begins at `start`; names sort as time does.

    >>> [name_of(datetime(2013, 4, 1), every) for every in ("day", "week", "month", "quarter", "year")]
    ['2013-04-01', '2013-W14', '2013-04', '2013-Q2', '2013']
    """
    if every == "week":
        year, week, _ = start.isocalendar()
        return f"{year:04}-W{week:02}"
    if every == "quarter":
        return f"{start.year:04}-Q{(start.month + 2) // 3}"
    return start.date().isoformat()[: {"day": 10, "month": 7, "year": 4}[every]]


def cut(start: datetime, until: datetime, every: Every) -> list[Bounds]:
    """The window [start, until) in calendar pieces, the first and last clipped to it.

    >>> [bounds.name for bounds in cut(datetime(2013, 1, 15), datetime(2013, 3, 1), "month")]
    ['2013-01', '2013-02']
    """
    pieces = []
    piece = floor(start, every)
    while start < until and piece < until:
        following = after(piece, every)
        pieces.append(Bounds(name=name_of(piece, every), start=max(piece, start), end=min(following, until)))
        piece = following
    return pieces


def bounds_of(ingest: Ingest, time: str | None) -> list[Bounds]:
    """The spec's window in pieces; without time or window one piece that is open on both sides.

    Raises `InputError` when the window is empty, half given, or has no time column to hold it against.
    """
    if ingest.start is None and ingest.until is None:
        return [Bounds(name=WHOLE)]
    if time is None:
        raise InputError("ingest: a window (from, until) needs contract.time, the column that places rows in it")
    if ingest.start is None or ingest.until is None:
        raise InputError(
            f"ingest: the window needs both from and until; {'from' if ingest.start is None else 'until'} is missing"
        )
    pieces = cut(datetime.fromisoformat(ingest.start), datetime.fromisoformat(ingest.until), ingest.partition)
    if not pieces:
        raise InputError(f"ingest: the window is empty: from {ingest.start} until {ingest.until} (exclusive)")
    return pieces


def span(start: datetime | None, end: datetime | None) -> str:
    """Bounds in words.

    >>> span(datetime(2013, 1, 1), datetime(2013, 2, 1)), span(None, None)
    ('2013-01-01 to 2013-02-01', 'all rows')
    """
    if start is None and end is None:
        return "all rows"
    return f"{_words(start)} to {_words(end)}"


def window(pieces: Iterable[Bounds]) -> tuple[datetime | None, datetime | None]:
    """From where to where the pieces reach."""
    edges = [edge for piece in pieces for edge in (piece.start, piece.end) if edge is not None]
    return min(edges, default=None), max(edges, default=None)


def _words(moment: datetime | None) -> str:
    return "open" if moment is None else moment.isoformat(" ").removesuffix(" 00:00:00")


# --- manifest ---------------------------------------------------------------------------------------------------------


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the folder, after checking that every partition is the file that ingest wrote.

    Raises `InputError` when the manifest is damaged or a partition is missing, altered or cut short: DVC restores a
    damaged cache file without a word.
    """
    manifest = _load(folder / MANIFEST)
    if not manifest.complete:
        raise InputError(f"{folder}: an ingest was interrupted before it ended; run `dvc repro --force ingest`")
    verify(manifest, folder)
    return manifest


def verify(manifest: Manifest, folder: Path) -> None:
    """Raise `InputError` naming the first partition whose bytes are not those of the manifest."""
    for partition in manifest.partitions:
        if not intact(partition, folder):
            state = "is not the file that ingest wrote" if partition.path(folder).exists() else "is missing"
            cached = f".dvc/cache/files/md5/{partition.md5[:2]}/{partition.md5[2:]}"
            raise InputError(
                f"{partition.path(folder)}: {state} (expected md5 {partition.md5}). If DVC restored it, its cache is "
                f"damaged: remove {cached}, then run `dvc repro --force ingest`."
            )


def intact(partition: Partition, folder: Path) -> bool:
    """Is the partition's file there, byte for byte?"""
    path = partition.path(folder)
    return path.is_file() and md5_of(path) == partition.md5


def _load(path: Path) -> Manifest:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        partitions = [_partition(entry) for entry in content["partitions"]]
        return Manifest(partitions=partitions, files=dict(content["files"]), complete=content["complete"] is True)
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; run `dvc repro --force ingest`") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is damaged ({error!r}); run `dvc repro --force ingest`") from error


def _partition(entry: dict[str, Any]) -> Partition:
    start, end = (entry[side] and datetime.fromisoformat(entry[side]) for side in ("start", "end"))
    name, key, md5, rows = (entry[item] for item in ("name", "key", "md5", "rows"))
    # A name becomes a path: one that leads out of the folder is damage, or worse.
    if (
        not all(isinstance(text, str) for text in (name, key, md5))
        or not isinstance(rows, int)
        or not name
        or {*name} & {*"/\\."}
    ):
        raise ValueError(entry)
    return Partition(name=name, start=start or None, end=end or None, rows=rows, md5=md5, key=key)


def inherited(folder: Path) -> Manifest:
    """What an earlier ingest left that can be trusted: its manifest without partitions that were altered.

    A manifest that is missing or damaged vouches for nothing: everything is fetched again.
    """
    try:
        manifest = _load(folder / MANIFEST)
    except InputError:
        return Manifest(partitions=[])
    return Manifest(partitions=[part for part in manifest.partitions if intact(part, folder)], files=manifest.files)


def reusable(wanted: Iterable[Wanted], before: Manifest) -> dict[str, Partition]:
    """By name, the partitions of an earlier ingest that are exactly what is wanted now."""
    there = {partition.key: partition for partition in before.partitions}
    same = [there[want.key] for want in wanted if want.key in there and there[want.key].name == want.name]
    return {partition.name: partition for partition in same}


def tidy(folder: Path, keep: Sequence[Partition]) -> None:
    """Remove everything else from the folder: partitions that left the window, strangers, leftovers of a crash."""
    kept = {folder / MANIFEST, *(partition.path(folder) for partition in keep)}
    for path in set(folder.iterdir()) - kept:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
