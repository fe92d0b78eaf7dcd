"""Files of rows, written whole or not at all, in the format of their name's ending: the same rows, the same bytes."""

from __future__ import annotations

import errno
import glob
import gzip
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from lockstep.batch.cells import is_text
from lockstep.batch.files import PIECE_BYTES, Schema, ending_of
from lockstep.errors import InputError
from lockstep.rows.tables import ROW_GROUP
from lockstep.serving.holding import hold, left_behind

if TYPE_CHECKING:
    import pyarrow as pa


class Sink:
    """A file that appears under its name, whole, when `finish` is called; until then it has another one.

    Opened with the first table; without one, `finish` leaves nothing, nor what was there before.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self.path = path
        self.rows = 0
        self._schema, self._ending = schema, ending_of(path)
        self._part = path.with_name(f".{path.name}.{os.urandom(8).hex()}.part")
        self._begun = False
        self._resources = ExitStack()
        self._writer: _Csv | _Parquet | None = None

    def write(self, table: pa.Table) -> None:
        """Add rows: columns of the schema, in its order."""
        import pyarrow as pa

        with self._told():
            if self._writer is None:
                self._writer = self._opened(pa.schema(self._schema))
            self.rows += len(table)
            self._writer.write(table.cast(pa.schema(self._schema)))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the file system refuses, in a sentence; that it is full is said elsewhere."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise InputError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def _held(self) -> IO[bytes]:
        """A new file, held by us; another where a run that clears up was quicker to take it for a leftover."""
        while True:
            self._begun = True  # before it is there: a signal may come between the two
            file = self._part.open("xb")
            hold(file.fileno())
            with suppress(FileNotFoundError):
                if os.path.samestat(self._part.stat(), os.fstat(file.fileno())):
                    return file
            file.close()

    def _remove_leftovers(self) -> None:
        """Remove what runs that were killed have left of this file."""
        name = re.compile(rf"\.{re.escape(self.path.name)}\.[0-9a-f]+\.part")
        for path in self.path.parent.glob(f".{glob.escape(self.path.name)}.*.part"):
            if name.fullmatch(path.name):
                with (
                    suppress(OSError),
                    left_behind(path) as descriptor,
                ):  # if it cannot be removed, nothing is wrong yet
                    if descriptor is not None:
                        path.unlink()

    def _opened(self, schema: pa.Schema) -> _Csv | _Parquet:
        file: IO[bytes] | gzip.GzipFile = self._resources.enter_context(self._held())
        if self._ending == ".csv.gz":
            # Without a name and a time in it: the same rows are the same bytes.
            squeezed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            self._resources.callback(squeezed.close)
            file = squeezed
        kind = _Csv if ".csv" in self._ending else _Parquet
        return kind(file, schema, self.path)

    def finish(self) -> None:
        """Give the file its name."""
        with self._told():
            if self._writer is None:
                self.path.unlink(missing_ok=True)
                return
            self._writer.close()
            self._resources.close()
            self._part.replace(self.path)

    def __enter__(self) -> Self:
        self._remove_leftovers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever happened: nothing half-written stays."""
        try:
            self._resources.close()
        finally:
            if self._begun and self._part.exists():  # where it could not be made, it cannot be removed either
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


def _is_sized(type: pa.DataType) -> bool:
    import pyarrow as pa

    return type in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _simple(type: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_decimal(type) or pa.types.is_null(type))


class _Parquet:
    """Row groups of `ROW_GROUP` rows, or as many as have `PIECE_BYTES` of text, however the tables are cut."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, schema: pa.Schema, path: Path) -> None:
        import pyarrow.parquet as pq

        self._waiting: list[pa.Table] = []
        self._rows = self._text = 0
        self._texts = [field.name for field in schema if _is_sized(field.type)]
        self._writer = pq.ParquetWriter(file, schema, compression="zstd", compression_level=1, version="2.6")

    def write(self, table: pa.Table) -> None:
        while len(table):
            part = table.slice(0, ROW_GROUP - self._rows)
            ends = self._ends(part)
            fitting = int(np.searchsorted(ends, PIECE_BYTES - self._text, side="right"))
            if self._rows == 0:
                fitting = max(fitting, 1)
            if fitting:
                self._waiting.append(part.slice(0, fitting))
                self._rows, self._text = self._rows + fitting, self._text + int(ends[fitting - 1])
                table = table.slice(fitting)
            if self._rows == ROW_GROUP or fitting < len(part):
                self._flush()

    def _ends(self, table: pa.Table) -> npt.NDArray[np.int64]:
        """Of n rows, the bytes of text up to and with each (n,)."""
        import pyarrow.compute as pc

        sizes = np.zeros(len(table), dtype=np.int64)
        for name in self._texts:
            sizes += pc.fill_null(pc.binary_length(table.column(name)), 0).to_numpy()
        return np.cumsum(sizes)

    def _flush(self) -> None:
        import pyarrow as pa

        # One chunk a column: page borders follow chunk borders.
        self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks(), row_group_size=ROW_GROUP)
        self._waiting, self._rows, self._text = [], 0, 0

    def close(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()
