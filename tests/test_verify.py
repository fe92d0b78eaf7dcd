"""`lockstep verify`: true or untrue, and why; without data, with it, by rebuilding."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Project
from lockstep.errors import InputError, OutsideError
from lockstep.lock import fresh, seal, verify
from lockstep.lock.entries import Entry
from lockstep.remotes import child
from lockstep.revision import git
from test_repro_command import commit, repro


@pytest.fixture
def sealed(toy: Project) -> Project:
    """All has run, is sealed and committed."""
    repro(toy)
    commit(toy)
    return toy


@pytest.fixture
def kept(sealed: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """And a remote has it."""
    remote = tmp_path_factory.mktemp("remote")
    (sealed.root / ".dvc/config").write_text(f"[core]\n    remote = main\n['remote \"main\"']\n    url = {remote}\n")
    assert sealed.run("dvc", "push").returncode == 0
    commit(sealed)
    return sealed


def findings(toy: Project, **how: object) -> list[tuple[str, str]]:
    return [(each.check, each.sentence) for each in verify.verify(toy.root, **how).findings]


def test_a_sealed_lock_is_true_also_without_data_and_cache(sealed: Project) -> None:
    shutil.rmtree(sealed.root / ".dvc/cache")
    shutil.rmtree(sealed.root / "data")
    (sealed.root / "model/model.txt").unlink()
    answer = verify.verify(sealed.root)
    assert answer.is_true
    assert answer.checks == ("lock", "seal")
    assert answer.notes == ("no remote is configured: nothing but this machine is known to hold data and model",)


def test_nothing_in_the_tree_changes(sealed: Project) -> None:
    before = {path: path.stat().st_mtime_ns for path in sealed.root.rglob("*") if path.is_file()}
    verify.verify(sealed.root, bytes_=True)
    assert {path: path.stat().st_mtime_ns for path in sealed.root.rglob("*") if path.is_file()} == before


def test_without_a_lock_it_is_untrue(toy: Project) -> None:
    assert findings(toy) == [("lock", "there is no dvc.lock, or nothing in it: `make repro` writes it")]


def edit(name: str, old: str, new: str) -> Callable[[Project], None]:
    return lambda toy: toy.edit(name, old, new)


@pytest.mark.parametrize(
    ("lie", "check", "sentence"),
    [
        (edit("params.yaml", "seed: 1", "seed: 2"), "lock", "two: train.seed in params.yaml changed"),
        (edit("src/toy/helper.py", "hello", "hi"), "lock", "one: src/toy/helper.py, which it reads, changed"),
        (edit("dvc.lock", "size: 15", "size: 16"), "seal", "one: its line in dvc.lock.seal is not that of its entry"),
        (edit("reports/metrics.json", "15", "16"), "lock", "two: reports/metrics.json, which git keeps of it, changed"),
        (lambda toy: (toy.root / seal.FILE).unlink(), "seal", "one: dvc.lock.seal has no line for it"),
        (edit(seal.FILE, "one ", "<<<<<<< "), "seal", "dvc.lock.seal:3 is not a line of a seal"),
        (edit("dvc.yaml", "  two:\n", "  zwei:\n"), "lock", "zwei: dvc.lock has no entry for it"),
    ],
)  # fmt: skip
def test_each_lie_is_named(sealed: Project, lie: Callable[[Project], None], check: str, sentence: str) -> None:
    lie(sealed)
    assert [each for each in findings(sealed) if each[0] == check and each[1].startswith(sentence)]


def test_a_lie_that_fits_together_is_found_by_the_seal(sealed: Project) -> None:
    """The spec and the lock are edited alike: DVC calls it up to date."""
    sealed.edit("params.yaml", "seed: 1", "seed: 2")
    sealed.edit("dvc.lock", "train.seed: 1", "train.seed: 2")
    assert fresh.stale(sealed.root) == []
    assert [check for check, _ in findings(sealed)] == ["seal"]


def test_a_forged_seal_is_found_by_the_rebuild_alone(sealed: Project) -> None:
    right = fresh.read_lock(sealed.root)["two"].outs["model/model.txt"]
    sealed.edit("dvc.lock", right, "a" * 32)
    seal.write(sealed.root, seal.lines(fresh.read_lock(sealed.root)))
    commit(sealed)
    assert findings(sealed) == []
    said: list[str] = []
    assert findings(sealed, again=True, progress=said.append) == [
        ("rebuild", "two: model/model.txt came out otherwise than dvc.lock says")
    ]
    assert said == ["one: byte for byte the same: data/word.txt", "two: NOT the same"]


def test_what_the_remote_holds_is_enough_and_what_it_lacks_is_named(kept: Project) -> None:
    shutil.rmtree(kept.root / ".dvc/cache")
    answer = verify.verify(kept.root)
    assert answer.is_true
    assert answer.checks == ("lock", "seal", "remote `main`")
    md5 = fresh.read_lock(kept.root)["two"].outs["model/model.txt"]
    remote = Path(kept.run("dvc", "remote", "list").stdout.split()[1])
    (remote / "files/md5" / md5[:2] / md5[2:]).unlink()
    assert findings(kept) == [("remote `main`", "model/model.txt: not in remote `main`: `lockstep push` sends it")]


def test_what_waits_in_the_remote_of_pull_requests_is_not_missing(
    kept: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pr = tmp_path_factory.mktemp("pr")
    with (kept.root / ".dvc/config").open("a") as file:
        file.write(f"['remote \"pr\"']\n    url = {pr}\n")
    kept.edit("params.yaml", "name: toy", "name: ball")
    repro(kept)
    assert [check for check, _ in findings(kept)] == ["remote `main`"]
    assert kept.run("dvc", "push", "--remote", "pr").returncode == 0
    answer = verify.verify(kept.root)
    assert answer.is_true
    assert answer.notes == ("2 objects are in remote `pr` only, until they are merged",)
    assert findings(kept, remote="main") != []


def test_the_files_of_a_folder_are_looked_for_though_its_listing_is_not_here(
    kept: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage = "  keep:\n    cmd: mkdir -p kept && cp params.yaml kept/\n    deps: [params.yaml]\n    outs: [kept]\n"
    (kept.root / "dvc.yaml").write_text(kept.read("dvc.yaml").rstrip() + "\n" + stage)
    repro(kept)
    assert kept.run("dvc", "push").returncode == 0
    shutil.rmtree(kept.root / ".dvc/cache")
    assert findings(kept) == []
    shutil.rmtree(kept.root / ".dvc/cache")
    remote = Path(kept.run("dvc", "remote", "list").stdout.split()[1])
    md5 = kept.run("md5sum", "params.yaml").stdout.split()[0]
    (remote / "files/md5" / md5[:2] / md5[2:]).unlink()
    assert findings(kept) == [("remote `main`", "kept/params.yaml: not in remote `main`: `lockstep push` sends it")]


def test_bytes_that_dvc_calls_clean_are_found_in_cache_and_work_tree(sealed: Project) -> None:
    assert findings(sealed, bytes_=True) == []
    md5 = fresh.read_lock(sealed.root)["one"].outs["data/word.txt"]
    copy = sealed.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    copy.chmod(0o644)
    copy.write_text("toy")
    copy.chmod(0o444)
    (sealed.root / "data/word.txt").unlink()
    assert sealed.run("dvc", "checkout").returncode == 0
    assert "up to date" in sealed.repro().stdout
    assert findings(sealed) == []
    sentences = [sentence for check, sentence in findings(sealed, bytes_=True) if check == "data"]
    assert len(sentences) == 2
    assert sentences[0].startswith("data/word.txt (3 bytes) is not the file that dvc.lock records: DVC's copy of it, ")
    assert sentences[1].startswith("DVC's copy of data/word.txt is damaged: .dvc/cache/files/md5/")


def test_a_rebuild_of_an_honest_lock_is_true_and_of_uncommitted_changes_refused(sealed: Project) -> None:
    answer = verify.verify(sealed.root, again=True)
    assert answer.is_true
    assert answer.checks == ("lock", "seal", "rebuild")
    assert git(sealed.root, "worktree", "list").count("\n") == 0
    sealed.edit("params.yaml", "seed: 1", "seed: 2")
    with pytest.raises(InputError, match=r"a rebuild verifies a commit, and params.yaml changed"):
        verify.verify(sealed.root, again=True)


def test_what_a_rebuild_may_find_is_said_stage_by_stage() -> None:
    recorded = Entry(name="ingest", cmd="a", deps={"x": "1"}, outs={"y": "2"}, params={"p": {"q": 1}})
    assert list(verify.compare(recorded, recorded)) == []
    other = Entry(name="ingest", cmd="a", deps={"x": "3"}, outs={"y": "4"}, params={"p": {"q": 2}})
    assert list(verify.compare(recorded, other, from_source=True)) == [
        "ingest: y came out otherwise than dvc.lock says: the source may have changed since",
        "ingest: it read another x than dvc.lock says",
        "ingest: it ran with other parameters or versions than dvc.lock says",
    ]


def test_on_another_platform_it_says_so(sealed: Project) -> None:
    sealed.edit("versions.toml", 'platform = "linux/amd64"', 'platform = "linux/riscv"')
    sealed.edit("versions.toml", 'python = "3.', 'python = "2.')
    (note,) = verify.elsewhere(sealed.root)
    assert "not linux/riscv and Python 3." in note
    assert note.endswith("the last bits of results may differ here, and CI's lock counts")


def test_the_command_says_true_or_untrue_and_exits_with_0_or_3(sealed: Project) -> None:
    fine = sealed.run("lockstep", "verify")
    assert (fine.returncode, fine.stdout) == (0, "true: lock, seal\n")
    assert fine.stderr.startswith("note: no remote is configured")
    sealed.edit("params.yaml", "seed: 1", "seed: 2")
    wrong = sealed.run("lockstep", "verify")
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert wrong.stderr.splitlines()[0] == "untrue: two: train.seed in params.yaml changed"
    assert wrong.stderr.splitlines()[-1].endswith("`make repro` makes lock and seal true")
    machine = sealed.run("lockstep", "verify", "--json")
    assert machine.returncode == 3
    assert json.loads(machine.stdout)["true"] is False
    assert json.loads(machine.stdout)["findings"][0]["check"] == "lock"


def test_a_remote_that_cannot_be_reached_is_exit_code_4_and_an_unknown_one_1(kept: Project) -> None:
    assert kept.run("lockstep", "verify", "--remote", "elsewhere").returncode == 1
    (kept.root / ".dvc/config").write_text(
        "[core]\n    remote = main\n['remote \"main\"']\n    url = https://127.0.0.1:9/none\n"
    )
    result = kept.run("lockstep", "verify")
    assert result.returncode == 4, result.stderr


def test_it_takes_about_a_second(kept: Project) -> None:
    start = time.monotonic()
    subprocess.run(["lockstep", "verify"], cwd=kept.root, check=True, capture_output=True)
    assert time.monotonic() - start < 6, "1.5 s are promised on a quiet machine; tests share theirs"


def test_an_object_that_was_cut_off_in_the_remote_is_untrue(kept: Project) -> None:
    remote = Path(kept.run("dvc", "remote", "list").stdout.split()[1])
    md5 = fresh.read_lock(kept.root)["two"].outs["model/model.txt"]
    copy = remote / "files/md5" / md5[:2] / md5[2:]
    copy.chmod(0o644)
    copy.write_text("TOY")
    ((check, sentence),) = findings(kept)
    assert check == "remote `main`"
    assert sentence.startswith("model/model.txt: remote `main` holds object")
    shutil.rmtree(kept.root / ".dvc/cache")
    assert [check for check, _ in findings(kept)] == ["remote `main`"], "also where only dvc.lock knows its size"


def test_it_is_not_the_remote_s_object_that_is_damaged_when_the_copy_here_is(kept: Project) -> None:
    stage = "  keep:\n    cmd: mkdir -p kept && cp params.yaml kept/\n    deps: [params.yaml]\n    outs: [kept]\n"
    (kept.root / "dvc.yaml").write_text(kept.read("dvc.yaml").rstrip() + "\n" + stage)
    repro(kept)
    assert kept.run("dvc", "push").returncode == 0
    md5 = kept.run("md5sum", "params.yaml").stdout.split()[0]
    here = kept.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    right = here.read_text()
    here.chmod(0o644)
    here.write_text("cut")
    assert findings(kept) == []
    here.write_text(right)
    there = Path(kept.run("dvc", "remote", "list").stdout.split()[1]) / "files/md5" / md5[:2] / md5[2:]
    there.chmod(0o644)
    there.write_text("cut")
    assert [sentence.partition(":")[0] for _, sentence in findings(kept)] == ["kept/params.yaml"]


def test_a_store_that_is_not_there_is_no_empty_one(kept: Project) -> None:
    remote = Path(kept.run("dvc", "remote", "list").stdout.split()[1])
    shutil.rmtree(remote)
    result = kept.run("lockstep", "verify")
    assert result.returncode == 4
    assert "is not there" in result.stderr
    assert not remote.exists()


def test_a_remote_that_hangs_is_waited_for_briefly_and_in_one_process(
    kept: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def run(*arguments: object) -> dict[str, object]:
        asked.append(arguments)
        raise OutsideError("not a byte moved")

    monkeypatch.setattr(child, "run", run)
    shutil.rmtree(kept.root / ".dvc/cache")
    with pytest.raises(OutsideError, match="not a byte moved"):
        verify.verify(kept.root)
    assert len(asked) == 1
    assert (asked[0][-1].stall, asked[0][-1].once) == (15, True)


@pytest.mark.parametrize("command", ["verify", "push"])
def test_the_marks_of_a_merge_are_named_and_so_is_what_settles_them(sealed: Project, command: str) -> None:
    text = sealed.read("dvc.lock")
    (sealed.root / "dvc.lock").write_text(text.replace("stages:\n", "stages:\n<<<<<<< HEAD\n", 1))
    result = sealed.run("lockstep", command)
    assert result.returncode == 1
    assert result.stderr == (
        "error: dvc.lock holds the marks of a merge that stopped in it: `make repro` merges it stage by stage\n"
    )


@pytest.mark.parametrize("command", ["verify", "push"])
def test_in_a_folder_that_is_no_project_it_says_what_repro_says(tmp_path: Path, command: str) -> None:
    project = Project(tmp_path, {})
    result = project.run("lockstep", command)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == project.run("lockstep", "repro").stderr


def test_the_last_line_names_what_make_repro_needs_before_it(
    sealed: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lockstep import upkeep
    from lockstep.commands.verify import verify as command

    def last(*wrong: bool) -> str:
        found = [upkeep.Finding(check="x", message="x", mendable=each) for each in wrong]
        monkeypatch.setattr(upkeep, "look", lambda root, checks: found)
        with pytest.raises(SystemExit):
            command.callback(False, False, False, None, False)
        return capsys.readouterr().err.splitlines()[-1]

    monkeypatch.chdir(sealed.root)
    sealed.edit("params.yaml", "seed: 1", "seed: 2")
    assert last() == "`make repro` makes lock and seal true"
    assert last(True) == "`lockstep check --fix`, then `make repro` makes lock and seal true"
    assert last(True, False).startswith("`lockstep check` says what is to be mended first; then `make repro`")


def test_a_deleted_file_of_a_folder_is_missing_and_not_edited(sealed: Project) -> None:
    stage = "  keep:\n    cmd: mkdir -p kept && cp params.yaml kept/\n    deps: [params.yaml]\n    outs: [kept]\n"
    (sealed.root / "dvc.yaml").write_text(sealed.read("dvc.yaml").rstrip() + "\n" + stage)
    repro(sealed)
    (sealed.root / "kept/params.yaml").unlink()
    assert findings(sealed, bytes_=True) == [
        ("data", "kept/params.yaml, which dvc.lock names, is missing: `make repro` brings it back")
    ]


def test_what_the_cache_lacks_is_brought_or_made_by_make_repro(sealed: Project) -> None:
    shutil.rmtree(sealed.root / ".dvc/cache")
    notes = verify.verify(sealed.root, bytes_=True).notes
    assert "DVC's cache lacks data/word.txt, model/model.txt: `make repro` brings or makes it" in notes
