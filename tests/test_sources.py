from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from lockstep.errors import InputError, OutsideError
from lockstep.sources import kinds as sources
from lockstep.sources.filesource import FilesSource
from lockstep.sources.partitions import Manifest
from lockstep.sources.places import places
from lockstep.spec import Ingest

WINDOW = {"from": "2013-01-01", "until": "2013-03-01"}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def fetch(code: str, time: str | None = "when", **keys: str) -> list[int]:
    """Rows of each partition of a source function whose body is `code`."""
    module = f"own_{uuid.uuid4().hex}"
    Path("src").mkdir()
    Path(f"src/{module}.py").write_text(f"import pandas as pd\n{code}\n", encoding="utf-8")
    ingest = Ingest.model_validate({"source": f"{module}:load", **(keys or WINDOW)})
    source = sources.source_of(ingest, time, Manifest(partitions=[]))
    return [sum(map(len, tables)) for _, tables in source.fetch(source.wanted(), Path(".spool"))]


def body(text: str) -> str:
    return f"def load(start, end):\n    {text}\n"


def test_the_function_is_called_with_the_bounds_of_each_partition() -> None:
    assert fetch(body("return pd.DataFrame({'when': pd.date_range(start, end, inclusive='left')})")) == [31, 28]


def test_a_function_that_raises_is_named_with_what_it_was_asked_and_its_traceback_below() -> None:
    code = "def inner():\n    return {}['rate']\n\n" + body("return inner()")
    with pytest.raises(InputError) as caught:
        fetch(code)
    first, _, below = str(caught.value).partition("\n\n")
    assert first.startswith("The source function `own_")
    assert first.endswith("raised KeyError: 'rate' when asked for 2013-01-01 to 2013-02-01.")
    assert "in inner\n    return {}['rate']" in below
    assert "lockstep" not in below
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_function_that_exits_does_not_end_the_stage_as_if_all_were_well() -> None:
    with pytest.raises(InputError, match="raised SystemExit: 0"):
        fetch(body("raise SystemExit(0)"))


def test_a_stage_that_is_stopped_from_outside_stops() -> None:
    with pytest.raises(SystemExit):
        fetch(body("raise SystemExit(143)"))


def test_a_module_that_raises_when_imported_is_named_with_its_traceback() -> None:
    with pytest.raises(InputError, match=r"(?s)raised ZeroDivisionError.*when it was imported.*1 / 0"):
        fetch("1 / 0")


def test_a_module_with_a_syntax_error_is_named_with_its_line() -> None:
    with pytest.raises(
        InputError, match=r"^ingest\.source: src/own_\w+\.py:2: invalid syntax\. Python cannot read this file"
    ):
        fetch("def load(:")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("flihgts.source:load", "there is no module `flihgts`"),
        ("flights.sauce:load", "there is no module `flights.sauce`"),
        ("flights.source:lode", "module `flights.source` has no function `lode`. Did you mean `load`?"),
    ],
)
def test_a_source_that_does_not_exist_is_named(source: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        sources.source_of(Ingest.model_validate({"source": source, **WINDOW}), "when", Manifest(partitions=[]))


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("return [1]", "returned list, expected a pandas DataFrame"),
        ("pass", "returned NoneType, expected a pandas DataFrame"),
        ("return pd.DataFrame({'whn': [start]})", "has no column `when` .contract.time.. Did you mean `whn`"),
        ("return pd.DataFrame({'when': [3]})", "column `when` .contract.time. holds int64, expected times"),
        (
            "return pd.DataFrame({'when': [start, end, end]})",
            "2 of 3 rows are outside of the bounds .* .0 before, 2 at",
        ),
        ("return pd.DataFrame({'when': ['2012-12-31', '2013-01-01']})", "1 of 2 rows are outside .* .1 before, 0 at"),
        ("return pd.DataFrame([[start, start]], columns=['when', 'when'])", "columns 1 and 2 are both named `when`"),
    ],
)
def test_a_function_that_returns_something_else_than_its_rows_is_refused(code: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        fetch(body(code))


def test_times_may_be_text_and_rows_without_time_stay_for_prepare_to_judge() -> None:
    assert fetch(body("return pd.DataFrame({'when': [start.isoformat(), None, 'x']})")) == [3, 3]


def test_zone_aware_times_are_compared_in_utc() -> None:
    code = "return pd.DataFrame({'when': [pd.Timestamp('2013-01-31 22:00', tz='America/New_York')]})"
    with pytest.raises(InputError, match="1 of 1 rows are outside"):
        fetch(body(code))


def test_exactly_one_kind_of_source_is_named() -> None:
    with pytest.raises(InputError, match="expected exactly one of source, files"):
        sources.source_of(Ingest.model_construct(source=None, files=None), None, Manifest(partitions=[]))


def names(files: str | list[str]) -> list[str]:
    return [place.name for place in places(files)]


def test_files_are_a_folder_a_glob_or_a_list_and_each_is_taken_once_in_order_of_name() -> None:
    for name in ("in/b.csv", "in/a.csv", "in/deep/c.jsonl", "in/.hidden.csv", "in/README.md", "in/d.CSV"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("a\n1\n", encoding="utf-8")
    assert names("in") == ["in/a.csv", "in/b.csv", "in/d.CSV", "in/deep/c.jsonl"]
    assert names("in/*.csv") == ["in/a.csv", "in/b.csv"]
    assert names("in/**/*.jsonl") == ["in/deep/c.jsonl"]
    assert names(["in/b.csv", "in/*.csv", "./in/a.csv"]) == ["in/a.csv", "in/b.csv"]


@pytest.mark.parametrize("entry", ["nothing.csv", "nothing/*.csv", "empty", "memory://nothing/*.csv"])
def test_files_that_match_nothing_are_named(entry: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(InputError, match="matches no file"):
        places(entry)


def test_an_unknown_kind_of_url_is_named() -> None:
    with pytest.raises(InputError, match=r"`nowhere://a\.csv` cannot be opened"):
        places("nowhere://a.csv")


def rows(files: str | list[str], time: str | None = None) -> list[dict[str, object]]:
    source = FilesSource(Ingest.model_validate({"files": files}), time, Manifest(partitions=[]))
    fetched = source.fetch(source.wanted(), Path(".spool"))
    return [row for _, tables in fetched for table in tables for row in table.to_pylist()]


def test_columns_that_differ_between_files_are_joined_and_clashing_types_become_text() -> None:
    Path("a.jsonl").write_text('{"id": 1, "n": 1, "only_a": true}\n', encoding="utf-8")
    Path("b.jsonl").write_text('{"id": "x", "n": 0.5}\n', encoding="utf-8")
    Path("c.csv").write_text("id,only_c\n7,8\n", encoding="utf-8")
    assert rows(["a.jsonl", "b.jsonl", "c.csv"]) == [
        {"id": "1", "n": 1.0, "only_a": True, "only_c": None},
        {"id": "x", "n": 0.5, "only_a": None, "only_c": None},
        {"id": "7", "n": None, "only_a": None, "only_c": "8"},
    ]


def test_a_file_without_the_time_column_is_named() -> None:
    Path("a.csv").write_text("wen,b\n2013-01-01,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.csv: has no column `when` .contract.time.. Did you mean `wen`"):
        rows("a.csv", "when")


def test_files_behind_a_url_are_read_as_local_ones_are() -> None:
    system = fsspec.filesystem("memory")
    system.pipe("/shop/a.csv", b"when,b\n2013-01-01,1\n")
    system.pipe("/shop/b.csv", b"when,b\n2013-01-02,2\n")
    system.pipe("/shop/notes.txt", b"no table")
    assert [row["b"] for row in rows("memory://shop/*.csv", "when")] == ["1", "2"]
    assert names("memory://shop") == ["memory:///shop/a.csv", "memory:///shop/b.csv"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 of moto's on loopback with a bucket `shop`."""
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="shop")
    yield "shop"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_files_in_s3_are_read_and_recognised_by_their_etag(bucket: str) -> None:
    import boto3

    client = boto3.client("s3")
    for month in (1, 2):
        body = f"when,b\n2013-0{month}-05,{month}\n".encode()
        client.put_object(Bucket=bucket, Key=f"in/{month}.csv", Body=body)
    ingest = Ingest.model_validate({"files": f"s3://{bucket}/in/*.csv", **WINDOW})
    first = FilesSource(ingest, "when", Manifest(partitions=[]))
    assert [sum(map(len, tables)) for _, tables in first.fetch(first.wanted(), Path(".spool"))] == [1, 1]
    client.put_object(Bucket=bucket, Key="in/2.csv", Body=b"when,b\n2013-02-05,9\n")
    second = FilesSource(ingest, "when", Manifest(partitions=[], files=first.records()))
    same = [old.key == new.key for old, new in zip(first.wanted(), second.wanted(), strict=True)]
    assert same == [True, False]


def test_a_bucket_that_does_not_exist_is_the_users_error_and_a_store_that_is_away_is_not(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    with pytest.raises(InputError):
        places("s3://no-such-bucket/a.csv")
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(OutsideError, match=f"`s3://{bucket}/a.csv` cannot be reached"):
        places(f"s3://{bucket}/a.csv")


@pytest.mark.parametrize(
    ("files", "watched"),
    [
        ("data/incoming/*.csv", ["data/incoming"]),
        ("data/incoming/2013-*/x?.csv", ["data/incoming"]),
        ("incoming/", ["incoming"]),
        (["a/x.csv", "b/*.csv"], ["a/x.csv", "b"]),
        ("s3://shop/in/*.csv", ["s3://shop/in"]),
        ("s3://shop/in", ["s3://shop/in"]),
    ],
)
def test_dvc_is_told_to_watch_files_and_folders_and_of_a_glob_the_folder_above(
    files: str | list[str], watched: list[str]
) -> None:
    assert sources.dependencies(Ingest.model_validate({"files": files})) == watched


@pytest.mark.parametrize("files", ["*.csv", "data/*.csv", "./*.csv"])
def test_files_beside_what_the_pipeline_writes_are_refused(files: str) -> None:
    with pytest.raises(InputError, match="put the files in a folder of their own"):
        sources.dependencies(Ingest.model_validate({"files": files}))


def test_a_function_has_no_files_to_watch() -> None:
    assert sources.dependencies(Ingest.model_validate({"source": "a:b"})) == []


def test_identifiers_beyond_float_survive_a_fraction_in_another_batch_or_file() -> None:
    near = [2**53, 2**53 + 1]
    Path("a.jsonl").write_text("".join(f'{{"id": {number}}}\n' for number in near), encoding="utf-8")
    Path("b.jsonl").write_text('{"id": 0.5}\n', encoding="utf-8")
    assert [row["id"] for row in rows(["a.jsonl", "b.jsonl"])] == [str(near[0]), str(near[1]), "0.5"]


@pytest.mark.parametrize("files", ["*.csv", "data/*.csv"])
def test_a_stage_refuses_files_that_dvc_cannot_watch(files: str) -> None:
    Path("a.csv").write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(InputError, match="put the files in a folder of their own"):
        places(files)


def test_a_syntax_error_beside_the_source_is_one_sentence() -> None:
    package = f"own_{uuid.uuid4().hex}"
    for name, text in (("__init__", ""), ("source", "def load(start, end): ...\n"), ("broken", "def load(:\n")):
        Path(f"src/{package}/{name}.py").parent.mkdir(parents=True, exist_ok=True)
        Path(f"src/{package}/{name}.py").write_text(text, encoding="utf-8")
    ingest = Ingest.model_validate({"source": f"{package}.source:load", **WINDOW})
    with pytest.raises(InputError, match=rf"^src/{package}/broken\.py:1: invalid syntax. Python cannot read"):
        sources.source_of(ingest, "when", Manifest(partitions=[]))
