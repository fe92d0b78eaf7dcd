"""What partitions hang on beside the window."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import lay
from lockstep.sources import imports
from lockstep.sources.closure import code_hash

SHOP = {
    "shop/__init__.py": "",
    "shop/source.py": "from shop import prices\n\ndef load(start, end):\n    return prices.table()\n",
    "shop/prices.py": "from shop import rates\n",
    "shop/rates.py": "RATE = 1\n",
    "shop/notes.txt": "not code\n",
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lay(tmp_path, SHOP)
    monkeypatch.syspath_prepend(str(tmp_path))
    imports.forget()
    return tmp_path


def hash_of(shop: Path) -> str:
    imports.forget()
    return code_hash("shop.source", shop)


@pytest.mark.parametrize("module", ["source.py", "prices.py", "rates.py"])
@pytest.mark.parametrize("whole", [True, False], ids=["a package needed whole", "a package needed in part"])
def test_any_module_that_the_source_imports_changes_the_hash(shop: Path, module: str, whole: bool) -> None:
    if whole:
        (shop / "shop" / "notes.txt").unlink()
    before = hash_of(shop)
    assert hash_of(shop) == before
    with (shop / "shop" / module).open("a") as file:
        file.write("# changed\n")
    assert hash_of(shop) != before


def test_a_module_that_the_source_does_not_import_does_not_change_the_hash(shop: Path) -> None:
    before = hash_of(shop)
    (shop / "shop" / "other.py").write_text("X = 1\n")
    assert hash_of(shop) == before
