"""Merging dvc.lock and its seal: the rule, the driver in a real git, and what happens without the driver."""

from __future__ import annotations

import itertools
import shutil
import sys

import pytest

from conftest import Project
from lockstep.errors import InputError
from lockstep.lock import fresh, merging, seal
from lockstep.lock.entries import parse
from lockstep.revision import git, git_bytes
from test_repro_command import REPRO, commit, repro

HEAD = "schema: '2.0'\nstages:\n"


def a_lock(**stages: str) -> bytes:
    return (HEAD + "".join(f"  {name}:\n    cmd: '{text}'\n" for name, text in stages.items())).encode()


def cmds(merged: merging.Merged) -> dict[str, str]:
    return {name: entry.cmd for name, entry in parse(merged.text).items()}


def test_what_only_one_side_changed_is_taken_and_the_text_is_dvc_s_own() -> None:
    merged = merging.merge_lock(a_lock(a="0", b="0", c="0"), a_lock(a="1", b="0", c="0"), a_lock(a="0", b="0", c="2"))
    assert merged == merging.Merged(text=a_lock(a="1", b="0", c="2").decode(), conflicts=())


def test_what_both_changed_differently_is_left_out_and_the_file_stays_readable() -> None:
    merged = merging.merge_lock(a_lock(a="0", b="0"), a_lock(a="1", b="0"), a_lock(a="2", b="0"))
    assert merged.conflicts == ("a",)
    assert cmds(merged) == {"b": "0"}
    assert merging.merge_lock(a_lock(a="0"), a_lock(a="1"), a_lock(a="2")).text == ""


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result"),
    [
        ("0", "0", "0", "0"), ("0", "1", "0", "1"), ("0", "0", "1", "1"), ("0", "1", "1", "1"), ("0", "1", "2", None),
        ("", "1", "", "1"), ("", "", "1", "1"), ("", "1", "1", "1"), ("", "1", "2", None),
        ("0", "", "0", ""), ("0", "0", "", ""), ("0", "", "", ""), ("0", "", "1", None), ("0", "1", "", None),
    ],
)  # fmt: skip
def test_every_case_of_three_versions(base: str, ours: str, theirs: str, result: str | None) -> None:
    """An empty text stands for a stage that is not there, None for a conflict."""
    versions = (a_lock(**({"a": text} if text else {}), z="0") for text in (base, ours, theirs))
    merged = merging.merge_lock(*versions)
    assert merged.conflicts == (("a",) if result is None else ())
    assert cmds(merged).get("a", "") == (result or "")


def test_the_same_rule_holds_for_the_seal() -> None:
    def sealed(**lines: str) -> bytes:
        return seal.text({name: digit * 64 for name, digit in lines.items()}).encode()

    merged = merging.merge_seal(sealed(a="0", b="0"), sealed(a="1", b="0"), sealed(a="0", b="2"))
    assert merged.text.encode() == sealed(a="1", b="2")
    assert merging.merge_seal(sealed(a="0"), sealed(a="1"), sealed(a="2")).conflicts == ("a",)


def test_sides_may_be_swapped() -> None:
    for base, ours, theirs in itertools.product("012", repeat=3):
        one = merging.merge_lock(a_lock(a=base), a_lock(a=ours), a_lock(a=theirs))
        assert one == merging.merge_lock(a_lock(a=base), a_lock(a=theirs), a_lock(a=ours))


@pytest.mark.parametrize("text", [b"<<<<<<< HEAD\n", b"stages: {a: {cmd: b}}\n", b"stages:\n    a:\n        cmd: b\n"])
def test_a_file_that_dvc_did_not_write_is_refused(text: bytes) -> None:
    with pytest.raises(InputError):
        merging.merge_lock(text, text, text)


def test_a_stage_is_taken_out_and_the_others_stay_as_they_are() -> None:
    assert merging.without(a_lock(a="0", b="1"), {"a"}) == a_lock(b="1").decode()
    assert merging.without(a_lock(a="0"), {"a"}) == ""


@pytest.fixture
def branches(toy: Project) -> Project:
    """`main` with a sealed lock, `.gitattributes`, and the driver installed by `repro`."""
    toy.edit(".gitignore", "__pycache__/", "__pycache__/\n/started")
    (toy.root / ".gitattributes").write_text("dvc.lock merge=lockstep\ndvc.lock.seal merge=lockstep\n")
    repro(toy)
    git(toy.root, "checkout", "--quiet", "-b", "main")
    commit(toy)
    return toy


def branch(toy: Project, name: str, file: str, old: str, new: str) -> None:
    """A branch off main with one edit, run and committed."""
    git(toy.root, "checkout", "--quiet", "-b", name, "main")
    toy.edit(file, old, new)
    repro(toy)
    commit(toy, name)


def merge(toy: Project, ours: str, theirs: str) -> str:
    """Merge; returns what git says about conflicts, empty when there are none."""
    git(toy.root, "checkout", "--quiet", ours)
    result = toy.run("git", "merge", "--no-edit", theirs)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def without_driver(toy: Project) -> None:
    git(toy.root, "config", "--remove-section", "merge.lockstep")


COMMENT = ("src/toy/helper.py", "WORD =", "# a word\nWORD =")
"""An edit that reruns `one` and changes nothing of what it writes."""
SEED = ("params.yaml", "seed: 1", "seed: 2")
"""An edit that reruns `two` alone."""


def test_what_one_branch_ran_is_merged_and_stays_true(branches: Project) -> None:
    branch(branches, "a", *SEED)
    git(branches.root, "checkout", "--quiet", "-b", "b", "main")
    branches.edit("params.yaml", "Is it a toy?", "Is it not?")
    commit(branches, "b")
    assert merge(branches, "b", "a") == ""
    assert fresh.stale(branches.root) == []
    assert seal.differences(fresh.read_lock(branches.root), seal.read(branches.root)) == []


def test_two_branches_that_ran_the_same_stage_stop_and_repro_settles_it(branches: Project) -> None:
    branch(branches, "a", *SEED)
    branch(branches, "b", "src/toy/stages/two.py", "text.upper()", "text.title()")
    said = merge(branches, "a", "b")
    assert "dvc.lock: both sides changed two, which was left out: `make repro` runs what is open" in said
    assert set(fresh.read_lock(branches.root)) == {"one"}
    assert set(seal.read(branches.root)) == {"one"}
    assert "<<<<" not in branches.read("dvc.lock") + branches.read("dvc.lock.seal")
    assert repro(branches) == (["two"], ["two"])
    assert branches.read("model/model.txt") == "Toy Says Hello\n"
    assert branches.read("model/card.md") == "seed 2"
    commit(branches)


def test_a_stage_after_one_that_changed_nothing_is_sealed_from_the_branch_that_ran_it(branches: Project) -> None:
    """`one` of a branch, `two` of the other, on the same word: nothing has to run, but the seal's line is new."""
    branch(branches, "a", *COMMENT)
    branch(branches, "b", *SEED)
    shutil.rmtree(branches.root / ".dvc/tmp/lockstep")
    said = merge(branches, "a", "b")
    assert "dvc.lock.seal: both sides changed two" in said
    assert "dvc.lock: both sides" not in said
    assert repro(branches) == ([], ["two"])
    commit(branches)


@pytest.mark.parametrize("edit", [COMMENT, ("src/toy/helper.py", "hello", "goodbye")], ids=["same word", "new word"])
def test_without_the_driver_git_stops_and_repro_settles_it(branches: Project, edit: tuple[str, str, str]) -> None:
    branch(branches, "a", *edit)
    branch(branches, "b", *SEED)
    without_driver(branches)
    assert "Merge conflict in dvc.lock.seal" in merge(branches, "a", "b")
    result = branches.run(sys.executable, "-c", REPRO)
    assert result.stdout.splitlines()[-1] == "nothing of this merge is open any more: `git add -A` and commit"
    assert branches.read("model/card.md") == "seed 2"
    assert branches.read("data/word.txt") == f"toy says {'goodbye' if 'hello' in edit else 'hello'}\n"
    assert not [name for name in unmerged(branches) if "<<<<<<<" in branches.read(name)]
    commit(branches)
    assert merging.onward(branches.root) is None
    assert merging.install(branches.root) is False, "repro has told git about the driver again"


def unmerged(toy: Project) -> list[str]:
    return git_bytes(toy.root, "diff", "--name-only", "--diff-filter=U").stdout.decode().split()


def test_a_lock_that_was_committed_with_its_marks_is_settled_too(branches: Project) -> None:
    text = branches.read("dvc.lock")
    (branches.root / "dvc.lock").write_text(
        text.replace(
            "        train.seed: 1\n", "<<<<<<< a\n{0}1\n=======\n{0}2\n>>>>>>> b\n".format("        train.seed: ")
        )
    )
    commit(branches)
    assert repro(branches) == (["two"], []), "it was left out, and came out as before"
    assert branches.read("dvc.lock") == text


def test_what_only_a_person_can_choose_is_named_and_how_a_rebase_goes_on(branches: Project) -> None:
    for name in ("a", "b"):
        git(branches.root, "checkout", "--quiet", "-b", name, "main")
        (branches.root / "notes.md").write_text(f"{name}\n")
        commit(branches, name)
    assert "notes.md" in merge(branches, "a", "b")
    assert merging.onward(branches.root) == "notes.md: this merge still needs you there. Then `git add -A` and commit"
    git(branches.root, "merge", "--abort")
    assert branches.run("git", "rebase", "b").returncode == 1
    (branches.root / "notes.md").write_text("both\n")
    assert merging.onward(branches.root) == (
        "nothing of this rebase is open any more: `git add -A` and `git rebase --continue`"
    )


def test_the_buttons_merge_of_two_branches_that_ran_the_same_stage_conflicts(branches: Project) -> None:
    """As on GitHub, which knows no driver: in a bare repository, by merge-tree."""
    branch(branches, "a", *COMMENT)
    branch(branches, "b", *SEED)
    bare = branches.root.parent / f"{branches.root.name}-bare.git"
    git(branches.root, "clone", "--quiet", "--bare", ".", str(bare))
    merged = git_bytes(bare, "merge-tree", "--write-tree", "--name-only", "--no-messages", "a", "b")
    assert merged.returncode == 1
    assert merged.stdout.decode().split()[1:] == ["dvc.lock.seal"], "dvc.lock alone merges, for a lock that never was"


def test_the_driver_is_installed_once_for_this_clone_alone_and_nowhere_else(toy: Project) -> None:
    shutil.rmtree(toy.root / ".git")
    assert merging.install(toy.root) is False
    assert not (toy.root / ".git").exists()
    git(toy.root, "init", "--quiet")
    assert merging.install(toy.root) is True
    assert merging.install(toy.root) is False
    driver = git(toy.root, "config", "--local", "merge.lockstep.driver")
    commit(toy)
    git(toy.root, "config", "--remove-section", "merge.lockstep")
    git(toy.root, "worktree", "add", "--quiet", ".venv/other")
    assert merging.install(toy.root / ".venv/other") is False
    assert merging.install(toy.root / "src") is True, "a project may be a folder of the repository"
    assert driver.endswith("lockstep merge-driver %O %A %B %P")


def test_the_driver_keeps_ours_when_a_version_cannot_be_read(toy: Project) -> None:
    for name, text in {"o": "", "a": "stages: 1", "b": ""}.items():
        (toy.root / name).write_text(text)
    result = toy.run("lockstep", "merge-driver", "o", "a", "b", "dvc.lock")
    assert result.returncode == 1
    assert "Ours was kept: `make repro`" in result.stderr
    assert toy.read("a") == "stages: 1"
    assert toy.run("lockstep", "merge-driver", "o", "a", "b", "README.md").returncode == 2
    assert toy.run("lockstep", "merge-driver").returncode == 2
    assert toy.run(sys.executable, "-m", "lockstep.lock.merging").returncode == 0, "importing it does nothing"
