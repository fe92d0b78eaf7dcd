from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT, lay
from lockstep.errors import InputError
from lockstep.sources import imports

FILES = {
    "src/shop/__init__.py": "from shop import empty, names",
    "src/shop/names.py": "NAMES = []",
    "src/shop/empty.py": "",
    "src/shop/load.py": "def load():\n    from shop.deep import clean\n    import numpy\n",
    "src/shop/deep/__init__.py": "import yaml",
    "src/shop/deep/clean.py": "import json",
    "src/shop/unused.py": "import pandas",
    "src/alone.py": "import shop.deep.clean\nfrom shop import unused\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    lay(tmp_path, FILES)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    imports.forget()
    yield tmp_path
    imports.forget()


def test_the_files_behind_a_module_include_imports_in_functions_and_every_parent_package(root: Path) -> None:
    found = imports.closure(["shop.load"], root)
    assert found.files == (
        "src/shop/__init__.py",
        "src/shop/deep/__init__.py",
        "src/shop/deep/clean.py",
        "src/shop/load.py",
        "src/shop/names.py",
    )
    assert found.packages == {"numpy", "yaml"}
    assert not found.installed


def test_an_empty_file_is_not_listed_for_dvc_would_warn_about_it_on_every_run(root: Path) -> None:
    assert "src/shop/empty.py" not in imports.closure(["shop.empty"], root).files


def test_a_package_that_is_needed_whole_is_one_entry(root: Path) -> None:
    (root / "src/shop/deep/more.py").write_text("import shop.deep.clean")
    assert "src/shop/deep" in imports.closure(["shop.deep.more"], root).files
    (root / "src/shop/deep/idle.py").write_text("")
    imports.forget()
    assert "src/shop/deep/more.py" in imports.closure(["shop.deep.more"], root).files


def test_a_module_in_no_package_is_read_too(root: Path) -> None:
    found = imports.closure(["alone"], root)
    assert {"src/alone.py", "src/shop/deep/clean.py", "src/shop/unused.py"} <= set(found.files)
    assert found.packages == {"yaml", "pandas"}


def test_lockstep_outside_of_the_repository_is_not_a_file_of_it(root: Path) -> None:
    found = imports.closure(["lockstep.errors"], root)
    assert found.installed
    assert not found.files


def test_a_module_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(InputError, match="no module `shop.lod`"):
        imports.closure(["shop.lod"], root)


def test_our_own_stages_are_files_of_this_repository() -> None:
    found = imports.closure(["lockstep.stages.ingest"], ROOT)
    assert "src/lockstep/stages/__init__.py" in found.files
    assert not found.installed
