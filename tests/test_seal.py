"""The seal: what its lines cover, and what they do when two branches meet in a git that knows nothing of Lockstep."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lockstep.errors import InputError
from lockstep.lock import seal
from lockstep.lock.entries import Entries, parse
from lockstep.revision import git, git_bytes


def a_lock(**code: str) -> str:
    """ingest → prepare → train → evaluate, and `other`, which nobody reads; a stage's code as a hash."""
    hashes = {name: code.get(name, "0") for name in ("ingest", "prepare", "train", "evaluate", "other")}
    before = {"prepare": "ingest", "train": "prepare", "evaluate": "train"}
    made: dict[str, str] = {}
    text = "schema: '2.0'\nstages:\n"
    for name, mark in hashes.items():
        read = before.get(name)
        made[name] = f"{mark}{made.get(read or '', '')}".ljust(32, "0")[:32]
        text += f"  {name}:\n    cmd: run {name}\n    deps:\n"
        if read:
            text += f"    - path: data/{read}\n      hash: md5\n      md5: {made[read]}\n      size: 1\n"
        text += f"    - path: src/{name}.py\n      hash: md5\n      md5: {mark * 32}\n      size: 1\n"
        text += f"    outs:\n    - path: data/{name}\n      hash: md5\n      md5: {made[name]}\n      size: 1\n"
    return text


def lines(text: str) -> dict[str, str]:
    return seal.lines(parse(text))


def changed(one: str, other: str) -> set[str]:
    left, right = lines(one), lines(other)
    return {name for name in left if left[name] != right[name]}


def test_a_line_changes_with_its_entry_and_with_everything_before_it() -> None:
    assert changed(a_lock(), a_lock(evaluate="1")) == {"evaluate"}
    assert changed(a_lock(), a_lock(prepare="1")) == {"prepare", "train", "evaluate"}
    assert changed(a_lock(), a_lock(other="1")) == {"other"}


def test_an_upstream_change_that_leaves_the_result_alone_changes_the_lines_after_it_too() -> None:
    edited = a_lock().replace("run ingest", "run ingest faster")
    assert changed(a_lock(), edited) == {"ingest", "prepare", "train", "evaluate"}


def test_the_order_of_stages_and_of_keys_does_not_matter() -> None:
    text = a_lock()
    reordered = text.replace(
        "      hash: md5\n      md5: " + "0" * 32 + "\n", "      md5: " + "0" * 32 + "\n      hash: md5\n"
    )
    assert reordered != text
    assert lines(reordered) == lines(text)
    head, *blocks = text.split("\n  other:")
    swapped = head.replace("stages:\n", "stages:\n  other:" + blocks[0], 1)
    assert lines(swapped) == lines(text)


def test_a_file_in_a_folder_and_a_path_from_a_stage_s_own_folder_count_as_read() -> None:
    text = a_lock().replace("path: data/ingest\n", "path: data/ingest/a.csv\n", 1)
    assert seal.upstream(parse(text), "prepare") == ["ingest"]
    text = a_lock().replace("- path: data/prepare\n", "- path: ../data/prepare\n", 1)
    assert seal.upstream(parse(text), "train") == ["prepare"]


def test_stages_in_a_circle_are_an_error() -> None:
    text = a_lock().replace("src/ingest.py", "data/evaluate")
    with pytest.raises(InputError, match="ingest, evaluate, train, prepare of dvc.lock depend on one another"):
        lines(text)


def test_what_is_written_is_read_again_and_writing_the_same_changes_nothing(tmp_path: Path) -> None:
    sealed = lines(a_lock())
    assert seal.write(tmp_path, sealed)
    assert seal.read(tmp_path) == sealed
    assert not seal.write(tmp_path, sealed)
    assert len((tmp_path / seal.FILE).read_text().splitlines()) == 2 + len(sealed)
    assert list(seal.read(tmp_path)) == list(sealed)


@pytest.mark.parametrize(
    "line", ["<<<<<<< HEAD", "train abc", "train " + "0" * 63, "a " + "0" * 64 + "\na " + "1" * 64]
)
def test_anything_but_lines_is_an_error_that_names_the_place(line: str) -> None:
    with pytest.raises(InputError, match=r"dvc.lock.seal:\d is not a line of a seal: `make repro`"):
        seal.parse(f"# comment\n{line}\n".encode())


def test_each_way_in_which_a_seal_does_not_cover_the_lock_is_a_sentence() -> None:
    entries: Entries = parse(a_lock())
    right = seal.lines(entries)
    assert seal.differences(entries, right) == []
    lacking = {name: line for name, line in right.items() if name != "train"}
    assert seal.differences(entries, lacking) == [
        "train: dvc.lock.seal has no line for it: it is not known to have run"
    ]
    assert seal.differences(entries, right | {"gone": "0" * 64}) == [
        "gone: dvc.lock.seal has a line for it, dvc.lock has no entry"
    ]
    wrong = seal.differences(parse(a_lock(train="1")), right)
    assert [sentence.partition(":")[0] for sentence in wrong] == ["train", "evaluate"]


def merge_as_on_github(folder: Path, base: str, ours: str, theirs: str) -> set[str]:
    """What conflicts when two branches with these locks, each with its seal, are merged as text; or nothing."""
    git(folder, "init", "--quiet", "--initial-branch", "main")
    for branch, text in (("base", base), ("ours", ours), ("theirs", theirs)):
        if branch != "base":
            git(folder, "checkout", "--quiet", "-B", branch, "base")
        else:
            git(folder, "checkout", "--quiet", "-B", branch)
        (folder / ".gitattributes").write_text("dvc.lock merge=lockstep\ndvc.lock.seal merge=lockstep\n")
        (folder / "dvc.lock").write_text(text)
        seal.write(folder, lines(text))
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--allow-empty", "--message", branch)
    merged = git_bytes(folder, "merge-tree", "--write-tree", "--name-only", "--no-messages", "ours", "theirs")
    return set(merged.stdout.decode().splitlines()[1:]) if merged.returncode else set()


def test_two_branches_that_ran_the_same_stage_conflict_in_the_seal(tmp_path: Path) -> None:
    assert seal.FILE in merge_as_on_github(tmp_path, a_lock(), a_lock(train="1"), a_lock(train="2"))


def test_two_branches_that_ran_different_stages_of_a_chain_conflict_in_the_seal(tmp_path: Path) -> None:
    """dvc.lock itself merges: only the seal knows that `evaluate` never ran on that model."""
    one = a_lock().replace("run prepare", "run prepare faster")
    assert merge_as_on_github(tmp_path, a_lock(), one, a_lock(evaluate="2")) == {seal.FILE}


def test_a_branch_that_ran_nothing_merges_and_the_seal_still_covers_the_lock(tmp_path: Path) -> None:
    assert merge_as_on_github(tmp_path, a_lock(), a_lock(train="1"), a_lock()) == set()


def test_two_branches_that_ran_the_same_to_the_same_end_merge(tmp_path: Path) -> None:
    assert merge_as_on_github(tmp_path, a_lock(), a_lock(train="1"), a_lock(train="1")) == set()


def test_no_seal_that_git_merges_without_a_word_covers_a_lock_that_never_ran(tmp_path: Path) -> None:
    """Every pair of changes: either git stops, or every line is one that a branch had, and right."""
    stages = ("ingest", "prepare", "train", "evaluate", "other")
    for number, (one, other) in enumerate((a, b) for a in stages for b in stages):
        folder = tmp_path / str(number)
        folder.mkdir()
        ours, theirs = a_lock(**{one: "1"}), a_lock(**{other: "2"})
        if merge_as_on_github(folder, a_lock(), ours, theirs):
            continue
        tree = subprocess.run(
            ["git", "merge-tree", "--write-tree", "ours", "theirs"], cwd=folder, capture_output=True, text=True
        ).stdout.split()[0]
        entries = parse(git_bytes(folder, "cat-file", "blob", f"{tree}:dvc.lock").stdout)
        sealed = seal.parse(git_bytes(folder, "cat-file", "blob", f"{tree}:{seal.FILE}").stdout)
        assert seal.differences(entries, sealed) == [], (one, other)
        assert "other" in (one, other), "all the others depend on one another"
