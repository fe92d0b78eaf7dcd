"""YAML with positions, and scalars on which its readers disagree."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lockstep.errors import InputError
from lockstep.spec import scalars
from lockstep.spec.yaml_source import Document, read_document

AGREED = [
    "true",
    "True",
    "TRUE",
    "false",
    "False",
    "FALSE",
    "null",
    "Null",
    "NULL",
    "~",
    "0",
    "1",
    "-1",
    "+1",
    "12",
    "-0",
    "0x1F",
    "0xff",
    "1.",
    "1.5",
    "-1.5",
    "+1.5",
    ".5",
    "0.0",
    "0.",
    "1.0e+3",
    "1.0e-3",
    "1.e+3",
    ".5e+3",
    "01.5",
    ".inf",
    "-.inf",
    "+.inf",
    ".Inf",
    ".INF",
    "y",
    "n",
    "Y",
    "N",
    "tRue",
    "nULL",
    "inf",
    "nan",
    "NaN",
    "LGA",
    "--",
    "a-b",
    "2013-01",
    "1,000",
    "0.1.2",
    "1:60",
    "12:3x",
    "0x",
    "0b",
    "e3",
    "1e",
    "1e+",
    "_1",
    "v1.2",
    "1/2",
    "50%",
    "3-months",
    "1-1-2013",
    "2013/01/01",
    "12h",
    "1_a",
]

REFUSED = [
    "yes",
    "Yes",
    "YES",
    "no",
    "No",
    "NO",
    "on",
    "On",
    "ON",
    "off",
    "Off",
    "OFF",
    "010",
    "08",
    "01",
    "00",
    "007",
    "0o10",
    "0o7",
    "+0o7",
    "+010",
    "0b11",
    "-0x1F",
    "1_000",
    "1_0.5",
    "+_1",
    "-_1",
    "-_",
    "1e3",
    "1e-3",
    "1E5",
    "+1e3",
    "0e0",
    "1.0e3",
    "1.2E5",
    ".5e3",
    "+.5",
    "-.5",
    "-.5e+3",
    "12:30",
    "12:30:00",
    "190:20:30",
    "1:2.5",
    "2013-01-01",
    "2013-1-1",
    "2013-01-01T06:00:00",
    "2013-01-01T06:00:00Z",
    "<<",
    "=",
    ".nan",
    ".NaN",
    ".NAN",
    "1e400",
    "0x_1",
    "0b_",
    "._",
    "1__0",
    "5_",
]


def everyones(text: str) -> list[Any]:
    """What PyYAML and both loaders that DVC uses make of a value; an exception's type where they fail."""
    return [_read(read, text) for read in (yaml.safe_load, YAML(typ="safe", pure=True).load, YAML(typ="rt").load)]


def _read(read: Any, text: str) -> Any:
    try:
        return read(f"key: {text}\n")["key"]
    except Exception as error:  # noqa: BLE001
        return type(error)


def same(values: list[Any]) -> bool:
    """Whether all are equal and of one kind; ruamel's round-trip scalars are subclasses of Python's."""
    first = values[0]
    kinds = (bool, int, float, str, type(None))
    kind = next(kind for kind in kinds if isinstance(first, kind))
    return all(
        isinstance(value, kind) and isinstance(value, bool) == (kind is bool) and value == first for value in values
    )


@pytest.mark.parametrize("text", AGREED)
def test_an_accepted_scalar_means_the_same_to_every_reader(text: str) -> None:
    assert scalars.disagreement(text) is None
    assert same([scalars.value(text), *everyones(text)])


@pytest.mark.parametrize("text", REFUSED)
def test_a_scalar_on_which_readers_disagree_is_refused_as_value_and_as_key(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, f"a:\n  b: {text}\n") == [f"2: a.b: {scalars.disagreement(text)}"]
    assert problems(tmp_path, f"a:\n  {text}: b\n") == [f"2: a.{text}: {scalars.disagreement(text)}"]
    assert problems(tmp_path, f'a:\n  b: "{text}"\n') == []


@given(
    st.text(alphabet="0123456789+-._eExXobn:TZaf =<", min_size=1, max_size=10).filter(lambda text: text == text.strip())
)
@settings(max_examples=600, deadline=None)
def test_whatever_looks_like_a_number_is_read_alike_or_refused(text: str) -> None:
    read = everyones(text)
    if scalars.disagreement(text) is None and not any(isinstance(value, type | dict) for value in read):
        assert same([scalars.value(text), *read]), (text, read)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("1e-3", "Write 0.001,"),
        ("1E-20", "Write 1.0e-20,"),
        ("1e5", "Write 100000.0,"),
        ("010", "Write 10,"),
        ("0o10", "Write 8,"),
        ("1_000", "Write 1000,"),
        ("+.5", "Write 0.5,"),
        ("yes", "Write true,"),
        ("Off", "Write false,"),
        ("12:30:00", 'Write "12:30:00" in quotes.'),
        ("2013-01-01", 'Write "2013-01-01" in quotes.'),
        ("1e400", "Write a number that is not so large,"),
    ],
)
def test_the_right_spelling_is_told_and_is_itself_right(text: str, advice: str) -> None:
    said = scalars.disagreement(text)
    assert said is not None
    assert advice in said
    spelling = advice.removeprefix("Write ").removesuffix(",").removesuffix(" in quotes.")
    assert scalars.disagreement(spelling) is None
    assert same(everyones(spelling))


def test_the_unquoted_date_is_what_stops_dvc() -> None:
    assert all(isinstance(value, dt.date) for value in everyones("2013-01-01"))


def test_infinity_is_a_number() -> None:
    assert scalars.value("-.inf") == -math.inf


def document(folder: Path, content: str | bytes) -> Document:
    path = folder / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_document(path)


def problems(folder: Path, content: str | bytes) -> list[str]:
    found = document(folder, content)
    return [problem.sentence("").removeprefix(":") for problem in sorted(found.problems)]


def failure(folder: Path, content: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        document(folder, content)
    return str(caught.value).replace(f"{folder}/", "")


def test_every_key_knows_its_place_and_that_of_its_value(tmp_path: Path) -> None:
    found = document(tmp_path, "a:\n  b: [x,\n    {c: 1}]\n  d:\n    e\n")
    assert found.data == {"a": {"b": ["x", {"c": 1}], "d": "e"}}
    place = found.places["a", "b", 1, "c"]
    assert (place.line, place.column, place.value_line, place.value_column) == (3, 6, 3, 9)
    assert (found.places["a", "d"].line, found.places["a", "d"].value_line) == (4, 5)


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n") == [
        "4: b.c: the key is given twice, first on line 3. Keep one.",
        "5: a: the key is given twice, first on line 1. Keep one.",
    ]


def test_a_key_that_is_not_text_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, "2024: x\n") == ['1: 2024: a key must be text. Write "2024" in quotes.']
    assert problems(tmp_path, "true: x\n") == ['1: true: a key must be text. Write "true" in quotes.']
    assert problems(tmp_path, "? [a, b]\n: x\n") == ["1: a key must be text."]


@pytest.mark.parametrize(
    "value", ["!!str 12", "!!python/name:os.system x", "!mine x", "!!set {a}", '!!int "3"', "!!float 3"]
)
def test_tags_are_refused(value: str, tmp_path: Path) -> None:
    (said,) = problems(tmp_path, f"a: {value}\n")
    assert "is not understood. Write the value without it" in said


def test_aliases_are_read_and_one_that_holds_itself_is_refused(tmp_path: Path) -> None:
    assert document(tmp_path, "a: &x [1]\nb: *x\n").data == {"a": [1], "b": [1]}
    assert problems(tmp_path, "a: &x [*x]\n") == ["1: a[0]: an alias that holds itself. Write the value out."]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nb: M\xfcnchen\n", "params.yaml:2: the text is not UTF-8. Save the file as UTF-8."),
        ("a:\n\tb: 1\n", "params.yaml:2: a tab. YAML is indented with spaces: replace the tab."),
        ("a: b: c\n", "params.yaml:1: not YAML: a colon where none may stand."),
        ("a: [1,\n  2\nb: 3\n", "params.yaml:3: not YAML:"),
        ('a: "x\nb: 1\n', "params.yaml:1: a quote that is opened is never closed."),
        ("a: *x\n", "params.yaml:1: an alias without its anchor."),
        ("a: @x\n", "params.yaml:1: not YAML: a text that begins with a special character needs quotes."),
        ("a: 1\n---\nb: 2\n", "params.yaml:2: a second document begins here."),
        ("%YAML 1.1\n---\na: yes\n", "params.yaml:1: a line that begins with % changes how YAML is read. Delete it."),
        ("a: 1\nb: \x07\n", "params.yaml:2: the character 0x0007 may not stand in YAML."),
        ("a: 1\nb: x\u2028c: 2\n", "params.yaml:2: the character 0x2028 may not stand in YAML."),
        ("", "params.yaml:1: the file holds no keys and values."),
        ("# only a comment\n", "params.yaml:1: the file holds no keys and values."),
        ("- a\n", "params.yaml:1: the file holds no keys and values."),
    ],
)
def test_what_cannot_be_read_is_named_by_line(content: str | bytes, said: str, tmp_path: Path) -> None:
    assert failure(tmp_path, content).startswith(said)


def test_a_missing_file_says_where_to_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: no such file\. Run this where params\.yaml is"):
        read_document(tmp_path / "params.yaml")


def test_a_folder_in_its_place_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_document(tmp_path / "params.yaml")


def test_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    assert document(tmp_path, b"\xef\xbb\xbfa: 1\n").data == {"a": 1}


def test_a_file_inside_the_current_folder_is_named_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert document(tmp_path.resolve(), "a: 1\n").file == "params.yaml"
