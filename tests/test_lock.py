from __future__ import annotations

from collections.abc import Callable

import pytest

from conftest import Project
from lockstep.errors import InputError
from lockstep.lock import data, fresh, objects
from lockstep.running import lock


@pytest.fixture
def folders(toy: Project) -> Project:
    """A stage that writes a folder, on a real DVC."""
    toy.edit(
        "dvc.yaml",
        "stages:",
        "stages:\n  folder:\n    cmd: mkdir -p out/a && echo 1 > out/a/b && echo 2 > out/c\n    outs:\n      - out",
    )
    assert toy.run("dvc", "repro", "folder").returncode == 0
    return toy


def test_our_hash_of_a_folder_is_dvc_s(folders: Project) -> None:
    recorded = lock.outputs(folders.root)["out"]
    assert recorded.md5.endswith(".dir")
    assert lock.digest(folders.root / "out") == recorded.md5
    assert lock.differences(folders.root) == []


def test_a_file_cut_off_within_a_folder_is_named(folders: Project) -> None:
    (folders.root / "out/a/b").write_text("")
    (sentence,) = lock.differences(folders.root)
    assert sentence.startswith("out is not the file that dvc.lock records")
    (sentence,) = data.differences(folders.root, fresh.read_lock(folders.root))
    assert sentence.startswith("out/a/b (0 bytes) is not the file that dvc.lock records: it was cut off or edited")


def test_a_file_that_a_folder_lacks_or_has_besides_is_named(folders: Project) -> None:
    (folders.root / "out/a/b").unlink()
    (folders.root / "out/d").write_text("")
    sentences = data.differences(folders.root, fresh.read_lock(folders.root))
    assert sentences[0].startswith("out/a/b, which dvc.lock names, is missing")
    assert sentences[1] == "out/d is not in what dvc.lock records"


def test_without_a_lock_nothing_differs(toy: Project) -> None:
    assert lock.outputs(toy.root) == {}
    assert lock.differences(toy.root) == []


def test_a_lock_that_git_could_not_merge_is_an_error(toy: Project) -> None:
    (toy.root / "dvc.lock").write_text("<<<<<<< HEAD\n  a: 1\n=======\n")
    with pytest.raises(InputError, match="dvc.lock cannot be read"):
        lock.outputs(toy.root)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]", "it is not a mapping"),
        ("<<<<<<< HEAD", "it is not a mapping"),
        ("stages: [1]", "stages is not a mapping"),
        ("stages: {a: null}", "stages.a is not a mapping"),
        ("stages: {a: {outs: 3}}", "stages.a.outs is not a list"),
        ("stages: {a: {outs: [1]}}", "an item of stages.a.outs is not a mapping"),
        ("stages: {a: {outs: [{md5: abc}]}}", "a path of stages.a.outs is not a text"),
        ("stages: {a: {outs: [{path: b, md5: 1}]}}", "an md5 of stages.a.outs is not a text"),
    ],
)
def test_a_lock_of_another_shape_is_an_error_that_names_the_place(toy: Project, text: str, complaint: str) -> None:
    (toy.root / "dvc.lock").write_text(text)
    with pytest.raises(InputError, match=complaint):
        lock.outputs(toy.root)


def test_a_truncated_copy_in_the_cache_is_found_and_what_mends_it_mends_it(toy: Project) -> None:
    toy.repro()
    right = toy.read("model/model.txt")
    copy = objects.find(toy.root, lock.outputs(toy.root)["model/model.txt"].md5)
    assert copy
    copy.chmod(0o644)
    copy.write_text(right[:4])
    copy.chmod(0o444)  # DVC hashes a writable object again, and believes a protected one
    (toy.root / "model/model.txt").unlink()
    assert toy.run("dvc", "checkout").returncode == 0
    assert toy.read("model/model.txt") == right[:4], "DVC believes its cache"
    assert "up to date" in toy.repro().stdout

    (sentence,) = lock.differences(toy.root)
    assert "or DVC's copy of it is damaged. `make repro` brings back the right one" in sentence
    (damage,) = data.damages(toy.root, fresh.read_lock(toy.root))
    assert f"DVC's copy of it, {data.shown(toy.root, copy)}, is damaged" in damage.sentence
    assert data.mend(toy.root, [damage]) == ["removed DVC's copy of model/model.txt, which was damaged"]
    toy.repro()
    assert toy.read("model/model.txt") == right
    assert lock.differences(toy.root) == []


def test_the_cache_is_where_dvc_s_configuration_says(toy: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("shared")
    (toy.root / ".dvc/config.local").write_text(f"[cache]\n    dir = {place}\n")
    toy.repro()
    md5 = lock.outputs(toy.root)["model/model.txt"].md5
    assert objects.find(toy.root, md5) == place / "files/md5" / md5[:2] / md5[2:]
    assert objects.find(toy.root, "../" * 10 + "etc/passwd") is None
    assert not (toy.root / ".dvc/cache").exists()


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_text("HEL")], ids=["gone", "cut"]
)
def test_a_model_damaged_in_the_workspace_comes_back_by_itself(toy: Project, damage: Callable) -> None:
    toy.repro()
    right = toy.read("model/model.txt")
    damage(toy.root / "model/model.txt")
    assert lock.differences(toy.root)
    toy.repro()
    assert toy.read("model/model.txt") == right
    assert lock.differences(toy.root) == []
