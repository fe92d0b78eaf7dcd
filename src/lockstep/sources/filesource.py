"""`ingest.files`: CSV, parquet and JSON-lines files, local or behind any fsspec URL, placed in partitions by time.

Every file is surveyed once, when it is new or has changed: its hash, columns and range of times go into the manifest.
A partition is written from the files whose range touches it, so a new monthly file loads its month only.

Columns that differ between files are joined: what a file lacks is missing, what has several types is widened (numbers)
or becomes text. Rows whose time cannot be read go to the partition `unplaced`, where prepare puts them in quarantine.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep.errors import InputError, nearest
from lockstep.rows import columns
from lockstep.running import console
from lockstep.sources import closure, partitions, readers
from lockstep.sources.partitions import Bounds, Manifest, Wanted, hash_of
from lockstep.sources.places import Place, places
from lockstep.spec import Ingest

if TYPE_CHECKING:
    import pyarrow as pa


def moments_of(table: pa.Table, time: str, where: str) -> pa.Array:
    """The column of times as timestamp[us]; null where one cannot be read.

    Raises `InputError` when there is no such column, or it cannot hold times.
    """
    import pyarrow as pa

    if time not in table.column_names:
        found = ", ".join(table.column_names)
        raise InputError(
            f"{where}: has no column `{time}` (contract.time).{nearest(time, table.column_names)} It has {found}."
        )
    kind = table.schema.field(time).type
    if not (pa.types.is_timestamp(kind) or pa.types.is_string(kind) or pa.types.is_null(kind)):
        raise InputError(
            f"{where}: column `{time}` (contract.time) holds {kind}, expected times or ISO text like 2013-01-31T06:00"
        )
    return columns.to_moments(table.column(time))


def survey(place: Place, time: str | None) -> dict[str, Any]:
    """One reading of a file: rows, columns with their types, first and last time, rows without a readable time."""
    import pyarrow.compute as pc

    kinds: dict[str, set[Any]] = {}
    wide: set[str] = set()
    rows = unplaced = 0
    times: list[datetime] = []
    for table in readers.read(place.open, place.name):
        rows += len(table)
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)
        wide.update(name for name in table.column_names if columns.is_wide(table.column(name)))
        if time:
            moments = moments_of(table, time, place.name)
            unplaced += moments.null_count
            times += [edge for edge in pc.min_max(moments).as_py().values() if edge is not None]
    return {
        "columns": {name: str(columns.unified(found, wide=name in wide)) for name, found in kinds.items()},
        "order": list(kinds),
        "wide": sorted(wide),
        "rows": rows,
        "unplaced": unplaced,
        "first": min(times).isoformat() if times else None,
        "last": max(times).isoformat() if times else None,
    }


class FilesSource:
    """`ingest.files`: see the module."""

    def __init__(self, ingest: Ingest, time: str | None, before: Manifest) -> None:
        assert ingest.files is not None
        self._time = time
        self._places = places(ingest.files)
        self._bounds = partitions.bounds_of(ingest, time)
        self._ingest = ingest
        self._records = {place.name: self._record(place, before) for place in self._places}

    def _record(self, place: Place, before: Manifest) -> dict[str, Any]:
        """What is known of the file: from the manifest while it is unchanged, otherwise by reading it."""
        digest = place.hash()
        key = hash_of(place.name, digest, self._time, closure.machinery())
        known = before.files.get(place.name)
        if known and known.get("key") == key:
            return known
        console.say(f"reading {place.name}")
        return {"hash": digest, "key": key, **survey(place, self._time)}

    def wanted(self) -> list[Wanted]:
        schema = [(field.name, str(field.type)) for field in self._schema()]
        base = (closure.machinery(), self._time, schema)
        pieces = [piece.wanted(base, self._hashes(piece)) for piece in self._pieces()]
        loose = [record["hash"] for record in self._records.values() if record["unplaced"]]
        return [*pieces, *([Bounds(name=partitions.UNPLACED).wanted(base, loose)] if loose else [])]

    def _pieces(self) -> list[Bounds]:
        """The window's pieces; with a time and no window, those that the files' range covers."""
        if self._time is None or self._bounds[0].start is not None:
            return self._bounds
        first, last = self._range()
        if first is None or last is None:
            return []
        every = self._ingest.partition
        return partitions.cut(
            partitions.floor(first, every), partitions.after(partitions.floor(last, every), every), every
        )

    def _range(self) -> tuple[datetime | None, datetime | None]:
        firsts = [datetime.fromisoformat(record["first"]) for record in self._records.values() if record["first"]]
        lasts = [datetime.fromisoformat(record["last"]) for record in self._records.values() if record["last"]]
        return min(firsts, default=None), max(lasts, default=None)

    def _hashes(self, piece: Bounds) -> list[str]:
        return [record["hash"] for record in self._records.values() if _touches(record, piece)]

    def _schema(self) -> pa.Schema:
        """All columns of all files, in order of first appearance; one without any value is text."""
        import pyarrow as pa

        kinds: dict[str, set[Any]] = {}
        for record in self._records.values():
            for name in record["order"]:
                kinds.setdefault(name, set()).add(pa.type_for_alias(record["columns"][name]))
        wide = {name for record in self._records.values() for name in record["wide"]}
        types = {name: columns.unified(found, wide=name in wide) for name, found in kinds.items()}
        return pa.schema([(name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in types.items()])

    def records(self) -> dict[str, dict[str, Any]]:
        return self._records

    def available(self) -> str:
        first, last = self._range()
        if first is None or last is None:
            return f"No row of {len(self._places)} files has a `{self._time}` that can be read."
        return f"The {len(self._places)} files have rows from {first.isoformat(' ')} to {last.isoformat(' ')}."

    def fetch(self, wanted: Sequence[Wanted], scratch: Path) -> Iterator[tuple[Wanted, Iterable[pa.Table]]]:
        """Each file is read once; rows wait on disk, sorted by partition, so that memory holds a batch and no more."""
        schema = self._schema()
        scratch.mkdir(exist_ok=True)
        for place in self._places:
            record = self._records[place.name]
            if any(
                (want.name == partitions.UNPLACED and record["unplaced"]) or _touches(record, want) for want in wanted
            ):
                self._spool(place, wanted, schema, scratch)
        for want in wanted:
            yield want, _unspool(scratch / want.name, schema)
            (scratch / want.name).unlink(missing_ok=True)

    def _spool(self, place: Place, wanted: Sequence[Wanted], schema: pa.Schema, scratch: Path) -> None:
        rows = 0
        types = {field.name: field.type for field in schema}
        for table in readers.read(place.open, place.name, types):
            rows += len(table)
            moments = moments_of(table, self._time, place.name) if self._time else None
            whole = _conform(table, schema, place.name)
            for want in wanted if moments is None else _near(moments, wanted):
                chosen = whole if moments is None else whole.filter(_inside(moments, want))
                if len(chosen):
                    _append(scratch / want.name, chosen)
        if rows != self._records[place.name]["rows"]:
            raise InputError(f"{place.name}: changed while it was read; run ingest again")


def _touches(record: dict[str, Any], piece: Bounds) -> bool:
    """Does the file's range of times touch the piece? A piece without bounds is touched by every file."""
    if piece.start is None or piece.end is None:
        return piece.name == partitions.WHOLE
    return (
        bool(record["first"]) and record["first"] < piece.end.isoformat() and record["last"] >= piece.start.isoformat()
    )


def _near(moments: pa.Array, wanted: Sequence[Wanted]) -> list[Wanted]:
    """Those that the range of times touches, and those without bounds."""
    import pyarrow.compute as pc

    first, last = pc.min_max(moments).as_py().values()
    return [
        want for want in wanted if not (want.start and want.end) or (first and first < want.end and last >= want.start)
    ]


def _inside(moments: pa.Array, want: Bounds) -> pa.Array:
    import pyarrow.compute as pc

    if want.start is None or want.end is None:
        return pc.is_null(moments)
    return pc.and_(pc.greater_equal(moments, want.start), pc.less(moments, want.end))


def _conform(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """All columns of the schema, in its types."""
    import pyarrow as pa

    there = set(table.column_names)
    made = []
    for field in schema:
        column = table.column(field.name) if field.name in there else pa.nulls(len(table), field.type)
        try:
            made.append(column.cast(field.type))
        except pa.ArrowInvalid as error:
            # arrow's own words quote the value
            raise InputError(f"{where}: column `{field.name}` holds {column.type}, expected {field.type}") from error
    return pa.table(made, schema=schema)


def _append(path: Path, table: pa.Table) -> None:
    """Add a table to a file of arrow streams: no file stays open, however many partitions there are."""
    import pyarrow as pa

    with path.open("ab") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def _unspool(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa

    yield schema.empty_table()
    if not path.exists():
        return
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while file.tell() < size:
            for batch in pa.ipc.open_stream(file):
                yield pa.Table.from_batches([batch])
