"""Tables at rest: parquet whose bytes follow from its rows alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from lockstep.errors import InputError
from lockstep.rows.columns import table_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ROW_GROUP = 65_536
"""Rows in a row group, and in a batch while reading: what bounds memory."""


def md5_of(path: Path) -> str:
    """Hex md5 of a file's bytes, the hash that DVC uses."""
    return md5_of_file(path.open("rb"))


def md5_of_file(file: IO[bytes]) -> str:
    """Hex md5 of what an open file still holds; closes it."""
    digest = hashlib.md5(usedforsecurity=False)
    with file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class ParquetWriter:
    """Writes tables one after another into one file whose bytes do not depend on how the rows were cut into tables.

    Memory: one row group. The file carries no pandas metadata and no arrow schema, only pyarrow's own version.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self.rows = 0
        self._schema = schema.remove_metadata()
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", compression_level=3, store_schema=False, version="2.6"
        )

    def write(self, table: pa.Table) -> None:
        """Add rows; columns in any order, cast to the writer's schema."""
        table = table.select(self._schema.names).cast(self._schema)
        self.rows += len(table)
        while len(table):
            room = ROW_GROUP - self._waiting_rows
            self._waiting.append(table.slice(0, room))
            self._waiting_rows += min(room, len(table))
            table = table.slice(room)
            if self._waiting_rows == ROW_GROUP:
                self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            # One chunk a column: page borders follow chunk borders.
            self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks(), row_group_size=ROW_GROUP)
        self._waiting, self._waiting_rows = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.close()


def write_parquet(data: pa.Table | pd.DataFrame, path: Path) -> int:
    """Write a table or data frame; the same rows give the same bytes. Returns the number of rows."""
    import pyarrow as pa

    table = data if isinstance(data, pa.Table) else table_of(data, str(path.name))
    with ParquetWriter(path, table.schema) as writer:
        writer.write(table)
    return writer.rows


def write_all(tables: Iterable[pa.Table], path: Path) -> int:
    """Write tables, at least one and all of one schema, into one file, a row group in memory. Returns the rows."""
    rest = iter(tables)
    first = next(rest)
    with ParquetWriter(path, first.schema) as writer:
        writer.write(first)
        del first
        for table in rest:
            writer.write(table)
    return writer.rows


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A parquet file as a table. Raises `InputError` when it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as parquet ({error})") from error


def read_frame(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A parquet file as a data frame: pandas' own types; whole numbers with gaps are float64, beyond 2^53 Int64."""
    return frame_of(read_table(path, columns))


def frame_of(table: pa.Table) -> pd.DataFrame:
    """A table as a data frame; see `read_frame`."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    frame: pd.DataFrame = table.to_pandas()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_integer(column.type) and column.null_count:
            extremes = pc.min_max(column).as_py()
            if any(abs(value) > 2**53 for value in extremes.values() if value is not None):
                frame[name] = pd.array(column.to_pylist(), dtype="Int64")
    return frame
