"""Bad input, end to end: one clear error with exit 1, and nothing half-written.

Each case runs the stages of a small project as DVC would, one process each, until one refuses.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import Project
from worlds import DROP, write_spec

STAGES = ("ingest", "prepare", "train", "evaluate")


def customers(rows: int = 1500) -> pd.DataFrame:
    """The table that `worlds` describes."""
    random = np.random.default_rng(5)
    visits = random.poisson(4, rows)
    age = random.integers(18, 90, rows)
    return pd.DataFrame(
        {
            "customer": [f"c{number}" for number in range(rows)],
            "joined": (pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 365, rows), unit="D")).strftime(
                "%Y-%m-%d"
            ),
            "age": age,
            "balance": random.normal(100, 30, rows).round(2),
            "visits": visits,
            "plan": random.choice(["free", "basic", "premium"], rows),
            "newsletter": random.choice(["true", "false"], rows),
            "region": random.choice(["north", "south"], rows),
            "cancelled_calls": random.poisson(1, rows),
            "left": random.random(rows) < 1 / (1 + np.exp(visits - 4 + (age - 50) / 30)),
        }
    )


Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a good table and a good spec."""
    (tmp_path / "data" / "customers").mkdir(parents=True)
    customers().to_csv(tmp_path / "data" / "customers" / "all.csv", index=False)
    write_spec(tmp_path, {})
    return Project(tmp_path, {})


def run_until_refused(project: Project) -> tuple[str, subprocess.CompletedProcess[str]]:
    """The stage that refused, and how."""
    for stage in STAGES:
        before = snapshot(project.root)
        result = project.run("python", "-W", "ignore", "-m", f"lockstep.stages.{stage}")
        if result.returncode:
            assert snapshot(project.root) == before, "a stage that refuses must not write"
            return stage, result
    raise AssertionError("no stage refused")


def snapshot(root: Path) -> dict[str, str]:
    """Every file with its hash; an interrupted ingest may note that it was interrupted."""
    return {
        str(path.relative_to(root)): hashlib.md5(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "manifest.json"
    }


def refuses(project: Project, stage: str, *words: str) -> None:
    refused, result = run_until_refused(project)
    assert (refused, result.returncode) == (stage, 1), result.stderr
    assert all(word in result.stderr for word in words), result.stderr
    assert "Traceback" not in result.stderr


def test_the_good_project_runs_to_the_end(project: Project) -> None:
    for stage in STAGES:
        result = project.run("python", "-W", "ignore", "-m", f"lockstep.stages.{stage}")
        assert result.returncode == 0, result.stderr
    assert (project.root / "reports" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"evaluate.primry": "brier"}, ("evaluate.primry: unknown key", "Did you mean `primary`?")),
        ({"train.estimator": "sklearn.ensemble.HistGradientBoostingClasifier"}, ("HistGradientBoostingClassifier",)),
        ({"train.params": {"learning_rat": 0.1}}, ("has no parameter `learning_rat`", "Did you mean `learning_rate`?")),
    ],
)
def test_a_mistake_in_the_spec_stops_the_first_stage(
    project: Project, overrides: dict[str, Any], words: tuple[str, ...]
) -> None:
    write_spec(project.root, overrides)
    refuses(project, "ingest", "params.yaml:", *words)


def test_an_unquoted_date_stops_the_first_stage(project: Project) -> None:
    text = project.read("params.yaml")
    (project.root / "params.yaml").write_text(text.replace('"2024-01-01"', "2024-01-01"))
    refuses(project, "ingest", "unquoted date", 'Write "2024-01-01" in quotes')


@pytest.mark.parametrize(
    ("change", "stage", "words"),
    [
        (lambda t: t.drop(columns="region"), "prepare", ("lacks 'region'", "It has: customer, joined")),
        (lambda t: t.assign(age="old"), "prepare", ("all 1,500 rows break the contract: age:type (1,500)",)),
        (lambda t: t.assign(visits=-1), "prepare", ("visits:min (1,500)",)),
        (lambda t: t.assign(balance="inf"), "prepare", ("balance:infinite (1,500)",)),
        (lambda t: t.assign(left=False), "prepare", ("single class",)),
        (lambda t: t[t["joined"] < "2024-09-01"], "prepare", ("no rows are left for holdout",)),
        (lambda t: t.assign(joined="2019-01-01"), "ingest", ("2024-01-01", "2019-01-01")),
        (lambda t: t.rename(columns={"region": "plan"}), "ingest", ("columns 6 and 8 are both named `plan`",)),
        (lambda t: t.drop(columns="joined"), "ingest", ("joined",)),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_a_sentence(
    project: Project, change: Change, stage: str, words: tuple[str, ...]
) -> None:
    change(customers()).to_csv(project.root / "data" / "customers" / "all.csv", index=False)
    refuses(project, stage, *words)


def test_a_category_with_100_000_values_is_refused_before_anything_is_fitted(project: Project) -> None:
    table = customers(140_000).assign(region=lambda rows: "r" + rows.index.astype(str))
    table.to_csv(project.root / "data" / "customers" / "all.csv", index=False)
    refuses(project, "train", "`region` has 10", "1,000 are allowed", "feature: false")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("customer,joined\nM\xfcller,2024-01-01\n".encode("latin-1"), ("UTF-8",)),
        (b"", ("empty",)),
        (b"customer,joined\na,2024-01-01\nb\n", ("3",)),
    ],
)
def test_a_csv_that_cannot_be_read_is_named(project: Project, content: bytes, words: tuple[str, ...]) -> None:
    (project.root / "data" / "customers" / "odd.csv").write_bytes(content)
    refuses(project, "ingest", "data/customers/odd.csv", *words)


def test_a_source_function_that_raises_is_named_above_its_traceback(project: Project) -> None:
    (project.root / "src").mkdir()
    (project.root / "src" / "shop.py").write_text("def load(start, end):\n    return {}['the key']\n")
    write_spec(project.root, {"ingest.files": DROP, "ingest.source": "shop:load"})
    refused, result = run_until_refused(project)
    assert (refused, result.returncode) == ("ingest", 1)
    sentence, traceback = result.stderr.split("Traceback", 1)
    assert "shop:load" in sentence
    assert "KeyError: 'the key'" in traceback


def test_a_window_without_rows_leaves_what_was_fetched_before(project: Project) -> None:
    assert project.run("python", "-m", "lockstep.stages.ingest").returncode == 0
    raw = project.root / "data" / "raw"
    before = {path.name: path.read_bytes() for path in raw.iterdir()}
    write_spec(project.root, {"ingest.from": "2031-01-01", "ingest.until": "2032-01-01"})
    refuses(project, "ingest", "the window is empty")
    assert {path.name: path.read_bytes() for path in raw.iterdir()} == before


def test_a_column_that_one_month_s_file_forgot_is_named_with_the_month(project: Project) -> None:
    table = customers()
    folder = project.root / "data" / "customers"
    (folder / "all.csv").unlink()
    for month, rows in table.groupby(table["joined"].str[:7]):
        rows.drop(columns="plan" if month == "2024-02" else []).to_csv(folder / f"{month}.csv", index=False)
    count = (table["joined"].str[:7] == "2024-02").sum()
    refuses(project, "prepare", f"2024-02: column `plan` holds no value in any of its {count} rows, though")
