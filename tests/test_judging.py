"""Which files take part in judging: all but those that are known to be harmless."""

from __future__ import annotations

import subprocess

import pytest

from conftest import ROOT
from lockstep import judging

JUDGE = {
    ".github/workflows/pull-request.yml": "workflows", ".ci/run": "workflows",
    "requirements/pipeline.txt": "requirements", "pyproject.toml": "requirements", "versions.toml": "requirements",
    "uv.toml": "requirements", "setup.py": "requirements", "yaml.py": "requirements", "src/yaml.py": "requirements",
    "pip.conf": "requirements", "src/lockstep/cli.py": "Lockstep itself", ".venv/bin/lockstep": "Lockstep itself",
    "src/sitecustomize.py": "Lockstep itself", "sitecustomize/__init__.py": "Lockstep itself",
    "src/lockstep/x.md": "Lockstep itself", "Makefile": "the pipeline", "makefile": "the pipeline",
    "GNUmakefile": "the pipeline", "dvc.yaml": "the pipeline", "tests/dvc.yaml": "the pipeline",
    ".dvcignore": "the pipeline", ".dvc/config": "remotes", ".dvc/config.local": "remotes",
    ".gitattributes": "how locks are merged", "docs/.gitattributes": "how locks are merged",
}  # fmt: skip
RUN = [
    "src/flights/source.py",
    "src/flights/data.csv",
    "scripts/x.sh",
    ".gitmodules",
    "a.txt",
    "schema/x.json",
    "deep/x.md",
]
HARMLESS = [
    "params.yaml", "dvc.lock", "dvc.lock.seal", "reports/metrics.json", "model/card.md", "docs/a/b.png", "README.md",
    "LICENSE", "schema/params.schema.json", "data/raw.dvc", ".gitignore", "data/.gitignore", "tests/test_x.py",
    "benchmarks/report.py",
]  # fmt: skip


@pytest.mark.parametrize(("path", "group"), JUDGE.items())
def test_what_changes_who_judges_is_named(path: str, group: str) -> None:
    assert judging.group(path) == group
    assert judging.judges(path)


@pytest.mark.parametrize("path", RUN)
def test_whatever_is_not_known_runs_while_it_is_judged(path: str) -> None:
    assert judging.group(path) == judging.RUNS
    assert not judging.judges(path)


@pytest.mark.parametrize("path", HARMLESS)
def test_what_is_harmless_has_no_part(path: str) -> None:
    assert judging.group(path) == ""
    assert not judging.judges(path)


@pytest.mark.parametrize("path", ["dvc.lock\n", "x\nREADME.md/y.sh", "params.yaml/x", "src/docs/x.py", "xtests/y.py"])
def test_a_name_that_only_looks_harmless_is_not(path: str) -> None:
    assert judging.group(path)


def test_each_file_of_this_repository_is_where_it_belongs() -> None:
    said = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    others = {path for path in said if path and judging.group(path) == judging.RUNS}
    assert all(path.startswith("src/flights/") for path in others)
