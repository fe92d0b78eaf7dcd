from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from conftest import ROOT
from lockstep.errors import InputError
from lockstep.running import versions


def lock(root: Path, *lines: str) -> Path:
    path = root / versions.LOCK
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
    return root


def test_the_repository_s_versions_are_what_its_requirements_lock() -> None:
    assert versions.differences(ROOT) == []


def test_a_line_for_another_python_does_not_count(tmp_path: Path) -> None:
    lock(tmp_path, "numpy==1.0 ; python_full_version < '3.2' \\", "numpy==2.0 ; python_full_version >= '3.2' \\")
    assert versions.wanted(tmp_path)["numpy"] == "2.0"


def test_what_the_lock_says_and_the_file_does_not_is_named_and_mended(tmp_path: Path) -> None:
    versions.fix(lock(tmp_path, "numpy==1.0 \\", "old==3"))
    lock(tmp_path, "numpy==2.0 \\", "new==1")
    (sentence,) = versions.differences(tmp_path)
    assert "numpy 1.0 → 2.0" in sentence
    assert "new absent → 1" in sentence
    assert "old 3 → absent" in sentence
    assert versions.fix(tmp_path) == [tmp_path / versions.FILE]
    assert versions.differences(tmp_path) == []
    assert versions.fix(tmp_path) == []


def test_a_missing_or_broken_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="check --fix"):
        versions.read(tmp_path)
    (tmp_path / versions.FILE).write_text("numpy = ", encoding="utf-8")
    with pytest.raises(InputError, match="check --fix"):
        versions.read(tmp_path)


def test_another_version_than_the_recorded_one_is_a_mismatch() -> None:
    numpy = importlib.metadata.version("numpy")
    recorded = {"numpy": "0.1", "python": "2.7", "no-such-thing": "1", "click": "1"}
    assert versions.mismatches(recorded, ["numpy", "no-such-thing", "python"]) == [
        f"numpy {numpy} runs, versions.toml says 0.1",
        "no-such-thing is not installed, versions.toml says 1",
        f"python {versions.python()} runs, versions.toml says 2.7",
    ]


def test_a_package_brings_the_distributions_that_it_requires() -> None:
    known = versions.read(ROOT)
    found = versions.distributions(["sklearn", "skl2onnx"], known)
    assert {"scikit-learn", "scipy", "numpy", "joblib", "skl2onnx", "onnx", "protobuf"} <= found
    assert not found & {"pandas", "ruff", "pytest", "rich", "click"}


def test_what_cannot_reach_an_output_is_not_tracked() -> None:
    assert versions.distributions(["rich", "click", "grimp", "dvc"], versions.read(ROOT)) == set()


def test_every_top_level_name_leads_to_the_distribution_that_owns_it() -> None:
    owners = importlib.metadata.packages_distributions()
    for package in ("sklearn", "yaml", "google", "numpy", "onnxruntime", "dateutil", "pandas"):
        assert set(versions._providers(package)) <= {versions.normal(name) for name in owners[package]}


def test_a_file_that_is_not_text_is_generated_anew(tmp_path: Path) -> None:
    lock(tmp_path, "numpy==1.0")
    (tmp_path / versions.FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="check --fix"):
        versions.differences(tmp_path)
    assert versions.fix(tmp_path) == [tmp_path / versions.FILE]
    assert versions.differences(tmp_path) == []
