"""Files of rows: read in pieces of bounded size, written whole or not at all, in the format of their name's ending."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from lockstep.batch.cells import is_text
from lockstep.errors import InputError
from lockstep.rows.columns import refuse_twins
from lockstep.rows.tables import ROW_GROUP
from lockstep.sources import readers

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = ROW_GROUP
"""Rows that are read, predicted and written at a time."""

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
    """An opened file: its columns, about how many pieces it has, and the pieces, each of at most `PIECE` rows."""

    schema: Schema
    pieces: int | None
    tables: Iterator[pa.Table]

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
        with path.open("rb"):
            return opener(path, set(labels))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (PermissionError, IsADirectoryError) as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _open_csv(path: Path, labels: set[str]) -> Source:
    def opened() -> IO[bytes]:
        return gzip.GzipFile(path, "rb") if ending_of(path) == ".csv.gz" else path.open("rb")  # type: ignore[return-value]

    tables = _unpacked(_regrouped(readers.read_csv(opened, str(path))), path)
    first = next(tables)
    return Source(list(zip(first.schema.names, first.schema.types, strict=True)), None, _chained(first, tables))


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
    """The same rows in tables of `PIECE`; the last one may be smaller."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        rest = table
        while len(rest):
            part = rest.slice(0, PIECE - rows)
            waiting.append(part)
            rows, rest = rows + len(part), rest.slice(len(part))
            if rows == PIECE:
                yield pa.concat_tables(waiting).combine_chunks()
                waiting, rows = [], 0
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
    schema = [(field.name, _plain(field.type)) for field in file.schema_arrow]
    return Source(schema, -(-rows // PIECE), _batches(file, path))


def _plain(type: pa.DataType) -> pa.DataType:
    """As a type is written: what holds each distinct value once holds them in the order of our pieces, so that is left
    to parquet."""
    import pyarrow as pa

    return type.value_type if pa.types.is_dictionary(type) else type


def _batches(file: Any, path: Path) -> Iterator[pa.Table]:
    import pyarrow as pa

    try:
        for batch in file.iter_batches(PIECE, use_threads=False):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as parquet ({error})") from error


class Sink:
    """A file that appears under its name, whole, when `finish` is called; until then it has another one.

    Opened with the first table; without one, `finish` leaves nothing, nor what was there before.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self.path = path
        self.rows = 0
        self._schema, self._ending = schema, ending_of(path)
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._resources = ExitStack()
        self._writer: _Csv | _Parquet | None = None

    def write(self, table: pa.Table) -> None:
        """Add rows: columns of the schema, in its order."""
        import pyarrow as pa

        if self._writer is None:
            self._writer = self._opened(pa.schema(self._schema))
        self.rows += len(table)
        self._writer.write(table.cast(pa.schema(self._schema)))

    def _opened(self, schema: pa.Schema) -> _Csv | _Parquet:
        try:
            file: IO[bytes] | gzip.GzipFile = self._resources.enter_context(self._part.open("wb"))
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror}") from None
        if self._ending == ".csv.gz":
            # Without a name and a time in it: the same rows are the same bytes.
            squeezed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            self._resources.callback(squeezed.close)
            file = squeezed
        kind = _Csv if ".csv" in self._ending else _Parquet
        return kind(file, schema, self.path)

    def finish(self) -> None:
        """Give the file its name."""
        if self._writer is None:
            self.path.unlink(missing_ok=True)
            return
        self._writer.close()
        self._resources.close()
        self._part.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever happened: nothing half-written stays."""
        try:
            self._resources.close()
        finally:
            self._part.unlink(missing_ok=True)


class _Csv:
    def __init__(self, file: IO[bytes] | gzip.GzipFile, schema: pa.Schema, path: Path) -> None:
        import pyarrow as pa
        from pyarrow import csv

        for field in schema:
            if not (pa.types.is_primitive(field.type) or is_text(field.type) or _simple(field.type)):
                raise InputError(f"{path}: column `{field.name}` holds {field.type}, for which CSV has no form")
        options = csv.WriteOptions(quoting_style="needed", quoting_header="needed")
        self._writer = csv.CSVWriter(file, schema, write_options=options)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


def _simple(type: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_decimal(type) or pa.types.is_null(type))


class _Parquet:
    """Row groups of `ROW_GROUP` rows, however the tables are cut: the same rows are the same bytes."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, schema: pa.Schema, path: Path) -> None:
        import pyarrow.parquet as pq

        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._writer = pq.ParquetWriter(file, schema, compression="zstd", compression_level=1, version="2.6")

    def write(self, table: pa.Table) -> None:
        while len(table):
            part = table.slice(0, ROW_GROUP - self._rows)
            self._waiting.append(part)
            self._rows, table = self._rows + len(part), table.slice(len(part))
            if self._rows == ROW_GROUP:
                self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        # One chunk a column: page borders follow chunk borders.
        self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks(), row_group_size=ROW_GROUP)
        self._waiting, self._rows = [], 0

    def close(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()
