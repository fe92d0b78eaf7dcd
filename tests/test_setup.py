"""Set-up without setting up: the Makefile, the requirements, the CI script. CI itself runs them for real."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, Project, require

LOCKS = ("uv.txt", "pipeline.txt", "dev.txt")
TARGETS = {
    "repro", "verify", "report", "serve", "test", "check", "bench", "bench-serving", "lock", "clean", "help",
}  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Project:
    """The files that decide about set-up, and an environment that is there already."""
    require(shutil.which("make"), "make")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "tests/node/node_modules").mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests/node" / name, tmp_path / "tests/node")
    (tmp_path / "tests/node/node_modules/.installed").touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for stamp in (".uv", ".pipeline", ".release", ".dev"):
        (tmp_path / ".venv" / stamp).touch()
    return Project(tmp_path, {})


def steps(copy: Project, target: str) -> str:
    """What make would do."""
    result = copy.run("make", "--dry-run", target)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_make_alone_lists_every_target_with_a_sentence(copy: Project) -> None:
    lines = copy.run("make").stdout.splitlines()
    assert {line.split()[1] for line in lines} == TARGETS
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("target", ["repro", "serve", "test", "check", "bench", "bench-serving"])
def test_a_second_call_does_not_set_up_again(copy: Project, target: str) -> None:
    assert "uv pip" not in steps(copy, target)
    assert "venv" not in steps(copy, target)


def test_repro_needs_no_tool_of_developers(copy: Project) -> None:
    (copy.root / ".venv/.dev").unlink()
    assert "uv pip" not in steps(copy, "repro")
    assert "dev.txt" in steps(copy, "test")


def test_changed_requirements_are_installed_again(copy: Project) -> None:
    (copy.root / ".venv/.pipeline").unlink()
    assert "uv pip sync" in steps(copy, "repro")
    assert "--require-hashes" in steps(copy, "repro")
    assert "-m venv" not in steps(copy, "repro")


def test_an_interrupted_set_up_starts_again(copy: Project) -> None:
    (copy.root / ".venv/.uv").unlink()
    assert "-m venv --clear" in steps(copy, "repro")


def test_a_python_that_does_not_fit_is_refused_by_name(copy: Project) -> None:
    (copy.root / ".venv/.uv").unlink()
    (copy.root / "old").write_text("#!/bin/sh\nexit 1\n")
    (copy.root / "old").chmod(0o755)
    result = copy.run("make", "repro", "PYTHON=./old")
    assert result.returncode != 0
    assert "./old is not Python 3.11, 3.12 or 3.13" in result.stderr


@pytest.mark.parametrize("name", LOCKS)
def test_requirements_are_hashed_and_name_no_index_and_no_path(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    pinned = re.findall(r"^[\w.-]+==.*(?:\n +.*)*", text, flags=re.MULTILINE)
    assert pinned
    assert all("--hash=sha256:" in entry for entry in pinned)
    assert "://" not in text
    assert not re.search(r"--(index|extra-index|find-links)|(^|\s)/", text)


def test_tools_use_the_same_versions_as_the_pipeline() -> None:
    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        return dict(re.findall(r"^([\w.-]+)==([^\s;]+)[^;\n]*$", text, flags=re.MULTILINE))

    pipeline, dev = pins("pipeline.txt"), pins("dev.txt")
    assert {name for name in pipeline.keys() & dev if pipeline[name] != dev[name]} == set()


def test_every_dependency_of_the_package_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = (ROOT / "requirements/pipeline.txt").read_text(encoding="utf-8")
    for requirement in project["dependencies"]:
        name = re.match(r"[\w.-]+", requirement)[0].replace(".", "-")
        assert f"\n{name}==" in locked


def test_the_stub_named_cml_is_nowhere_required() -> None:
    for path in (ROOT / "requirements").iterdir():
        assert not re.search(r"^cml\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_ci_script_is_valid_and_stops_at_the_first_failure() -> None:
    script = ROOT / ".ci" / "run"
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert "LOCKSTEP_REQUIRE=all" in text
    assert text.rstrip().endswith("make test")


def test_git_ignores_what_dvc_keeps_and_nothing_else_that_stages_write() -> None:
    """DVC adds to .gitignore only after a run that ended well; a failed one must not leave data to be committed."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = [out for stage in stages.values() for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    named = [(out, {}) if isinstance(out, str) else next(iter(out.items())) for out in outs]
    for path, flags in named:
        asked = ["git", "check-ignore", "--no-index", "--verbose", path]
        rule = subprocess.run(asked, cwd=ROOT, text=True, capture_output=True).stdout.partition("\t")[0]
        ignored = rule != "" and not rule.rpartition(":")[2].startswith("!")
        assert ignored == flags.get("cache", True), path
