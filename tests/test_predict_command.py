"""`lockstep predict`: predictions and refusals of the service, and files that are whole or not there."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from conftest import require
from lockstep import errors
from lockstep.batch import cells, files, sinks
from lockstep.batch.predict import default_quarantine
from lockstep.commands.predict import predict as command
from lockstep.evaluation import golden
from lockstep.models.fitting import fit
from lockstep.models.model import CONTRACT, GRAPH, load
from lockstep.rows import contract as training
from lockstep.rows.columns import plain
from lockstep.rows.tables import frame_of
from lockstep.serving.predictor import Predictor
from small import a_spec, a_table, prepare

COLUMNS = {
    "customer": {"type": "integer", "feature": False},
    "since": {"type": "datetime", "parts": ["weekday", "hour"], "min": "2024-01-01"},
    "city": {"type": "category", "allowed": ["Bonn", "Kiel", "Ulm", "Rom"]},
    "device": {"type": "category", "missing": "allowed", "unknown": "refused"},
    "age": {"type": "number", "unit": "year", "min": -10, "max": 120.5},
    "income": {"type": "number", "missing": "allowed"},
    "visits": {"type": "integer", "min": 0},
    "vip": {"type": "boolean", "missing": "allowed"},
    "email": {"type": "category", "private": True, "missing": "allowed"},
    "closed": {"type": "number", "missing": "allowed", "available": "after"},
}
"""Every type and every rule of a contract."""


def a_full_table(rows: int = 3000) -> pd.DataFrame:
    table = a_table(rows)
    chance = np.random.default_rng(1)
    return table.assign(vip=chance.random(rows) < 0.5, closed=1.0)


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(request.param, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("binary", tmp_path_factory.mktemp("binary"))


def made(task: str, folder: Path) -> Path:
    """A model's folder, as train and evaluate would write it."""
    spec = a_spec(task, contract={"columns": COLUMNS})
    rows, holdout, _ = prepare(spec, a_full_table())
    found = fit(spec, rows, lambda _: None)
    (folder / GRAPH).write_bytes(found.graph)
    (folder / CONTRACT).write_text(found.learned.to_json(), encoding="utf-8")
    (folder / "golden.json").write_text(json.dumps(golden(load(folder), holdout)), encoding="utf-8")
    return folder


def rows_for(rows: int = 200) -> pd.DataFrame:
    return a_full_table(rows).drop(columns=["left", "plan", "spent", "closed"])


def run(*arguments: object) -> int:
    return errors.exit_code(lambda: command.main([str(each) for each in arguments], standalone_mode=False))


def written(frame: pd.DataFrame | pa.Table, path: Path) -> Path:
    table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        table.to_pandas().to_csv(path, index=False)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


# The same as the service


def as_a_caller(table: pa.Table, model: Path) -> list[dict[str, Any]]:
    """The rows as JSON, by what training makes of the cells; what training cannot type stays as it is."""
    contract = load(model).learned.contract
    frame = frame_of(plain(table, "the table"))
    columns: dict[str, list[Any]] = {}
    for name in frame.columns:
        column = contract.columns[name]
        values = frame[name]
        if pa.types.is_boolean(table.schema.field(name).type):
            # With gaps pandas makes objects of them, in which training takes true for the number 1; without gaps not.
            values = values.astype("boolean")
        typed = training._TYPES[column.type](values)
        raw = table.column(name).to_pylist()
        columns[name] = [
            _json(kept) if not pd.isna(kept) else _json(value) if wrong else None
            for kept, wrong, value in zip(typed.kept, typed.wrong, raw, strict=True)
        ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _json(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, datetime) else value


@cache
def loaded(model: Path) -> Predictor:
    return Predictor(model, "v0")


def served(rows: list[dict[str, Any]], model: Path) -> list[Any]:
    """The answer to each row, or its reasons."""
    predictor = loaded(model)
    made = [predictor.serve([row], "r") for row in rows]
    return [
        each.answers[0] if each.answers else [(p.column, p.rule.split(". Did you mean")[0]) for p in each.problems]
        for each in made
    ]


def insist_that_both_agree(table: pa.Table, source: Path, model: Path) -> None:
    """The file's rows are predicted to the bit, or refused with the same words, as the service would have."""
    out = source.with_name("out.parquet")
    assert run(source, out, "--model", model) in (0, 3)
    expected = served(as_a_caller(table, model), model)
    refused = {at: answer for at, answer in enumerate(expected) if isinstance(answer, list)}
    quarantine = default_quarantine(out)
    found = {row["_row"]: row["_reasons"] for row in read(quarantine)} if quarantine.exists() else {}
    assert found == {at: "; ".join(f"{name}: {rule}" for name, rule in reasons) for at, reasons in refused.items()}
    answers = [answer for answer in expected if isinstance(answer, dict)]
    for row, answer in zip(read(out) if out.exists() else [], answers, strict=True):
        for name in ("label", "probability", "threshold", "model", "value"):
            assert (name in row) == (name in answer)
            if name in answer and isinstance(answer[name], float):
                assert np.float32(row[name]) == np.float32(answer[name])
            else:
                assert row.get(name) == answer.get(name)
        for label, probability in answer.get("probabilities", {}).items():
            assert np.float32(row[f"probabilities.{label}"]) == np.float32(probability)


ODD = ["", "NA", "null", " 5", "5 ", "5.0", "5.5", "1e3", "1E400", "-3", "+4", ".5", "5.", "inf", "nan", "NAN", "0x10",
       "1_0", "٣", "true", "T", "yes", " No ", "maybe", "Bonn", "Rom", "Bon", "phone", "fax", "2024-02-30",
       "2024-02-03", "2023-12-31", "2024-02-03 04:05", "2024-02-03T04:05:06.789+02:00", "2024-02-03T04:05:06,5Z",
       "now", "16777217", "9007199254740993", "99999999999999999999", "120.5", "120.6",
       "Infinity", "-INF", "x\ny", 'say "ho"', "a,b", "é"]  # fmt: skip

TEXTS: dict[str, list[str]] = {
    "customer": ["1", "77"], "since": ["2024-02-03", "2024-03-01T10:00:00"], "city": ["Bonn", "Kiel"],
    "device": ["phone", ""], "age": ["41.5", "0.1"], "income": ["30.25", ""], "visits": ["3", "0"],
    "vip": ["true", "0", ""], "email": ["c1@example.org", "new@example.org"],
}  # fmt: skip

text_rows = some.lists(
    some.fixed_dictionaries({name: some.sampled_from(good * 8 + ODD) for name, good in TEXTS.items()}),
    min_size=1,
    max_size=12,
)

# Without shrinking: one that fails is small already.
quickly = settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@quickly
@given(rows=text_rows)
def test_text_of_a_csv_is_refused_and_predicted_as_the_service_would(
    rows: list[dict[str, str]], binary: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(TEXTS), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    table = pa.table({name: pa.array([row[name] or None for row in rows], pa.string()) for name in TEXTS})
    insist_that_both_agree(table, source, binary)


def columns_of(*types: tuple[pa.DataType, list[Any]]) -> some.SearchStrategy[tuple[pa.DataType, list[Any]]]:
    return some.sampled_from(types)


NUMBERS = (
    (pa.float64(), [None, 41.5, 0.1, -3.0, 120.6, float("nan"), float("inf"), 1e300, 3e38, 7.0]),
    (pa.float32(), [None, 41.5, 0.1, 5.0, float("nan"), 1e30]),
    (pa.int64(), [None, 3, -11, 16777217, 2**53 + 1, -(2**60), 121]),
    (pa.int8(), [None, 3, -1, 127]),
    (pa.uint64(), [None, 3, 2**63 + 1, 2**64 - 1]),
    (pa.decimal128(12, 2), [None, Decimal("41.50"), Decimal("0.10"), Decimal("-11.00"), Decimal("7.00")]),
    (pa.decimal128(20, 0), [None, Decimal(5), Decimal(2**63 + 5), Decimal(-1)]),
    (pa.bool_(), [None, True, False]),
    (pa.string(), [None, "5", "0.25", "NA", "x"]),
    (pa.null(), [None]),
)
LABELS = (
    (pa.string(), [None, "", "Bonn", "Kiel", "Rom", "Bon", "phone", "tablet", "fax"]),
    (pa.dictionary(pa.int8(), pa.string()), [None, "", "Bonn", "Bon", "phone", "fax"]),
    (pa.large_string(), [None, "Bonn", "phone"]),
    (pa.int64(), [None, 5, 17]),
    (pa.float64(), [None, 5.0, 0.5, float("nan")]),
    (pa.bool_(), [None, True]),
)
MOMENTS = (
    (pa.timestamp("us"), [None, datetime(2024, 2, 3, 4, 5), datetime(2023, 12, 31, 23)]),
    (pa.timestamp("ns"), [None, datetime(2024, 2, 3, 4, 5, 6, 7)]),
    (pa.timestamp("s"), [None, datetime(2024, 2, 3, 4, 5), datetime(1999, 1, 1)]),
    (pa.timestamp("ms", "America/New_York"), [None, datetime(2024, 2, 3, 4, 5), datetime(2024, 1, 1)]),
    (pa.date32(), [None, datetime(2024, 2, 3).date(), datetime(2023, 2, 3).date()]),
    (pa.string(), [None, "NA", "2024-02-03T04:05:06+01:00", "2024-02-03", "soon"]),
    (pa.int64(), [None, 5]),
)
BOOLEANS = (
    (pa.bool_(), [None, True, False]),
    (pa.int64(), [None, 0, 1, 2]),
    (pa.float64(), [None, 0.0, 1.0, 0.5, float("nan")]),
    (pa.string(), [None, "yes", "F", "NA", "?"]),
)
FOR = {
    "customer": NUMBERS, "since": MOMENTS, "city": LABELS, "device": LABELS, "age": NUMBERS, "income": NUMBERS,
    "visits": NUMBERS, "vip": BOOLEANS, "email": LABELS,
}  # fmt: skip


@some.composite
def typed_tables(draw: some.DrawFn) -> pa.Table:
    rows = draw(some.integers(1, 12))
    odd = draw(some.sets(some.sampled_from(list(FOR)), max_size=3))
    made = {}
    for name, kinds in FOR.items():
        if name in odd:
            type, values = draw(some.sampled_from(kinds))
            made[name] = pa.array([draw(some.sampled_from(values)) for _ in range(rows)], type)
        else:
            good = TEXTS[name]
            made[name] = pa.array([draw(some.sampled_from(good)) or None for _ in range(rows)], pa.string())
    return pa.table(made)


@settings(parent=quickly, max_examples=80)
@given(table=typed_tables())
def test_typed_columns_of_a_parquet_file_are_refused_and_predicted_as_the_service_would(
    table: pa.Table, binary: Path, tmp_path: Path
) -> None:
    insist_that_both_agree(table, written(table, tmp_path / "in.parquet"), binary)


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_predictions_of_every_task_are_the_services_to_the_bit(model: Path, tmp_path: Path, ending: str) -> None:
    source = written(rows_for(), tmp_path / f"in{ending}")
    table = pq.read_table(source) if ending == ".parquet" else pa.Table.from_pandas(pd.read_csv(source, dtype="str"))
    insist_that_both_agree(table, source, model)


def test_the_words_for_missing_and_true_are_those_of_training() -> None:
    assert cells.MISSING_WORDS == training.MISSING_WORDS
    assert (cells.TRUE_WORDS, cells.FALSE_WORDS) == (training._TRUE, training._FALSE)


# Files


def test_every_column_is_kept_and_predictions_are_added(binary: Path, tmp_path: Path) -> None:
    frame = rows_for().assign(note="kept", left="yes", closed=1.0)
    source, out = written(frame, tmp_path / "in.parquet"), tmp_path / "out.parquet"
    assert run(source, out, "--model", binary) == 0
    table = pq.read_table(out)
    assert table.column_names == [*frame.columns, "label", "probability", "threshold", "model"]
    assert table.select(list(frame.columns)).to_pylist() == pq.read_table(source).to_pylist()
    assert [str(table.schema.field(name).type) for name in ("label", "probability")] == ["bool", "float"]


def test_types_with_zones_and_categories_keep_their_values(binary: Path, tmp_path: Path) -> None:
    frame = rows_for().astype({"city": "category"})
    frame["since"] = frame["since"].dt.tz_localize("Europe/Berlin")
    source = written(frame, tmp_path / "in.parquet")
    assert run(source, tmp_path / "out.parquet", "--model", binary) == 0
    schema = pq.read_schema(tmp_path / "out.parquet")
    assert schema.field("since").type.tz == "Europe/Berlin"
    assert [row["city"] for row in read(tmp_path / "out.parquet")] == frame["city"].tolist()
    assert run(source, tmp_path / "out.csv", "--model", binary) == 0
    assert [row["city"] for row in read(tmp_path / "out.csv")] == frame["city"].tolist()


def test_csv_with_quotes_and_line_breaks_comes_back_as_it_was(binary: Path, tmp_path: Path) -> None:
    frame = rows_for(3).assign(note=['say "ho"\nand go', "a,b", ""])
    source = written(frame, tmp_path / "in.csv")
    assert run(source, tmp_path / "out.csv", "--model", binary) == 0
    before, after = read(source), read(tmp_path / "out.csv")
    assert [{name: row[name] for name in before[0]} for row in after] == before
    assert after[0]["label"] in ("true", "false")


def test_floats_in_csv_have_the_fewest_digits_that_give_back_the_float32(binary: Path, tmp_path: Path) -> None:
    source = written(rows_for(), tmp_path / "in.parquet")
    assert run(source, tmp_path / "out.csv", "--model", binary) == run(
        source, tmp_path / "o.parquet", "--model", binary
    )
    for text, exact in zip(read(tmp_path / "out.csv"), read(tmp_path / "o.parquet"), strict=True):
        assert np.float32(text["probability"]) == np.float32(exact["probability"])
        assert len(text["probability"]) <= len(str(np.float32(exact["probability"]))) + 1


def test_refused_rows_go_to_the_quarantine_and_the_others_to_out(
    binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = rows_for(10)
    frame.loc[3, "age"], frame.loc[7, "city"], frame.loc[7, "visits"] = -11.0, "Bon", -1
    source, out = written(frame, tmp_path / "in.csv"), tmp_path / "out.csv"
    assert run(source, out, "--model", binary) == 0
    assert len(read(out)) == 8
    first, second = read(tmp_path / "out.quarantine.csv")
    assert (first["_row"], first["_reasons"], first["age"]) == ("3", "age: at least -10", "-11.0")
    assert second["_reasons"] == "city: one of Bonn, Kiel, Ulm, Rom; visits: at least 0"
    assert "2 refused" in capsys.readouterr().err
    assert run(source, out, "--model", binary, "--strict") == 3
    assert len(read(out)) == 8


def test_lines_with_more_or_fewer_fields_are_refused_and_the_others_predicted(binary: Path, tmp_path: Path) -> None:
    frame = pd.concat([rows_for(2000)] * 40)
    header, *lines = written(frame, tmp_path / "in.csv").read_text().splitlines()
    odd = {0: "7", 1: lines[1] + ",more", 3: "", 65_535: "1,2,3", 65_536: ",", len(lines): "8,9"}
    source = tmp_path / "odd.csv"
    mixed = list(lines)
    for at, line in odd.items():
        mixed.insert(at, line)
    source.write_text("\n".join([header, *mixed, ""]))
    assert run(tmp_path / "in.csv", tmp_path / "good.csv", "--model", binary, "--strict") == 0
    assert run(source, tmp_path / "out.csv", "--model", binary) == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "good.csv").read_bytes()
    refused = read(tmp_path / "out.quarantine.csv")
    names = header.split(",")
    # An empty line is no row: those after it are one less.
    rows = [at - (at > 3) for at in odd if odd[at]]
    assert [int(row["_row"]) for row in refused] == rows
    fields = [each.count(",") + 1 for each in odd.values() if each]
    assert [row["_reasons"] for row in refused] == [f"expected {len(names)} fields, found {n}" for n in fields]
    assert [row[names[0]] for row in refused] == [each.split(",")[0] for each in odd.values() if each]
    assert run(source, tmp_path / "out.csv", "--model", binary, "--strict") == 3


def test_a_file_of_nothing_but_odd_lines_is_refused_row_by_row(binary: Path, tmp_path: Path) -> None:
    header = written(rows_for(1), tmp_path / "in.csv").read_text().splitlines()[0]
    (tmp_path / "odd.csv").write_text(f"{header}\n1\n2\n")
    assert run(tmp_path / "odd.csv", tmp_path / "out.csv", "--model", binary) == 3
    assert [row["_row"] for row in read(tmp_path / "out.quarantine.csv")] == ["0", "1"]


def test_a_mended_quarantine_can_be_sent_again(binary: Path, tmp_path: Path) -> None:
    frame = rows_for(10)
    frame.loc[3, "age"] = -11.0
    assert run(written(frame, tmp_path / "in.csv"), tmp_path / "out.csv", "--model", binary) == 0
    again = tmp_path / "again.csv"
    again.write_text((tmp_path / "out.quarantine.csv").read_text().replace("-11.0", "11.0"))
    assert run(again, tmp_path / "more.csv", "--model", binary, "--strict") == 0
    again.write_text((tmp_path / "out.quarantine.csv").read_text())
    assert run(again, tmp_path / "more.csv", "--model", binary) == 3
    assert [row["_row"] for row in read(tmp_path / "more.quarantine.csv")] == ["0"]


def test_no_quarantine_is_made_or_left_when_nothing_is_refused(binary: Path, tmp_path: Path) -> None:
    frame = rows_for(10)
    bad = frame.assign(age=[*[-11.0] * 5, *[30.0] * 5])
    assert run(written(bad, tmp_path / "in.csv"), tmp_path / "out.csv", "--model", binary) == 0
    assert (tmp_path / "out.quarantine.csv").exists()
    assert run(written(frame, tmp_path / "in.csv"), tmp_path / "out.csv", "--model", binary) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_when_every_row_is_refused_the_exit_code_says_so(binary: Path, tmp_path: Path) -> None:
    source = written(rows_for(4).assign(age=-11.0), tmp_path / "in.parquet")
    assert run(source, tmp_path / "out.parquet", "--model", binary) == 3
    assert len(read(tmp_path / "out.quarantine.parquet")) == 4
    assert read(tmp_path / "out.parquet") == []


def test_private_values_are_in_no_reason(binary: Path, tmp_path: Path) -> None:
    contract = json.loads((binary / CONTRACT).read_text())
    contract["contract"]["columns"]["email"]["unknown"] = "refused"
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / CONTRACT).write_text(json.dumps(contract))
    (folder / GRAPH).write_bytes((binary / GRAPH).read_bytes())
    source = written(rows_for(2).assign(email="secret@example.org"), tmp_path / "in.csv")
    assert run(source, tmp_path / "out.csv", "--model", folder) == 3
    assert "secret" not in read(tmp_path / "out.quarantine.csv")[0]["_reasons"]


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_the_same_bytes_in_are_the_same_bytes_out_however_they_are_cut(
    binary: Path, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = rows_for(2000).astype({"city": "category"})
    frame.loc[::50, "age"] = -11.0
    sources = [written(frame, tmp_path / "in.parquet"), written(frame, tmp_path / "in.csv")]
    for source in sources:
        found = set()
        for size in (files.PIECE, 700, 64):
            monkeypatch.setattr(files, "PIECE", size)
            out = tmp_path / f"out{ending}"
            assert run(source, out, "--model", binary) == 0
            found.add((out.read_bytes(), default_quarantine(out).read_bytes()))
        assert len(found) == 1


def test_threads_and_hash_seeds_of_a_machine_change_no_byte(binary: Path, tmp_path: Path) -> None:
    source = written(rows_for(2000), tmp_path / "in.parquet")
    made = []
    for threads, seed in (("1", "0"), ("2", "1"), ("8", "2")):
        out = tmp_path / f"out{threads}.parquet"
        code = (
            "import sys; from lockstep import errors; from lockstep.commands.predict import predict; "
            "sys.exit(errors.exit_code(lambda: predict.main(sys.argv[1:], standalone_mode=False)))"
        )
        changed = {"OMP_NUM_THREADS": threads, "ARROW_NUM_THREADS": threads, "PYTHONHASHSEED": seed}
        arguments = [sys.executable, "-c", code, str(source), str(out), "--model", str(binary)]
        subprocess.run(arguments, env={**os.environ, **changed}, check=True)
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]


# What is wrong is said, and nothing is lost


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run(*arguments) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"age,city\n", "has a header and no rows"),
        (b'age,city\n"1,Bonn\n2,Kiel\n', "is a quote never closed?"),
        (b"age,age\n1,2\n", "both named `age`"),
        (b"age,city\n1,\xff\n", "is not UTF-8"),
        (b'age,city\n1,"Bonn\n', "quote"),
        (b"age;city\n1;Bonn\n", "there is no column `since`, which the model reads. The file has one column"),
    ],
)
def test_a_csv_that_cannot_be_read_is_an_error_and_out_stays(
    content: bytes, sentence: str, binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(content)
    out.write_text("from before")
    assert sentence in refused(capsys, source, out, "--model", binary)
    assert out.read_text() == "from before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_a_damaged_end_of_a_file_leaves_no_half_of_the_answer(
    binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(pd.concat([rows_for(2000)] * 40), tmp_path / "in.csv")
    whole = gzip.compress(source.read_bytes())
    for name, content in {
        "a.csv": source.read_bytes() + b'1,"2,3\n4,5\n',
        "b.csv.gz": whole[: len(whole) // 2],
        "c.parquet": written(rows_for(), tmp_path / "good.parquet").read_bytes()[:-100],
    }.items():
        (tmp_path / name).write_bytes(content)
        assert name in refused(capsys, tmp_path / name, tmp_path / "out.csv", "--model", binary)
    assert not [path.name for path in tmp_path.iterdir() if "out" in path.name]


def test_wrong_names_are_errors_that_say_what_to_do(
    binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(rows_for(5), tmp_path / "in.csv")
    model = ("--model", binary)
    assert "does not exist" in refused(capsys, tmp_path / "no.csv", tmp_path / "out.csv", *model)
    assert "must end in one of" in refused(capsys, source, tmp_path / "out.xlsx", *model)
    assert "is the file that is read" in refused(capsys, source, source, *model)
    assert "is the file that is read" in refused(capsys, source, tmp_path / "o.csv", "--quarantine", source, *model)
    link = tmp_path / "link.csv"
    link.hardlink_to(source)
    assert "is the file that is read" in refused(capsys, source, link, *model)
    assert "one file" in refused(capsys, source, tmp_path / "o.csv", "--quarantine", tmp_path / "o.csv", *model)
    assert "its folder does not exist" in refused(capsys, source, tmp_path / "no" / "out.csv", *model)
    (tmp_path / "folder.csv").mkdir()
    assert "is a folder" in refused(capsys, source, tmp_path / "folder.csv", *model)
    assert "cannot be read" in refused(capsys, tmp_path / "folder.csv", tmp_path / "o.csv", *model)
    assert "is missing" in refused(capsys, source, tmp_path / "o.csv", "--model", tmp_path)
    assert source.exists()


def test_columns_that_are_lacking_or_there_twice_are_errors(
    binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame, out, model = rows_for(5), tmp_path / "out.csv", ("--model", binary)
    misspelt = written(frame.rename(columns={"income": "incom"}), tmp_path / "in.csv")
    said = refused(capsys, misspelt, out, *model)
    assert "no column `income`" in said
    assert "Did you mean `incom`?" in said
    assert run(misspelt, out, *model, "--without", "income") == 0
    assert "incom" in read(out)[0]
    required = written(frame.drop(columns=["age"]), tmp_path / "in.csv")
    assert "no column `age`" in refused(capsys, required, out, *model, "--without", "age")
    assert run(written(frame.drop(columns=["email", "customer"]), tmp_path / "in.csv"), out, *model) == 0
    whole = written(frame, tmp_path / "in.csv")
    assert "the file has this column" in refused(capsys, whole, out, *model, "--without", "income")
    clash = written(frame.assign(label=1), tmp_path / "in.csv")
    assert "--prefix" in refused(capsys, clash, out, *model)
    assert run(clash, out, *model, "--prefix", "predicted_") == 0
    assert {"label", "predicted_label", "predicted_model"} <= read(out)[0].keys()


def test_nested_columns_are_carried_along_but_never_read(
    binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pa.Table.from_pandas(rows_for(3), preserve_index=False)
    lists = pa.array([[1], [2, 3], None])
    source = written(table.append_column("tags", lists), tmp_path / "in.parquet")
    assert run(source, tmp_path / "out.parquet", "--model", binary) == 0
    assert [row["tags"] for row in read(tmp_path / "out.parquet")] == [[1], [2, 3], None]
    assert "CSV has no form" in refused(capsys, source, tmp_path / "out.csv", "--model", binary)
    wrong = table.set_column(table.column_names.index("age"), "age", lists)
    written(wrong, source)
    assert "column `age` holds list" in refused(capsys, source, tmp_path / "out.parquet", "--model", binary)


def test_values_that_lead_the_model_beyond_numbers_are_refused_as_the_service_does(
    binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lockstep.models.model import Model

    predict = Model.predict_matrix
    monkeypatch.setattr(Model, "predict_matrix", lambda self, x: np.where(x[:, 4] > 60, np.inf, predict(self, x)))
    table = pq.read_table(written(rows_for(50), tmp_path / "in.parquet"))
    slot = [each.name for each in load(binary).learned.encoding.slots(load(binary).style)][4]
    assert slot == "age"
    assert run(tmp_path / "in.parquet", tmp_path / "out.parquet", "--model", binary) == 0
    beyond = [at for at, row in enumerate(table.to_pylist()) if row["age"] > 60]
    found = read(tmp_path / "out.quarantine.parquet")
    assert [row["_row"] for row in found] == beyond
    assert "beyond all finite numbers" in found[0]["_reasons"]


def test_a_full_disk_is_said_and_leaves_what_was_there(
    binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require(os.geteuid() == 0, "root, to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    require(
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]).returncode == 0,
        "the right to mount",
    )
    try:
        for ending in (".csv", ".parquet", ".csv.gz"):
            source = written(rows_for(3000), tmp_path / "in.parquet")
            (disk / f"out{ending}").write_text("from before")
            assert "the disk is full" in refused(capsys, source, disk / f"out{ending}", "--model", binary)
            assert (disk / f"out{ending}").read_text() == "from before"
            assert not list(disk.glob(".*"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def started(source: Path, out: Path, model: Path) -> subprocess.Popen[bytes]:
    """A run in a process of its own, which has begun to write."""
    before = set(out.parent.glob(".out*.part"))
    running = subprocess.Popen(["lockstep", "predict", str(source), str(out), "--model", str(model)])
    end = time.monotonic() + 60
    while not set(out.parent.glob(".out*.part")) - before:
        assert running.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)
    return running


def test_a_run_that_is_killed_leaves_nothing_or_what_the_next_run_removes(binary: Path, tmp_path: Path) -> None:
    source = written(pd.concat([rows_for(3000)] * 300), tmp_path / "in.parquet")
    out = tmp_path / "out.csv"
    ended = started(source, out, binary)
    ended.terminate()
    assert ended.wait(30) == 128 + signal.SIGTERM
    assert not list(tmp_path.glob(".out*"))
    killed = started(source, out, binary)
    killed.kill()
    killed.wait()
    (left,) = tmp_path.glob(".out*")
    theirs = tmp_path / ".out.csv.notes.part"
    theirs.write_text("of somebody else")
    living = started(source, out, binary)
    try:
        (written_now,) = set(tmp_path.glob(".out*")) - {theirs}
        assert written_now != left, "the next run has removed it"
        assert run(written(rows_for(), tmp_path / "small.csv"), out, "--model", binary) == 0
        assert set(tmp_path.glob(".out*")) == {written_now, theirs}, "and leaves that of a living one"
    finally:
        living.kill()
        living.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_disturb_the_tidying_up(binary: Path, tmp_path: Path, number: signal.Signals) -> None:
    source, out = written(pd.concat([rows_for(3000)] * 100), tmp_path / "in.csv"), tmp_path / "out.csv"
    for pause in (0, 0.002, 0.01, 0.03):
        ended = started(source, out, binary)
        ended.send_signal(number)
        while ended.poll() is None:
            time.sleep(pause or 0.0005)
            ended.send_signal(number)
        assert ended.returncode == 128 + number
        assert not list(tmp_path.glob(".out*"))


def test_what_can_be_read_only_once_is_refused(
    binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "in.csv")
    said = refused(capsys, tmp_path / "in.csv", tmp_path / "out.csv", "--model", binary)
    assert "no file that can be read more than once: write its rows to a file first" in said


def test_a_file_system_that_refuses_a_file_is_named_in_a_sentence(
    binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(rows_for(), tmp_path / "in.csv")
    name = "x" * 250 + ".csv"
    assert "cannot be written: File name too long" in refused(capsys, source, tmp_path / name, "--model", binary)
    require(os.geteuid() == 0, "root, to mount a disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    require(
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(disk)]).returncode == 0, "the right to mount"
    )
    try:
        said = refused(capsys, source, disk / "out.csv", "--model", binary)
        assert "out.csv cannot be written: Read-only file system" in said
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_rows_of_any_size_are_taken_a_few_at_a_time_and_change_no_byte(
    binary: Path, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [None if at % 7 == 0 else "t" * (at % 900) for at in range(1500)]
    source = written(rows_for(1500).assign(note=texts), tmp_path / f"in{ending}")
    monkeypatch.setattr(sinks, "PIECE_BYTES", 100_000)
    found = set()
    for size in (files.PIECE_BYTES, 300_000, 50_000):
        monkeypatch.setattr(files, "PIECE_BYTES", size)
        tables = list(files.open_source(source).tables)
        assert max(table.nbytes for table in tables) < 4 * size + (1 << 20 if ending == ".csv" else 0)
        assert run(source, tmp_path / "out.parquet", "--model", binary) == 0
        found.add((tmp_path / "out.parquet").read_bytes())
    assert len(found) == 1
    made = pq.ParquetFile(tmp_path / "out.parquet")
    groups = [made.read_row_group(at, columns=["note"])["note"].to_pylist() for at in range(made.num_row_groups)]
    assert 5 < len(groups) < 12
    assert max(sum(len(text or "") for text in group) for group in groups) <= 100_000
    assert [text or None for group in groups for text in group] == [text or None for text in texts]


def test_one_row_larger_than_a_piece_is_a_piece(binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = written(rows_for(5).assign(note="t" * 5000), tmp_path / "in.parquet")
    for module in (files, sinks):
        monkeypatch.setattr(module, "PIECE_BYTES", 1000)
    assert run(source, tmp_path / "out.parquet", "--model", binary) == 0
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 5


def test_json_for_machines_and_a_summary_for_people(
    binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(rows_for(5).assign(note=1, city="Rom"), tmp_path / "in.csv")
    assert run(source, tmp_path / "out.csv", "--model", binary, "--json") == 0
    said = capsys.readouterr()
    done = json.loads(said.out)
    assert (done["rows"], done["predicted"], done["refused"], done["quarantine"]) == (5, 5, 0, None)
    assert (done["unknown"], done["carried"]) == ({"city": 5}, ["note"])
    assert "5 of 5 rows predicted" in said.err
    assert "city (5 rows)" in said.err
