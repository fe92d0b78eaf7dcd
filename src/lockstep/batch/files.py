"""Files of rows, read in pieces of bounded size, in the format of their name's ending."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lockstep.errors import InputError
from lockstep.rows.columns import refuse_twins
from lockstep.rows.tables import ROW_GROUP
from lockstep.sources.csv_reader import Ragged, read_csv

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = ROW_GROUP
"""Rows that are read, predicted and written at a time."""

PIECE_BYTES = 64 << 20
"""Fewer rows make a piece where they take more bytes than this."""

SAMPLE = 256
"""So many rows tell how large a file's rows are."""

ENDINGS = (".csv", ".csv.gz", ".parquet", ".pq")

Schema = list[tuple[str, "pa.DataType"]]


def ending_of(path: Path) -> str:
    """The ending that says what is in a file. Raises `InputError` for another."""
    name = path.name.lower()
    found = next((ending for ending in ENDINGS if name.endswith(ending)), None)
    if found is None or len(name) == len(found):
        raise InputError(f"{path}: its name must end in one of {', '.join(ENDINGS)}")
    return found


@dataclass(frozen=True)
class Source:
    """An opened file: its columns, about how many pieces it has, and the pieces, each of at most `PIECE` rows.

    `ragged` says which rows of a piece, once it is there, have another length than the header.
    """

    schema: Schema
    pieces: int | None
    tables: Iterator[pa.Table]
    ragged: Ragged = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of its columns."""
        return [name for name, _ in self.schema]


def open_source(path: Path, labels: Iterable[str] = ()) -> Source:
    """Open a file of rows; `labels` are columns of few distinct texts, which parquet can hand over as such.

    Raises `InputError` when it is not there, cannot be read, or has no rows.
    """
    opener = _open_csv if ".csv" in ending_of(path) else _open_parquet
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError(f"{path} is no file that can be read more than once: write its rows to a file first")
        with path.open("rb"):
            return opener(path, set(labels))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (PermissionError, IsADirectoryError) as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _open_csv(path: Path, labels: set[str]) -> Source:
    def opened() -> IO[bytes]:
        return gzip.GzipFile(path, "rb") if ending_of(path) == ".csv.gz" else path.open("rb")  # type: ignore[return-value]

    ragged: Ragged = {}
    tables = _unpacked(_regrouped(read_csv(opened, str(path), ragged=ragged)), path)
    first = next(tables)
    schema = list(zip(first.schema.names, first.schema.types, strict=True))
    return Source(schema, None, _chained(first, tables), ragged)


def _unpacked(tables: Iterator[pa.Table], path: Path) -> Iterator[pa.Table]:
    import zlib

    try:
        yield from tables
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: is cut short or not gzip ({error})") from error


def _chained(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    del first
    yield from rest


def _regrouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of `PIECE`, or of about `PIECE_BYTES`; the last one may be smaller."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        rest = table
        while len(rest):
            part = rest.slice(0, PIECE - rows)
            waiting.append(part)
            rows, size, rest = rows + len(part), size + part.nbytes, rest.slice(len(part))
            if rows == PIECE or size >= PIECE_BYTES:
                yield pa.concat_tables(waiting).combine_chunks()
                waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _open_parquet(path: Path, labels: set[str]) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        refuse_twins(names, str(path))
        # Without buffering a row group is read a page at a time, however large its writer made it.
        file = pq.ParquetFile(
            path, read_dictionary=[name for name in names if name in labels], pre_buffer=False, buffer_size=1 << 20
        )
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as parquet ({error})") from error
    rows = file.metadata.num_rows
    if not rows:
        raise InputError(f"{path}: has columns and no rows")
    schema = [(each.name, _plain(each.type)) for each in file.schema_arrow]
    at_once = _rows_at_once(file, path)
    return Source(schema, -(-rows // at_once), _batches(file, path, at_once))


def _plain(type: pa.DataType) -> pa.DataType:
    """As a type is written: what holds each distinct value once holds them in the order of our pieces, so that is left
    to parquet."""
    import pyarrow as pa

    return type.value_type if pa.types.is_dictionary(type) else type


def _rows_at_once(file: Any, path: Path) -> int:
    """`PIECE`, or fewer where rows are large: as its writer counted them, or as the first ones are in memory."""
    groups = [file.metadata.row_group(at) for at in range(file.metadata.num_row_groups)]
    counted = max(group.total_byte_size / group.num_rows for group in groups if group.num_rows)
    first = next(_batches(file, path, SAMPLE))
    return max(1, min(PIECE, int(PIECE_BYTES / max(counted, first.nbytes / len(first)))))


def _batches(file: Any, path: Path, rows: int) -> Iterator[pa.Table]:
    import pyarrow as pa

    try:
        for batch in file.iter_batches(rows, use_threads=False):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as parquet ({error})") from error
