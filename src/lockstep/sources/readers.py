"""Readers of table files: CSV, parquet, JSON lines. Each yields tables of at most a few megabytes, in file order.

A reader never guesses past damage: what is not UTF-8, ragged, empty or ambiguous is one `InputError` with file and
line, which never quotes a row: what it holds may be private. CSV and JSON text stay as they are (`NA` is text); an
empty CSV field is missing. Types are the contract's business.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, cast

from lockstep.errors import InputError
from lockstep.rows.columns import array_of, plain, refuse_twins
from lockstep.rows.tables import ROW_GROUP
from lockstep.sources.csv_reader import Open, Types, read_csv

if TYPE_CHECKING:
    import pyarrow as pa


def read_jsonl(open_file: Open, where: str, types: Types | None = None) -> Iterator[pa.Table]:
    """One JSON object a line; with `types`, columns of those types, otherwise of the narrowest that hold the batch."""
    rows: list[dict[str, Any]] = []
    seen = False
    with open_file() as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                rows.append(_object(line, f"{where}, line {number}"))
            if len(rows) == ROW_GROUP:
                yield _table(rows, where, types)
                rows, seen = [], True
    if rows:
        yield _table(rows, where, types)
    elif not seen:
        raise InputError(f"{where}: is empty")


_JSON_KINDS = {
    dict: "an empty one", list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false",
    type(None): "null",
}  # fmt: skip


def _object(line: bytes, where: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(pairs) != len(dict(pairs)):
            refuse_twins([name for name, _ in pairs], where)
        return dict(pairs)

    try:
        value = json.loads(line.decode("utf-8-sig"), object_pairs_hook=once)
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not UTF-8 ({error.reason})") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: is not JSON ({error.msg} at position {error.pos + 1})") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise InputError(f"{where}: holds a number that is too long to be read") from error
    if not isinstance(value, dict) or not value:
        found = _JSON_KINDS[type(value)]
        raise InputError(f'{where}: expected an object like {{"column": value, …}}, found {found}')
    for name, item in value.items():
        if isinstance(item, (list, dict)):
            raise InputError(
                f"{where}: column `{name}` is nested; a value must be a single text, number, true/false or null"
            )
    return value


def _table(rows: list[dict[str, Any]], where: str, types: Types | None) -> pa.Table:
    import pyarrow as pa

    names = list({name: None for row in rows for name in row})
    arrays = [array_of([row.get(name) for row in rows], name, where, types[name] if types else None) for name in names]
    return pa.table(arrays, names=names)


def read_parquet(open_file: Open, where: str, types: Types | None = None) -> Iterator[pa.Table]:
    """A parquet file, batch by batch; its types are kept as far as we have them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    with open_file() as file:
        try:
            opened = pq.ParquetFile(file)
            refuse_twins(opened.schema_arrow.names, where)
            for batch in opened.iter_batches(ROW_GROUP, use_threads=False):
                rows += len(batch)
                yield plain(pa.Table.from_batches([batch]), where)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{where}: cannot be read as parquet ({error})") from error
    if not rows:
        raise InputError(f"{where}: has columns and no rows")


Reader = Callable[[Open, str, "Types | None"], Iterator["pa.Table"]]

READERS: dict[str, Reader] = {
    ".csv": read_csv,
    ".csv.gz": read_csv,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".jsonl": read_jsonl,
    ".jsonl.gz": read_jsonl,
    ".ndjson": read_jsonl,
    ".ndjson.gz": read_jsonl,
    ".json": read_jsonl,
}
"""What a file's name must end in to be read, and by what."""


def suffix_of(name: str) -> str | None:
    """The known ending of a file's name, or nothing."""
    return next((suffix for suffix in sorted(READERS, key=len, reverse=True) if name.lower().endswith(suffix)), None)


def read(open_raw: Open, where: str, types: Types | None = None) -> Iterator[pa.Table]:
    """Tables of one file, chosen by its name's ending, in file order."""
    suffix = suffix_of(where)
    if suffix is None:
        raise InputError(f"{where}: unknown kind of file; the name must end in one of {', '.join(READERS)}")

    def open_file() -> IO[bytes]:
        raw = open_raw()
        if not suffix.endswith(".gz"):
            return raw
        unpacked = gzip.GzipFile(fileobj=raw, mode="rb")
        unpacked.myfileobj = cast(Any, raw)  # closing it closes the file below it
        return cast(IO[bytes], unpacked)

    try:
        yield from READERS[suffix](open_file, where, types)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{where}: is cut short or not gzip ({error})") from error
