"""A revision rebuilt by its own code: always real git and real DVC, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Project, wait_for
from lockstep.errors import InputError
from lockstep.lock import fresh, rebuild
from lockstep.lock.entries import Entries, parse
from lockstep.lock.materials import place
from lockstep.revision import Revision, git, resolve

PIPELINE = """
stages:
  ingest:
    cmd: mkdir -p raw && cp source.txt raw/all.txt
    deps: [source.txt]
    outs:
      - raw:
          persist: true
  prepare:
    cmd: sleep ${TOY_SLEEP:-0}; tr a-z A-Z < raw/all.txt > prepared.txt
    deps: [raw, given]
    outs: [prepared.txt]
  train:
    cmd: cat prepared.txt code.txt > model.txt && wc -c < model.txt > metrics.json
    deps: [prepared.txt, code.txt]
    outs: [model.txt]
    metrics:
      - metrics.json:
          cache: false
""".replace("${TOY_SLEEP:-0}", "$(echo $TOY_SLEEP | sed 's/^$/0/')")


@pytest.fixture
def project(toy: Project) -> Project:
    """Three stages in shell, a file of `dvc add`, all of it run and committed."""
    (toy.root / "dvc.yaml").write_text(PIPELINE)
    (toy.root / ".gitignore").write_text("__pycache__/\n/data/\n/raw\n/prepared.txt\n/model.txt\n/given\n")
    for name, text in {"source.txt": "hello\n", "code.txt": "1\n", "given": "given\n"}.items():
        (toy.root / name).write_text(text)
    assert toy.run("dvc", "add", "--quiet", "given").returncode == 0
    toy.repro()
    commit(toy)
    return toy


def commit(project: Project) -> Revision:
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "all")
    return resolve(project.root, "HEAD")


def rebuilt_lock(project: Project, revision: Revision, **how: object) -> Entries:
    with rebuild.rebuilt(project.root, revision, **how) as tree:
        return parse((tree / "dvc.lock").read_bytes())


def left_behind(project: Project, scratch: Path) -> list[object]:
    """Whatever a rebuild may have forgotten: worktrees, folders, changes."""
    trees = git(project.root, "worktree", "list", "--porcelain").count("worktree ") - 1
    return [*([trees] if trees else []), *scratch.iterdir(), *git(project.root, "status", "--porcelain").splitlines()]


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path_factory.mktemp("scratch")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def test_it_makes_the_same_bytes_again_and_leaves_nothing(project: Project, scratch: Path) -> None:
    before = sorted(path for path in (project.root / ".dvc/cache").rglob("*"))
    made = rebuilt_lock(project, resolve(project.root, "HEAD"))
    assert made == fresh.read_lock(project.root)
    assert left_behind(project, scratch) == []
    assert sorted(path for path in (project.root / ".dvc/cache").rglob("*")) == before


def test_a_forged_cache_of_runs_is_not_asked(project: Project) -> None:
    head = resolve(project.root, "HEAD")
    right = head.entries()["train"].outs["model.txt"]
    forged = project.run("md5sum", "code.txt").stdout.split()[0]
    kept = project.root / ".dvc/cache/files/md5" / forged[:2]
    kept.mkdir(exist_ok=True)
    shutil.copy(project.root / "code.txt", kept / forged[2:])
    runs = [path for path in (project.root / ".dvc/cache/runs").rglob("*") if path.is_file()]
    assert [path for path in runs if right in path.read_text()]
    for path in runs:
        path.write_text(path.read_text().replace(right, forged))
    assert rebuilt_lock(project, head, shared=True)["train"].outs["model.txt"] == right


def test_raw_data_is_the_lock_s_unless_the_source_is_asked(project: Project) -> None:
    # The source says something else today; its file is not tracked as a dependency that changed.
    project.edit("dvc.yaml", "    deps: [source.txt]\n", "    deps: [code.txt]\n")
    project.repro()
    (project.root / "source.txt").write_text("another day\n")
    head = commit(project)
    recorded = head.entries()
    assert rebuilt_lock(project, head) == recorded
    made = rebuilt_lock(project, head, from_source=True)
    assert made["ingest"].outs != recorded["ingest"].outs
    assert made["train"].outs != recorded["train"].outs


def test_the_code_that_runs_is_the_revision_s(project: Project) -> None:
    old = resolve(project.root, "HEAD")
    project.edit("code.txt", "1", "2")
    project.edit("dvc.yaml", "tr a-z A-Z", "tr a-z b-za")
    project.repro()
    commit(project)
    made = rebuilt_lock(project, old)
    assert made == old.entries()
    assert made["train"].outs != fresh.read_lock(project.root)["train"].outs


def test_python_modules_are_the_revision_s_too(toy: Project) -> None:
    toy.repro()
    head = commit(toy)
    toy.edit("src/toy/helper.py", "hello", "goodbye")
    assert rebuilt_lock(toy, head) == head.entries()


def test_a_lock_that_lies_is_found_out(project: Project) -> None:
    lie = project.run("md5sum", "code.txt").stdout.split()[0]
    project.edit("dvc.lock", fresh.read_lock(project.root)["train"].outs["model.txt"], lie)
    head = commit(project)
    assert rebuilt_lock(project, head)["train"].outs["model.txt"] != lie


def test_only_the_named_stages_run_on_what_the_lock_names(project: Project) -> None:
    head = resolve(project.root, "HEAD")
    (project.root / "prepared.txt").unlink()
    with rebuild.rebuilt(project.root, head, stages=["train"]) as tree:
        assert not (tree / "raw").exists()
        assert parse((tree / "dvc.lock").read_bytes()) == head.entries()
    with pytest.raises(InputError, match="no stage tran"), rebuild.rebuilt(project.root, head, stages=["tran"]):
        pass


def test_with_the_shared_cache_the_results_are_found_there_afterwards(project: Project) -> None:
    md5 = fresh.read_lock(project.root)["train"].outs["model.txt"]
    kept = project.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    kept.unlink()
    rebuilt_lock(project, resolve(project.root, "HEAD"))
    assert not kept.exists()
    rebuilt_lock(project, resolve(project.root, "HEAD"), shared=True)
    assert kept.read_text() == "HELLO\n1\n"


def test_a_damaged_copy_in_the_cache_is_passed_over_and_one_that_is_nowhere_is_an_error(project: Project) -> None:
    for kept in (project.root / ".dvc/cache/files/md5").rglob("*"):
        if kept.is_file() and kept.read_text() in ("hello\n", "given\n"):
            kept.chmod(0o644)
            kept.write_text("hel")
    head = resolve(project.root, "HEAD")
    assert rebuilt_lock(project, head) == head.entries(), "the work tree has it"
    (project.root / "given").unlink()
    with pytest.raises(InputError, match=r"given with the hash .* is neither in DVC's cache nor in a remote"):
        rebuilt_lock(project, head)


def test_a_remote_gives_what_is_not_here(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    remote = tmp_path_factory.mktemp("remote")
    assert project.run("dvc", "remote", "add", "--default", "main", str(remote)).returncode == 0
    assert project.run("dvc", "push").returncode == 0
    head = commit(project)
    shutil.rmtree(project.root / ".dvc/cache")
    shutil.rmtree(project.root / "raw")
    (project.root / "given").unlink()
    assert rebuilt_lock(project, head) == head.entries()


def test_hooks_of_the_repository_do_not_run(project: Project) -> None:
    hook = project.root / ".git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    with rebuild.rebuilt(project.root, resolve(project.root, "HEAD")) as tree:
        assert not (tree / "ran").exists()


def test_a_project_in_a_folder_of_the_repository(make_toy: Callable[[Path], Project], tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "inner")
    shutil.rmtree(tmp_path / "inner/.git")
    git(tmp_path, "init", "--quiet")
    toy.run("dvc", "config", "core.no_scm", "false")
    (tmp_path / "inner/.dvc/config").write_text("[core]\n    analytics = false\n")
    assert toy.run("dvc", "repro").returncode == 0
    head = Revision(root=toy.root, sha=commit(Project(tmp_path, {})).sha)
    assert rebuilt_lock(toy, head) == fresh.read_lock(toy.root)


MAKEFILE = """
.venv/.pipeline:
\t@mkdir -p .venv/bin
\t@printf '#!/bin/sh\\ntouch "%s/own"\\nexec {python} "$$@"\\n' "$(CURDIR)" > .venv/bin/python
\t@chmod +x .venv/bin/python
"""


def test_other_versions_run_in_an_environment_of_their_own(project: Project) -> None:
    project.edit("versions.toml", 'numpy = "', 'numpy = "0.')
    head = commit(project)
    with pytest.raises(InputError, match="ran with other versions .*numpy .* and has no Makefile"):
        rebuilt_lock(project, head)
    (project.root / "Makefile").write_text(MAKEFILE.replace("{python}", sys.executable))
    head = commit(project)
    with rebuild.rebuilt(project.root, head) as tree:
        assert (tree / "own").exists()
        assert parse((tree / "dvc.lock").read_bytes()) == head.entries()


def test_a_stage_that_fails_is_an_error_and_nothing_is_left(project: Project, scratch: Path) -> None:
    project.edit("dvc.yaml", "cat prepared.txt", "false prepared.txt")
    head = commit(project)
    with pytest.raises(InputError, match=f"{head.short} could not be rebuilt"):
        rebuilt_lock(project, head)
    assert left_behind(project, scratch) == []


def test_a_revision_without_a_lock_is_an_error(project: Project) -> None:
    (project.root / "dvc.lock").unlink()
    head = commit(project)
    with pytest.raises(InputError, match="has no dvc.lock"):
        rebuilt_lock(project, head)


REBUILD = """
from pathlib import Path
from lockstep.errors import exit_code
from lockstep.lock.rebuild import rebuilt
from lockstep.revision import resolve
def work():
    with rebuilt(Path.cwd(), resolve(Path.cwd(), "HEAD")):
        pass
raise SystemExit(exit_code(work))
"""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_stopped_at_any_moment_it_ends_its_stages_and_removes_its_worktree(
    project: Project, scratch: Path, signum: signal.Signals, code: int
) -> None:
    process = project.start(sys.executable, "-c", REBUILD, TOY_SLEEP="60")
    wait_for(lambda: running(scratch))
    os.kill(process.pid, signum)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == code, output
    assert left_behind(project, scratch) == []
    assert not running(scratch)


def test_what_a_kill_left_is_removed_by_the_next_rebuild_and_not_what_is_at_work(
    project: Project, scratch: Path
) -> None:
    killed = project.start(sys.executable, "-c", REBUILD, TOY_SLEEP="60")
    wait_for(lambda: running(scratch))
    (first,) = scratch.iterdir()
    working = project.start(sys.executable, "-c", REBUILD, TOY_SLEEP="60")
    wait_for(lambda: any(running(each) for each in scratch.iterdir() if each != first))
    killed.kill()
    killed.wait(timeout=20)
    assert first.exists()
    rebuilt_lock(project, resolve(project.root, "HEAD"))
    assert not first.exists()
    wait_for(lambda: not running(first), 5)
    (second,) = scratch.iterdir()
    assert running(second)
    working.terminate()
    working.communicate(timeout=20)
    assert left_behind(project, scratch) == []


def running(folder: Path) -> list[str]:
    """Processes that sleep in a folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if b"sleep" in (each / "cmdline").read_bytes() and str(folder) in str((each / "cwd").readlink()):
                found.append(each.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("path", ["../out", "/tmp/out", "a/../../out"])
def test_no_path_of_a_lock_leads_out_of_the_tree(project: Project, path: str) -> None:
    md5 = fresh.read_lock(project.root)["train"].outs["model.txt"]
    with pytest.raises(InputError, match="outside of the repository"):
        place(project.root, project.root / "target", {path: md5})
