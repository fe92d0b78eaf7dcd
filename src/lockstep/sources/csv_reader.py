"""CSV as it stands: every value is text, an empty field is missing.

What is not UTF-8, empty, or has quotes that never close is one `InputError` with file and line, which never quotes a
row: what it holds may be private.
"""

from __future__ import annotations

import atexit
import codecs
import csv
import io
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from lockstep.errors import InputError
from lockstep.rows.columns import refuse_twins

if TYPE_CHECKING:
    import pyarrow as pa

Open = Callable[[], IO[bytes]]
"""Opens the file anew, at its start, unpacked."""

Types = Mapping[str, "pa.DataType"]

BLOCK = 1 << 20
"""Bytes of CSV parsed at a time, and the longest value. Arrow reads some blocks ahead, all of them in memory."""

MOST = 64 << 20
"""Bytes of rows of another length that wait for their block, each with its `ROW` bytes of Python."""

ROW = 300

PATIENCE = 5.0
"""Seconds in which arrow should have let go of a file."""

Ragged = dict[int, str]
"""Rows (from 0) that have more or fewer fields than the header, and the sentence that says so."""


def read_csv(
    open_file: Open, where: str, types: Types | None = None, *, ragged: Ragged | None = None
) -> Iterator[pa.Table]:
    """CSV with a header, separated by commas; every column is text.

    The first reading (without `types`) also makes sure that quotes are what they seem. A row with more or fewer fields
    than the header is an error; but with `ragged` it is entered there, before its table is yielded, in which it stands
    with the fields that it has: those that it lacks are missing, those beyond the last column are left out.
    """
    import pyarrow as pa

    csv.field_size_limit(BLOCK)
    names = _header(open_file, where)
    odd = _OddRows(names, where, ragged)
    rows, quoted_breaks = 0, False
    with open_file() as file:
        try:
            with _Reading(file, names, odd.skip) as batches:
                for batch in batches:
                    table = odd.put_back(pa.Table.from_batches([batch]), rows)
                    rows += len(table)
                    quoted_breaks = quoted_breaks or (types is None and _has_breaks(table))
                    yield table
        except pa.ArrowInvalid as error:
            odd.refuse()
            _explain(open_file, where, error)
        # Rows after the last one that arrow took.
        if len(table := odd.put_back(odd.none(), rows)):
            rows += len(table)
            yield table
    if quoted_breaks:
        _check_quotes(open_file, where)
    if not rows:
        raise InputError(f"{where}: has a header and no rows")


class _Reading:
    """Arrow's reading of a file, which goes on in a thread of its own, further ahead than it is asked for.

    Were Python to end while that thread is in it, the process would abort. So however this ends, even with the program,
    it waits until arrow has let go of all that it was given of Python.
    """

    def __init__(self, file: IO[bytes], names: list[str], skip: Callable[[Any], str]) -> None:
        self._file, self._names, self._skip = file, names, skip
        self._lock = Lock()
        self._ended = False
        self._reader: Any = None
        self._lent: list[weakref.ref[Any]] = []

    def __enter__(self) -> Iterator[pa.RecordBatch]:
        atexit.register(self._end)
        try:
            self._reader = self._opened()
        except BaseException:
            self._end()
            raise
        return self._batches()

    def _opened(self) -> Any:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        texts = {name: pa.string() for name in self._names}
        return arrow_csv.open_csv(
            self._lend(_Feed(self._read)),
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=self._lend(_Handler(self._skip))
            ),
            convert_options=arrow_csv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=[""]),
        )

    def _lend(self, thing: Any) -> Any:
        """For arrow alone to hold: not even a variable of ours, which an error would keep."""
        self._lent.append(weakref.ref(thing))
        return thing

    def _batches(self) -> Iterator[pa.RecordBatch]:
        # Not `for batch in self._reader`, which would hold the reader as long as this is.
        while True:
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                return
            yield batch

    def _read(self, size: int) -> bytes:
        with self._lock:
            return b"" if self._ended else self._file.read(size)

    def _end(self) -> None:
        with self._lock:
            self._ended = True
        self._reader = None
        until = time.monotonic() + PATIENCE
        while any(lent() is not None for lent in self._lent) and time.monotonic() < until:
            time.sleep(0.001)
        atexit.unregister(self._end)

    def __exit__(self, *about: object) -> None:
        self._end()


class _Feed:
    """What arrow asks of a file."""

    closed = False

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


class _Handler:
    """What arrow calls for a row of another length."""

    def __init__(self, skip: Callable[[Any], str]) -> None:
        self._skip = skip

    def __call__(self, row: Any) -> str:
        return self._skip(row)


class _OddRows:
    """Rows of another length than the header. Arrow skips each, and tells of it before it yields its block."""

    def __init__(self, names: list[str], where: str, ragged: Ragged | None) -> None:
        self._names, self._where, self._ragged = names, where, ragged
        self._skipped: deque[Any] = deque()
        self._waiting = 0

    def skip(self, row: Any) -> str:
        """What arrow calls."""
        self._skipped.append(row)
        self._waiting += len(row.text) + ROW
        return "skip" if self._ragged is not None and self._waiting <= MOST else "error"

    def refuse(self) -> None:
        """Raise `InputError` for the first of them, where they are an error."""
        for row in self._skipped:
            if self._ragged is None:
                raise self._error(row, "")
            # A quote that never closes has swallowed what follows.
            if "\n" in row.text.strip():
                raise self._error(row, "; is a quote never closed?")
        if self._waiting > MOST:
            raise self._error(self._skipped[0], ", and so on; are the columns separated by commas?")

    def _error(self, row: Any, more: str) -> InputError:
        return InputError(f"{self._where}, row {row.number} (the header is row 1): {_sentence(row)}{more}")

    def put_back(self, table: pa.Table, first: int) -> pa.Table:
        """The table, whose first row is the file's row `first` (from 0), with the skipped rows that belong into it."""
        import numpy as np
        import pyarrow as pa

        self.refuse()
        due = list(self._due(len(table), first))
        if not due:
            return table
        order = np.insert(np.arange(len(table)), [at for at, _ in due], len(table) + np.arange(len(due)))
        odd = self._as_table([row.text for _, row in due])
        return pa.concat_tables([table, odd]).combine_chunks().take(pa.array(order))

    def _due(self, taken: int, first: int) -> Iterator[tuple[int, Any]]:
        """The skipped rows among `taken` rows that arrow took, each with the number of those before it.

        Arrow may be some blocks ahead: what it skips there comes later.
        """
        put = 0
        while self._skipped and (at := self._skipped[0].number - 2 - first - put) <= taken:
            row = self._skipped.popleft()
            self._waiting -= len(row.text) + ROW
            cast(Ragged, self._ragged)[first + at + put] = _sentence(row)
            put += 1
            yield at, row

    def none(self) -> pa.Table:
        """No rows."""
        return self._as_table([])

    def _as_table(self, texts: list[str]) -> pa.Table:
        import pyarrow as pa

        rows = [next(csv.reader([text]), []) for text in texts]
        columns = [[(row[at] or None) if at < len(row) else None for row in rows] for at in range(len(self._names))]
        return pa.table([pa.array(column, pa.string()) for column in columns], names=self._names)


def _sentence(row: Any) -> str:
    return f"expected {row.expected_columns} fields, found {row.actual_columns}"


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


def _explain(open_file: Open, where: str, error: Exception) -> NoReturn:
    if "Empty CSV file" in str(error):  # a header without a line break
        raise InputError(f"{where}: has a header and no rows") from error
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
