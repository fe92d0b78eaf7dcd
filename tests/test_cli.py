from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import ROOT, Project
from lockstep import __version__


def lockstep(toy: Project, *arguments: str):
    return toy.run("python", "-c", "from lockstep.cli import main; main()", *arguments)


@pytest.fixture(scope="module")
def here() -> Project:
    return Project(ROOT, {})


def test_version_and_help_tell_what_this_is(here: Project) -> None:
    assert lockstep(here, "--version").stdout == f"lockstep {__version__}\n"
    text = lockstep(here, "--help").stdout
    assert "GitOps for machine learning" in text
    assert "check" in text


def test_an_unknown_command_is_a_usage_error_that_names_the_nearest(here: Project) -> None:
    result = lockstep(here, "chek")
    assert result.returncode == 2
    assert "check" in result.stderr


SLOW = {"numpy", "pandas", "pyarrow", "sklearn", "onnxruntime", "pandera", "dvc", "rich"}


def test_check_finds_this_repository_in_order_and_imports_nothing_slow(here: Project) -> None:
    code = f"""
import sys
from lockstep.cli import main
sys.argv = ["lockstep", "check"]
try:
    main()
finally:
    print({SLOW} & set(sys.modules))
"""
    result = here.run("python", "-c", code)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("fine: spec, versions, pipeline")
    assert result.stdout.endswith("set()\n")


def test_check_works_from_elsewhere(here: Project) -> None:
    assert lockstep(Project(ROOT / "tests", {}), "-C", str(ROOT), "check").returncode == 0


def broken(toy: Project) -> Project:
    """This repository's shape in the toy's folder: the four stages, which do not fit the toy's spec."""
    toy.edit("params.yaml", "seed: 1", "sed: 1")
    return toy


def test_a_wrong_spec_is_one_error_and_the_pipeline_is_not_judged_by_it(toy: Project) -> None:
    result = lockstep(broken(toy), "check")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("error: ") == 1
    assert "params.yaml" in result.stderr
    assert "`seed`" in result.stderr


def test_findings_come_as_json_for_machines(toy: Project) -> None:
    result = lockstep(broken(toy), "check", "--json")
    assert result.returncode == 1
    content = json.loads(result.stdout)
    assert content["changed"] == []
    assert [(finding["check"], finding["mendable"]) for finding in content["findings"]] == [("spec", False)]


def test_fix_writes_what_is_generated_and_says_so(toy: Project) -> None:
    for name in ("dvc.yaml", "versions.toml", "schema/params.schema.json"):
        (toy.root / name).unlink()
    before = lockstep(toy, "check")
    assert before.returncode == 1
    assert "`lockstep check --fix` rewrites what is generated" in before.stderr
    after = lockstep(toy, "check", "--fix")
    assert after.returncode == 0, after.stderr
    assert {"rewrote versions.toml", "rewrote dvc.yaml", "rewrote schema/params.schema.json"} <= set(
        after.stdout.splitlines()
    )
    assert lockstep(toy, "check").returncode == 0


def test_a_package_that_does_not_fit_the_lock_is_named(toy: Project) -> None:
    toy.edit("requirements/pipeline.txt", "scikit-learn==", "scikit-learn==0.")
    result = lockstep(toy, "check", "--fix")
    assert result.returncode == 1
    assert "error: scikit-learn" in result.stderr
    assert "`make repro` installs" in result.stderr


def test_outputs_are_compared_with_the_lock_when_asked(toy: Project) -> None:
    toy.repro()
    (toy.root / "model/model.txt").write_text("cut")
    assert "outputs" not in lockstep(toy, "check").stdout
    result = lockstep(toy, "check", "--outputs")
    assert result.returncode == 1
    assert "model/model.txt (3 bytes) is not the file" in result.stderr


def test_what_fix_cannot_mend_is_not_said_to_be_mended_by_it(toy: Project) -> None:
    assert lockstep(toy, "check", "--fix").returncode == 0
    toy.edit("requirements/pipeline.txt", "scikit-learn==", "scikit-unlearn==")
    assert lockstep(toy, "check", "--fix").returncode == 1
    result = lockstep(toy, "check")
    assert "does not lock" in result.stderr
    assert "rewrites what is generated" not in result.stderr


def test_a_syntax_error_in_the_users_source_is_one_sentence(toy: Project) -> None:
    toy.edit("src/toy/source.py", "def load(start, end):", "def load(start, end:")
    result = lockstep(toy, "check")
    assert result.returncode == 1
    assert "src/toy/source.py:1: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("options", [(), ("--fix",)])
def test_in_the_wrong_folder_the_missing_spec_is_the_only_error(tmp_path: Path, options: tuple[str, ...]) -> None:
    result = lockstep(Project(tmp_path, {}), "check", *options)
    assert result.returncode == 1
    assert result.stderr.count("\n") == result.stderr.count("error: ") == 1
    assert "params.yaml" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"\xff\xfe", b"numpy = ", b'[tool]\nnumpy = "1"\n'])
def test_a_foreign_versions_file_is_one_error_and_fix_mends_it(toy: Project, content: bytes) -> None:
    assert lockstep(toy, "check", "--fix").returncode == 0
    (toy.root / "versions.toml").write_bytes(content)
    result = lockstep(toy, "check")
    assert (result.returncode, result.stderr.count("error: ")) == (1, 1)
    assert "versions.toml" in result.stderr
    assert lockstep(toy, "check", "--fix").stdout.startswith("rewrote versions.toml\n")
    assert lockstep(toy, "check").returncode == 0


@pytest.mark.parametrize("text", ["a: [", "<<<<<<< HEAD", "stages: {ingest: null}"])
@pytest.mark.parametrize("options", [(), ("--fix",)])
def test_a_damaged_pipeline_file_is_one_sentence(toy: Project, text: str, options: tuple[str, ...]) -> None:
    assert lockstep(toy, "check", "--fix").returncode == 0
    (toy.root / "dvc.yaml").write_text(text)
    result = lockstep(toy, "check", *options)
    assert result.returncode == 1
    assert result.stderr.startswith("error: dvc.yaml cannot be read: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["docs/data.md", "schema/params.schema.json"])
def test_a_generated_page_that_is_not_text_is_mended(toy: Project, name: str) -> None:
    assert lockstep(toy, "check", "--fix").returncode == 0
    (toy.root / name).write_bytes(b"\xff\xfe")
    assert lockstep(toy, "check").returncode == 1
    assert f"rewrote {name}" in lockstep(toy, "check", "--fix").stdout
    assert lockstep(toy, "check").returncode == 0
