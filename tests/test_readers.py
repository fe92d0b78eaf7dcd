from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import InputError
from lockstep.sources import csv_reader, readers


def rows(content: bytes, name: str = "a.csv") -> list[dict[str, object]]:
    return [row for table in readers.read(lambda: io.BytesIO(content), name) for row in table.to_pylist()]


def test_every_csv_value_is_text_and_only_an_empty_field_is_missing() -> None:
    assert rows(b'a,b,c\n01,NA,""\nnull,,1e5\n') == [
        {"a": "01", "b": "NA", "c": None},
        {"a": "null", "b": None, "c": "1e5"},
    ]


def test_csv_may_hold_line_breaks_a_byte_order_mark_and_windows_line_ends() -> None:
    assert rows(b'\xef\xbb\xbfa,b\r\n"x\ny",2\r\n3,"say ""hi"""') == [
        {"a": "x\ny", "b": "2"},
        {"a": "3", "b": 'say "hi"'},
    ]


def test_gzip_is_unpacked() -> None:
    assert rows(gzip.compress(b"a\n1\n"), "a.csv.gz") == [{"a": "1"}]
    assert rows(gzip.compress(b'{"a": 1}\n'), "a.jsonl.gz") == [{"a": 1}]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "a.csv: is empty"),
        (b"\n1,2\n", "line 1: expected column names"),
        (b"a,b\n", "has a header and no rows"),
        (b"a,b", "has a header and no rows"),
        (b"a,b\n1,2\n3\n", r"row 3 \(the header is row 1\): expected 2 fields, found 1$"),
        (b"a,b\n1,2\n3,4,5\n", "row 3 .* expected 2 fields, found 3$"),
        (b"a,b,a\n1,2,3\n", "line 1: columns 1 and 3 are both named `a`"),
        (b",b\n1,2\n", "line 1: column 1 has no name"),
        (b"a,b\n1,2\n3,\xe9t\xe9\n", "line 3: is not UTF-8 .byte 0xe9 at position 3"),
        (b"\xe9,b\n1,2\n", "line 1: is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8 but UTF-16"),
        (b'a,b\n1,2\n3,"4\n5,6\n7,8\n', "line 3: a quoted value that begins here does not end as it should"),
        (b'a,b\n1,"2\n3,"4\n5,6\n', "line 2: a quoted value that begins here does not end as it should"),
        (b'a,b\n1,2\n"3,4\n5,6\n', "row 3"),
        (b"a,b\n1," + b"x" * 3_000_000 + b"\n", "a value is longer than"),
    ],
)
def test_a_bad_csv_is_one_error_with_its_place(content: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        rows(content)


def lenient(content: bytes) -> tuple[list[dict[str, object]], csv_reader.Ragged]:
    ragged: csv_reader.Ragged = {}
    tables = csv_reader.read_csv(lambda: io.BytesIO(content), "a.csv", ragged=ragged)
    return [row for table in tables for row in table.to_pylist()], ragged


def test_rows_of_another_length_stand_where_they_were_when_they_are_asked_for() -> None:
    found, ragged = lenient(b"a,b\n" + b'1,2\n3\n\n"x,y",5,6\n7,8\n' * 100_000 + b"9\n")
    one = [{"a": "1", "b": "2"}, {"a": "3", "b": None}, {"a": "x,y", "b": "5"}, {"a": "7", "b": "8"}]
    assert found == one * 100_000 + [{"a": "9", "b": None}]
    assert [*ragged] == [row for row in range(400_000) if row % 4 in (1, 2)] + [400_000]
    assert {*ragged.values()} == {"expected 2 fields, found 1", "expected 2 fields, found 3"}


def test_a_long_value_in_a_row_of_another_length_is_a_value() -> None:
    found, ragged = lenient(b'a,b\n1,"a\nb"\n' + b"x" * 900_000 + b"\n")
    assert ([len(str(row["a"])) for row in found], [*ragged]) == ([1, 900_000], [1])


def test_rows_of_another_length_without_end_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "MOST", 100_000)
    with pytest.raises(InputError, match=r"row 2 .* found 1, and so on; are the columns separated by commas\?$"):
        lenient(b"a,b\n" + b"1;2\n" * 1000)


SLOW = """
import io, sys, time
from lockstep.errors import InputError, exit_code
from lockstep.sources import readers

good = b"a,b\\n" + b"1,2\\n" * 600_000
content = {
    "first": b"a,b\\n3\\n" + good,
    "late": good + b"3\\n" + good,
    "encoding": good[:20_000] + b"\\xff,\\xff\\n" + good,
}

class Slow(io.BytesIO):
    def read(self, size=-1):
        time.sleep(0.1)
        return super().read(size)

def main():
    reading = readers.read(lambda: Slow(content.get(sys.argv[1], good)), "a.csv")
    if sys.argv[1] == "never left":
        kept.append(reading)
    for table in reading:
        if sys.argv[1] not in content:
            raise InputError("a.csv: enough")

kept = []
sys.exit(exit_code(main))
"""


@pytest.mark.parametrize("trouble", ["first", "late", "encoding", "consumer", "never left"])
def test_a_program_that_stops_in_the_middle_of_a_slow_file_ends_with_its_own_exit_code(trouble: str) -> None:
    """Arrow reads ahead in a thread; a Python that ended meanwhile would abort, with 134 and a dump of its state."""
    done = subprocess.run([sys.executable, "-c", SLOW, trouble], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("error: a.csv")


@pytest.mark.parametrize("cut", [5, 12, -3])
def test_a_gzip_file_that_was_cut_short_is_an_error(cut: int) -> None:
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    with pytest.raises(InputError, match=r"a\.csv\.gz: is cut short"):
        rows(whole[:cut], "a.csv.gz")


def test_json_lines_keep_their_types_and_mixtures_widen() -> None:
    content = b'{"a": 1, "b": "x", "c": true}\n\n{"a": 2.5, "b": 3, "d": null}\n'
    assert rows(content, "a.jsonl") == [
        {"a": 1.0, "b": "x", "c": True, "d": None},
        {"a": 2.5, "b": "3", "c": None, "d": None},
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b'{"a": 1}\n{"a": \n', r"a\.jsonl, line 2: is not JSON \(Expecting value at position \d+\)$"),
        (b'{"a": 1}\n[1]\n', "line 2: expected an object .*, found a list$"),
        (b'{"a": 1}\n{}\n', "line 2: expected an object .*, found an empty one$"),
        (b'{"a": ' + b"7" * 5000 + b"}", "line 1: holds a number that is too long"),
        (b'{"a": 1}\n{"a": [1]}\n', "line 2: column `a` is nested"),
        (b'{"a": 1, "b": 2, "a": 3}\n', "line 1: columns 1 and 3 are both named `a`"),
        (b'{"a": "\xe9"}\n', "line 1: is not UTF-8"),
    ],
)
def test_bad_json_lines_are_one_error_with_their_place(content: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        rows(content, "a.jsonl")


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([1, 2], pa.int32()), "b": pa.array(["x", None]).dictionary_encode()})
    pq.write_table(table, tmp_path / "a.parquet")
    (found,) = readers.read(lambda: (tmp_path / "a.parquet").open("rb"), "a.parquet")
    assert [str(kind) for kind in found.schema.types] == ["int32", "string"]


def test_bad_parquet_is_one_error_with_its_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [[1]]}), tmp_path / "nested.parquet")
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "twins.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    for content, sentence in (
        (b"PAR1 no", "cannot be read as parquet"),
        (b"", "cannot be read as parquet"),
        ((tmp_path / "nested.parquet").read_bytes(), "column `a` holds list"),
        ((tmp_path / "twins.parquet").read_bytes(), "columns 1 and 2 are both named `a`"),
        ((tmp_path / "none.parquet").read_bytes(), "has columns and no rows"),
    ):
        with pytest.raises(InputError, match=sentence):
            rows(content, "a.parquet")


def test_a_kind_of_file_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"a\.xlsx: unknown kind of file; the name must end in one of \.csv, "):
        rows(b"", "a.xlsx")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"a,b\n1,2\nsecret\n"),
        ("a.csv", b'a,b\n1,2\n"secret,4\n5,6\n'),
        ("a.csv", b"a,b\n1,secret\xe9\n"),
        ("a.jsonl", b'{"a": secret}\n'),
        ("a.jsonl", b'"secret"\n'),
        ("a.jsonl", b'{"a": ["secret"]}\n'),
    ],
)
def test_an_error_never_quotes_what_a_row_holds_for_it_may_be_private(name: str, content: bytes) -> None:
    with pytest.raises(InputError) as caught:
        rows(content, name)
    assert "secret" not in str(caught.value)
