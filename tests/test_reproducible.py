"""Bit for bit: the same commit gives the same lock in another clone, at another path, under other settings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, Project

SHORT = {'until: "2013-11-01"': 'until: "2013-04-01"', "holdout: 3 months": "holdout: 1 month"}

LINEAR = SHORT | {
    "sklearn.ensemble.HistGradientBoostingClassifier": "sklearn.linear_model.LogisticRegression",
    "params: {learning_rate: 0.06, max_leaf_nodes: 63}": "params: {C: 0.5, max_iter: 200}",
}


def clone(folder: Path, changes: dict[str, str]) -> Project:
    """The files of this repository without lock and data, with changes to params.yaml."""
    folder.mkdir(parents=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    project = Project(folder, {})
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    for old, new in changes.items():
        project.edit("params.yaml", old, new)
    assert project.run("git", "init", "--quiet").returncode == 0
    assert project.run("lockstep", "check", "--fix").returncode == 0
    return project


def hashes(project: Project) -> dict[str, str]:
    """The hash of every output, by path."""
    stages = yaml.safe_load(project.read("dvc.lock"))["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("changes", [SHORT, LINEAR], ids=["the example's estimator", "a linear one"])
def test_another_clone_with_other_settings_gives_the_same_lock(tmp_path: Path, changes: dict[str, str]) -> None:
    here = clone(tmp_path / "here", changes)
    there = clone(tmp_path / "some where" / "else", changes)
    here.repro(PYTHONHASHSEED="1", OMP_NUM_THREADS="1", OPENBLAS_CORETYPE="Haswell", TZ="UTC")
    there.repro(
        PYTHONHASHSEED="77",
        OMP_NUM_THREADS="2",
        OPENBLAS_NUM_THREADS="2",
        OPENBLAS_CORETYPE="SkylakeX",
        TZ="Asia/Tokyo",
    )
    assert hashes(there) == hashes(here)
    assert there.read("dvc.lock") == here.read("dvc.lock")
    for name in ("reports/metrics.json", "model/card.md"):
        assert there.read(name) == here.read(name)
