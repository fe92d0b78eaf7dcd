"""Readers of table files: CSV, parquet, JSON lines. Each yields tables of at most a few megabytes, in file order.

A reader never guesses past damage: what is not UTF-8, ragged, empty or ambiguous is one `InputError` with file and
line, which never quotes a row: what it holds may be private. CSV and JSON text stay as they are (`NA` is text); an
empty CSV field is missing. Types are the contract's business.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from lockstep.errors import InputError
from lockstep.rows.columns import array_of, plain, refuse_twins
from lockstep.rows.tables import ROW_GROUP

if TYPE_CHECKING:
    import pyarrow as pa

Open = Callable[[], IO[bytes]]
"""Opens the file anew, at its start, unpacked."""

Types = Mapping[str, "pa.DataType"]

BLOCK = 1 << 20
"""Bytes of CSV parsed at a time, and the longest value. Arrow reads some blocks ahead, all of them in memory."""


def read_csv(open_file: Open, where: str, types: Types | None = None) -> Iterator[pa.Table]:
    """CSV with a header, separated by commas; every column is text.

    The first reading (without `types`) also makes sure that quotes are what they seem.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = _header(open_file, where)
    ragged: list[Any] = []

    def refuse(row: Any) -> str:
        ragged.append(row)
        return "error"

    rows, quoted_breaks = 0, False
    with open_file() as file:
        try:
            reader = arrow_csv.open_csv(
                file,
                read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={name: pa.string() for name in names}, strings_can_be_null=True, null_values=[""]
                ),
            )
            for batch in reader:
                rows += len(batch)
                quoted_breaks = quoted_breaks or (types is None and _has_breaks(batch))
                yield pa.Table.from_batches([batch])
        except pa.ArrowInvalid as error:
            _explain_csv(open_file, where, ragged, error)
    if quoted_breaks:
        _check_quotes(open_file, where)
    if not rows:
        raise InputError(f"{where}: has a header and no rows")


def _header(open_file: Open, where: str) -> list[str]:
    with open_file() as file:
        try:
            names = next(csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline="")), None)
        except UnicodeDecodeError:
            _refuse_encoding(open_file, where)
        except csv.Error as error:
            raise InputError(f"{where}, line 1: {error}") from error
    if not names:
        raise InputError(
            f"{where}: is empty" if names is None else f"{where}, line 1: expected column names, found an empty line"
        )
    refuse_twins(names, f"{where}, line 1")
    if "" in names:
        raise InputError(
            f"{where}, line 1: column {names.index('') + 1} has no name (pandas writes such a one without index=False)"
        )
    return names


def _has_breaks(batch: pa.RecordBatch) -> bool:
    import pyarrow.compute as pc

    return any(pc.any(pc.match_substring(column, "\n")).as_py() for column in batch.columns)


def _check_quotes(open_file: Open, where: str) -> None:
    """A quote that is never closed would swallow rows into one value: read again, with a parser that minds."""
    with open_file() as file:
        reader = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
        begins = 1
        try:
            for _ in reader:
                begins = reader.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"{where}, line {begins}: a quoted value that begins here does not end as it should ({error})"
            ) from error


def _explain_csv(open_file: Open, where: str, ragged: list[Any], error: Exception) -> NoReturn:
    if ragged:
        row = ragged[0]
        found = f"expected {row.expected_columns} fields, found {row.actual_columns}"
        raise InputError(f"{where}, row {row.number} (the header is row 1): {found}") from error
    if "invalid UTF8" in str(error):
        _refuse_encoding(open_file, where)
    if "straddling" in str(error):
        raise InputError(f"{where}: a value is longer than {BLOCK:,} bytes; is a quote never closed?") from error
    raise InputError(f"{where}: cannot be read as CSV; is a quote never closed?") from error


def _refuse_encoding(open_file: Open, where: str) -> NoReturn:
    """Name the first line that is not UTF-8."""
    with open_file() as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise InputError(f"{where}: is not UTF-8 but UTF-16; save it as UTF-8")
            try:
                line.decode()
            except UnicodeDecodeError as error:
                found = f"byte 0x{line[error.start]:02x} at position {error.start + 1}"
                raise InputError(f"{where}, line {number}: is not UTF-8 ({found}); save the file as UTF-8") from error
    raise InputError(f"{where}: is not UTF-8")


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
