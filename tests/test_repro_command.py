"""`lockstep repro`: what it runs, what it seals, and what it runs again because nothing shows that it ran."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, Project, wait_for
from lockstep.lock import fresh, pulling, seal
from lockstep.remotes import transfer
from lockstep.revision import git

REPRO = """
import sys
from pathlib import Path
from lockstep.errors import exit_code
from lockstep.lock.reproduce import reproduce
def work():
    done = reproduce(Path.cwd(), pull="no-pull" not in sys.argv)
    print("ran:", *done.ran)
    print("sealed:", *done.sealed)
    print(done.onward or "")
raise SystemExit(exit_code(work))
"""


def repro(toy: Project, *arguments: str, **more: str) -> tuple[list[str], list[str]]:
    """The stages that ran and those that were sealed."""
    result = toy.run(sys.executable, "-c", REPRO, *arguments, **more)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = dict(line.split(":", 1) for line in result.stdout.splitlines() if line.startswith(("ran:", "sealed:")))
    assert seal.differences(fresh.read_lock(toy.root), seal.read(toy.root)) == []
    assert fresh.stale(toy.root) == []
    return lines["ran"].split(), lines["sealed"].split()


def fails(toy: Project, *arguments: str) -> str:
    """What it says on stderr when it fails with exit code 1."""
    result = toy.run(sys.executable, "-c", REPRO, *arguments)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stderr


def commit(project: Project, message: str = "all") -> None:
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", message)


def test_the_first_time_all_runs_and_is_sealed_the_second_time_nothing(toy: Project) -> None:
    assert repro(toy) == (["one", "two"], ["one", "two"])
    before = toy.read("dvc.lock.seal")
    assert repro(toy) == ([], [])
    assert toy.read("dvc.lock.seal") == before
    assert before.count("\n") == 4


def test_only_what_changed_gets_a_new_line(toy: Project) -> None:
    repro(toy)
    toy.edit("params.yaml", "seed: 1", "seed: 2")
    assert repro(toy) == (["two"], ["two"])


def test_what_changes_upstream_changes_every_line_after_it_though_nothing_else_runs(toy: Project) -> None:
    repro(toy)
    toy.edit("src/toy/helper.py", 'WORD = "hello"', '# a comment\nWORD = "hello"')
    assert repro(toy) == (["one"], ["one", "two"])


def test_after_a_bare_dvc_repro_the_evidence_of_the_stages_is_enough(toy: Project) -> None:
    toy.repro()
    assert repro(toy) == ([], ["one", "two"])


def test_an_entry_that_dvc_commit_made_is_run_before_it_is_sealed(toy: Project) -> None:
    """`dvc commit` records the old result for the new code, in dvc.lock and in the cache of runs."""
    repro(toy)
    toy.edit("src/toy/helper.py", "hello", "goodbye")
    assert toy.run("dvc", "commit", "--force").returncode == 0
    assert fresh.stale(toy.root) == []
    assert "up to date" in toy.repro().stdout, "DVC believes it"
    ran, sealed = repro(toy)
    assert (ran, sealed) == (["one", "two"], ["one", "two"])
    assert toy.read("data/word.txt") == "toy says goodbye\n"


def test_a_result_that_only_a_forged_cache_of_runs_vouches_for_is_made_again(toy: Project) -> None:
    repro(toy)
    toy.edit("src/toy/helper.py", "hello", "goodbye")
    assert toy.run("dvc", "commit", "--force").returncode == 0
    (toy.root / "dvc.lock").unlink()
    assert repro(toy)[0] == ["one", "two"]
    assert toy.read("data/word.txt") == "toy says goodbye\n"


def test_a_lock_that_was_edited_together_with_the_spec_is_run_again(toy: Project) -> None:
    repro(toy)
    commit(toy)
    toy.edit("params.yaml", "seed: 1", "seed: 2")
    toy.edit("dvc.lock", "train.seed: 1", "train.seed: 2")
    assert "up to date" in toy.repro().stdout, "DVC believes it"
    assert repro(toy) == (["two"], ["two"])
    assert toy.read("model/card.md") == "seed 2"


def test_the_same_entry_in_a_parent_commit_with_its_seal_is_evidence(toy: Project) -> None:
    repro(toy)
    commit(toy)
    (toy.root / "dvc.lock.seal").unlink()
    shutil.rmtree(toy.root / ".dvc/tmp/lockstep")
    assert repro(toy) == ([], ["one", "two"])


def test_an_entry_in_a_parent_commit_without_its_seal_is_none(toy: Project) -> None:
    repro(toy)
    (toy.root / "dvc.lock.seal").unlink()
    commit(toy)
    shutil.rmtree(toy.root / ".dvc/tmp/lockstep")
    assert repro(toy) == (["one", "two"], ["one", "two"])


FOREIGN = """
  shout:
    cmd: tr a-z A-Z < data/word.txt > loud.txt
    deps: [data/word.txt]
    outs: [loud.txt]
"""


def test_a_stage_that_says_nothing_of_itself_runs_once_and_is_watched(toy: Project) -> None:
    (toy.root / "dvc.yaml").write_text(toy.read("dvc.yaml").rstrip() + FOREIGN)
    assert repro(toy) == (["one", "two", "shout"], ["one", "two", "shout"])
    toy.edit("src/toy/helper.py", "hello", "goodbye")
    assert repro(toy)[0] == ["one", "two", "shout"]
    toy.edit("src/toy/helper.py", "goodbye", "hello")
    assert "shout" not in repro(toy)[0], "restored, and known to have run"


def test_a_stage_that_is_no_more_is_taken_out_of_the_lock(toy: Project) -> None:
    text = toy.read("dvc.yaml")
    (toy.root / "dvc.yaml").write_text(text.rstrip() + FOREIGN)
    repro(toy)
    (toy.root / "dvc.yaml").write_text(text)
    assert repro(toy) == ([], [])
    assert "shout" not in toy.read("dvc.lock") + toy.read("dvc.lock.seal")


def test_a_dep_that_is_no_more_is_taken_out_of_the_entry_by_a_run(toy: Project) -> None:
    (toy.root / "dvc.yaml").write_text(toy.read("dvc.yaml").rstrip() + FOREIGN.replace("]", ", params.yaml]", 1))
    repro(toy)
    toy.edit("dvc.yaml", "[data/word.txt, params.yaml]", "[data/word.txt]")
    assert "up to date" in toy.repro().stdout, "DVC does not mind"
    assert repro(toy) == (["shout"], ["shout"])


def test_a_stage_whose_results_differ_each_time_is_refused_in_the_end(toy: Project) -> None:
    text = FOREIGN.replace("tr a-z A-Z < data/word.txt", "date +%N")
    (toy.root / "dvc.yaml").write_text(toy.read("dvc.yaml").rstrip() + text)
    assert repro(toy)[0] == ["one", "two", "shout"], "one run is one result"
    shutil.rmtree(toy.root / ".dvc/tmp/lockstep")
    (toy.root / "dvc.lock.seal").unlink()
    assert repro(toy)[0] == ["one", "two", "shout"]


def test_a_damaged_copy_in_the_cache_is_removed_and_the_result_made_again(toy: Project) -> None:
    repro(toy)
    md5 = fresh.read_lock(toy.root)["one"].outs["data/word.txt"]
    copy = toy.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    copy.chmod(0o644)
    copy.write_text("toy")
    copy.chmod(0o444)
    (toy.root / "data/word.txt").unlink()
    assert toy.run("dvc", "checkout").returncode == 0
    toy.edit("params.yaml", "seed: 1", "seed: 2")
    result = toy.run(sys.executable, "-c", REPRO)
    assert "removed DVC's copy of data/word.txt, which was damaged" in result.stderr
    assert result.returncode == 0, result.stderr
    assert toy.read("model/model.txt") == "TOY SAYS HELLO\n"


def test_another_clone_pulls_by_hash_and_runs_nothing(toy: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    remote, folder = tmp_path_factory.mktemp("remote"), tmp_path_factory.mktemp("clones") / "clone"
    (toy.root / ".dvc/config").write_text(f"[core]\n    remote = main\n['remote \"main\"']\n    url = {remote}\n")
    (toy.root / "dvc.yaml").write_text(
        toy.read("dvc.yaml").rstrip()
        + "\n  keep:\n    cmd: mkdir -p kept && cp params.yaml kept/\n    deps: [params.yaml]\n"
        + "    outs:\n      - kept:\n          persist: true\n"
    )
    repro(toy)
    commit(toy)
    assert toy.run("dvc", "push").returncode == 0
    subprocess.run(["git", "clone", "--quiet", str(toy.root), str(folder)], check=True)
    clone = Project(folder, toy.modules, toy.environment)
    assert repro(clone) == ([], [])
    assert (folder / "kept/params.yaml").exists()
    assert (folder / "model/model.txt").exists()
    assert git(folder, "status", "--porcelain") == ""


def test_a_stage_that_fails_is_a_sentence_and_seals_nothing(toy: Project) -> None:
    toy.edit("src/toy/helper.py", "WORD = ", "WORDS = ")
    assert "error: `dvc repro` ended with exit code 255" in fails(toy)
    assert not (toy.root / "dvc.lock.seal").exists()


def test_ctrl_c_ends_the_stage_too(toy: Project) -> None:
    started = toy.root / "started"
    process = toy.start(sys.executable, "-c", REPRO, TOY_STARTED=str(started), TOY_SLEEP="60")
    wait_for(lambda: started.exists() and started.read_text())
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, output
    wait_for(
        lambda: not Path(f"/proc/{started.read_text()}/cmdline").exists() or not alive(int(started.read_text())), 5
    )


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] not in "ZX"


def test_it_runs_where_there_is_no_git(toy: Project) -> None:
    shutil.rmtree(toy.root / ".git")
    (toy.root / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    assert repro(toy) == (["one", "two"], ["one", "two"])


def test_the_command_checks_before_it_runs_anything(tmp_path: Path) -> None:
    project = Project(tmp_path, {})
    for name in ("params.yaml", "src/flights/__init__.py", "src/flights/source.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    project.edit("params.yaml", "  partition: month", "  partitions: month")
    result = project.run("lockstep", "repro")
    assert result.returncode == 1
    assert "ingest.partitions: unknown key" in result.stderr


def a_lock_of_one_word(toy: Project, remote: str) -> None:
    """Only the lock is here, and the configuration of a remote."""
    (toy.root / ".dvc/config").write_text(f"[core]\n    remote = main\n['remote \"main\"']\n    url = {remote}\n")
    (toy.root / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  one:\n    cmd: python -m toy.stages.one\n"
        f"    outs:\n    - path: data/word.txt\n      hash: md5\n      md5: {'a' * 32}\n      size: 1\n"
    )


def test_a_remote_that_may_not_be_read_is_passed_over_and_its_results_are_made_here(
    toy: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def denied(*_: object, **__: object) -> Any:
        raise transfer.Denied("remote main refuses: no credentials")

    monkeypatch.setattr(transfer, "bring", denied)
    a_lock_of_one_word(toy, "s3://bucket/toy")
    pulling.pull(toy.root)
    assert capsys.readouterr().err == "remote main refuses: no credentials. What it may hold is made here instead\n"


def test_what_the_remote_lacks_is_said_and_made_here(toy: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    a_lock_of_one_word(toy, str(tmp_path_factory.mktemp("remote")))
    result = toy.run(sys.executable, "-c", REPRO)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("dvc.lock names an object that no remote has, made here instead: data/word.txt") == 1
    assert "ran: one two" in result.stdout


def test_a_store_that_is_not_there_is_said_once_and_the_work_goes_on(toy: Project) -> None:
    a_lock_of_one_word(toy, "/nonexistent/store")
    result = toy.run(sys.executable, "-c", REPRO)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("What it may hold is made here instead") == 1
    assert not Path("/nonexistent").exists()


def test_with_no_pull_and_without_a_remote_nobody_is_asked(
    toy: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_lock_of_one_word(toy, "/nonexistent/store")
    assert "made here instead" not in toy.run(sys.executable, "-c", REPRO, "no-pull").stderr
    (toy.root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    monkeypatch.setattr(transfer, "bring", None)
    pulling.pull(toy.root)
    assert capsys.readouterr().err == ""


ADDING = """
  keep:
    cmd: mkdir -p kept && cp -n params.yaml kept/ && date +%N > kept/when
    deps: [data/word.txt]
    outs:
      - kept:
          persist: true
"""


def test_what_was_damaged_or_deleted_comes_from_dvc_s_copy_and_not_from_the_source(toy: Project) -> None:
    (toy.root / "dvc.yaml").write_text(toy.read("dvc.yaml").rstrip() + ADDING)
    repro(toy)
    spec, when = toy.read("kept/params.yaml"), toy.read("kept/when")
    (toy.root / "kept/params.yaml").write_text(spec[:50])
    (toy.root / "kept/when").unlink()
    (toy.root / "model/model.txt").write_text("edited")
    result = toy.run(sys.executable, "-c", REPRO)
    assert "brought back what dvc.lock names: model/model.txt, kept/params.yaml, kept/when" in result.stderr
    assert "ran:\n" in result.stdout
    assert (toy.read("kept/params.yaml"), toy.read("kept/when")) == (spec, when)
    assert toy.read("model/model.txt") == "TOY SAYS HELLO\n"
    assert not list(toy.root.rglob(".*.tmp"))


def test_what_a_stale_stage_has_begun_is_left_to_it(toy: Project) -> None:
    (toy.root / "dvc.yaml").write_text(toy.read("dvc.yaml").rstrip() + ADDING.replace("data/word.txt", ".dvcignore"))
    repro(toy)
    (toy.root / "kept/params.yaml").write_text("fetched again, and then interrupted")
    (toy.root / ".dvcignore").write_text("__pycache__/\n# a comment\n")
    assert repro(toy)[0] == ["keep"]
    assert toy.read("kept/params.yaml") == "fetched again, and then interrupted"


def test_a_page_made_of_the_spec_is_mended_unasked_and_what_decides_what_runs_is_not(tmp_path: Path) -> None:
    project = Project(tmp_path, {})
    for name in ("params.yaml", "docs/data.md", "src/flights/__init__.py", "src/flights/source.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    project.edit("params.yaml", "  question: ", "  question: Or ")
    result = project.run("lockstep", "repro")
    assert "rewrote docs/data.md" in result.stdout
    assert "docs/data.md" not in result.stderr
    assert result.returncode == 1, "versions.toml and dvc.yaml are not there"
    assert not (tmp_path / "dvc.yaml").exists()
