"""A stage's process in a broken world: killed, full disk, damaged files, two at once. Always on a real DVC."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import Project, require, wait_for
from lockstep.errors import InputError
from lockstep.lock import fresh, objects
from lockstep.lock.evidence import proven
from lockstep.running import evidence, listing, lock, process, versions

RIGHT = "toy says hello\n"


def leftovers(toy: Project) -> list[Path]:
    return [*toy.root.rglob(".*.tmp")]


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def start_slowly(toy: Project, *, seconds: float = 60) -> tuple[subprocess.Popen[str], int]:
    """`dvc repro` in the middle of its first stage, and the stage's process id."""
    started = toy.root / "started"
    dvc = toy.start("dvc", "repro", TOY_STARTED=str(started), TOY_SLEEP=str(seconds))
    wait_for(lambda: started.exists() and started.read_text())
    return dvc, int(started.read_text())


def finish(process: subprocess.Popen[str]) -> str:
    """Everything the process printed, after it ended."""
    output, _ = process.communicate(timeout=60)
    return output


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_after_kill_9_of_dvc_no_orphan_writes_and_the_next_run_is_right(toy: Project, shell: str) -> None:
    toy.environment["SHELL"] = shell
    dvc, stage = start_slowly(toy)
    dvc.kill()
    dvc.wait()
    wait_for(lambda: not alive(stage), 5)
    assert not (toy.root / "data/word.txt").exists()
    toy.repro()
    assert toy.read("data/word.txt") == RIGHT
    assert not leftovers(toy)


def test_an_orphan_ends_also_when_a_shell_stays_between_dvc_and_the_stage(toy: Project) -> None:
    toy.edit("dvc.yaml", "cmd: python -m toy.stages.one", "cmd: python -m toy.stages.one; true")
    dvc, stage = start_slowly(toy)
    assert Path(f"/proc/{stage}/stat").read_text().rpartition(")")[2].split()[1] != str(dvc.pid)
    dvc.kill()
    dvc.wait()
    wait_for(lambda: not alive(stage), 5)
    assert not (toy.root / "data/word.txt").exists()


def test_after_kill_9_of_the_stage_dvc_fails_and_the_next_run_is_right(toy: Project) -> None:
    dvc, stage = start_slowly(toy)
    os.kill(stage, signal.SIGKILL)
    finish(dvc)
    assert dvc.returncode != 0
    assert lock.outputs(toy.root) == {}
    toy.repro()
    assert toy.read("data/word.txt") == RIGHT
    assert not leftovers(toy)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stage_told_to_stop_leaves_nothing_half_written(toy: Project, signum: signal.Signals) -> None:
    dvc, stage = start_slowly(toy)
    assert leftovers(toy)
    os.kill(stage, signum)
    finish(dvc)
    assert dvc.returncode != 0
    assert not leftovers(toy)
    assert not (toy.root / "data/word.txt").exists()


def test_a_stage_started_by_hand_outlives_its_shell(toy: Project) -> None:
    started = toy.root / "started"
    shell = toy.start(
        "sh", "-c", "python -m toy.stages.one & wait", TOY_STARTED=str(started), TOY_SLEEP="1", DVC_STAGE=""
    )
    wait_for(lambda: started.exists() and started.read_text())
    shell.kill()
    wait_for((toy.root / "data/word.txt").exists)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    require(os.geteuid() == 0, "root, to mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True)
    require(mounted.returncode == 0, f"a mount of a small disk ({mounted.stderr.decode().strip()})")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_a_sentence_and_with_space_the_next_run_is_right(
    make_toy: Callable[[Path], Project], small_disk: Path
) -> None:
    toy = make_toy(small_disk)
    result = toy.run("dvc", "repro", TOY_LINES="4000000")
    assert result.returncode != 0
    assert "error: the disk is full" in result.stderr
    assert "Traceback" not in result.stderr
    assert not leftovers(toy)
    assert not (toy.root / "data/word.txt").exists()
    assert lock.outputs(toy.root) == {}
    toy.repro()
    assert toy.read("data/word.txt") == RIGHT


def test_a_disk_that_fills_up_in_dvc_s_cache_fails_and_with_space_the_next_run_is_right(
    make_toy: Callable[[Path], Project], small_disk: Path
) -> None:
    toy = make_toy(small_disk)
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    lines = str(int(free * 0.7 / len(RIGHT)))
    result = toy.run("dvc", "repro", TOY_LINES=lines)
    assert result.returncode != 0
    assert subprocess.run(["mount", "-o", "remount,size=128m", str(small_disk)]).returncode == 0
    toy.repro(TOY_LINES=lines)
    assert toy.read("data/word.txt") == RIGHT * int(lines)
    assert toy.read("model/model.txt") == RIGHT.upper() * int(lines)
    assert lock.differences(toy.root) == []


def test_of_two_repros_at_once_one_says_why_it_stops_and_the_other_is_right(toy: Project) -> None:
    first, _ = start_slowly(toy, seconds=3)
    second = toy.run("dvc", "repro")
    assert second.returncode != 0
    assert "is busy" in second.stderr or "Unable to acquire lock" in second.stderr
    output = finish(first)
    assert first.returncode == 0, output
    assert toy.read("model/model.txt") == RIGHT.upper()
    assert lock.differences(toy.root) == []


def test_a_stage_does_not_run_twice_at_once(toy: Project) -> None:
    dvc, _ = start_slowly(toy, seconds=3)
    second = toy.run("python", "-m", "toy.stages.one")
    assert second.returncode == 1
    assert second.stderr == (
        "error: stage one is running in this repository already: wait until it ends, then run again\n"
    )
    finish(dvc)
    assert toy.read("data/word.txt") == RIGHT


def test_a_stage_refuses_input_that_is_not_what_the_stage_before_wrote(toy: Project) -> None:
    toy.repro()
    copy = objects.find(toy.root, lock.outputs(toy.root)["data/word.txt"].md5)
    assert copy
    copy.write_text("toy")
    copy.chmod(0o444)
    (toy.root / "data/word.txt").unlink()
    assert toy.run("dvc", "checkout").returncode == 0
    toy.edit("params.yaml", "seed: 1", "seed: 2")
    result = toy.run("dvc", "repro")
    assert result.returncode != 0
    assert "data/word.txt (3 bytes) is not the file that dvc.lock records" in result.stderr
    assert "`make repro` brings back the right one" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_stage_leaves_evidence_of_just_what_it_read_and_wrote(toy: Project) -> None:
    toy.repro()
    entries = fresh.read_lock(toy.root)
    assert proven(toy.root, entries, ["one", "two"]) == {"one", "two"}
    for old, new in ((entries["two"].outs["model/model.txt"], "a" * 32), ("train.seed: 1", "train.seed: 3")):
        text = toy.read("dvc.lock")
        toy.edit("dvc.lock", old, new)
        assert proven(toy.root, fresh.read_lock(toy.root), ["one", "two"]) == {"one"}
        (toy.root / "dvc.lock").write_text(text)


def test_a_stage_that_fails_leaves_no_evidence(toy: Project) -> None:
    toy.edit("src/toy/helper.py", "WORD = ", "WORDS = ")
    assert toy.run("dvc", "repro").returncode != 0
    assert list(evidence.left(toy.root, "one")) == []


def test_only_the_newest_runs_are_remembered(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    for number in range(evidence.KEPT + 5):
        evidence.leave(tmp_path, "one", {"cmd": number})
    left = {content["cmd"] for content in evidence.left(tmp_path, "one")}
    assert len(left) == evidence.KEPT
    assert evidence.KEPT + 4 in left


def test_a_file_edited_while_the_stage_runs_is_not_recorded_with_a_result_it_did_not_make(toy: Project) -> None:
    dvc, _ = start_slowly(toy, seconds=2)
    toy.edit("src/toy/helper.py", "hello", "goodbye")
    output = finish(dvc)
    assert dvc.returncode != 0
    assert "src/toy/helper.py changed while stage one ran" in output
    toy.repro()
    assert toy.read("data/word.txt") == "toy says goodbye\n"


def test_in_a_folder_an_edit_counts_and_kept_bytecode_does_not(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("A = 1\n")
    before = process._state(tmp_path, {"deps": ["code"]})
    (tmp_path / "code" / "__pycache__").mkdir()
    (tmp_path / "code" / "__pycache__" / "a.pyc").write_text("")
    assert process._state(tmp_path, {"deps": ["code"]}) == before
    (tmp_path / "code" / "a.py").write_text("A = 22\n")
    assert process._state(tmp_path, {"deps": ["code"]}) != before


def test_another_part_of_the_spec_may_be_edited_while_a_stage_runs(toy: Project) -> None:
    dvc, _ = start_slowly(toy, seconds=2)
    toy.edit("params.yaml", "question: Is it a toy?", "question: Is it not a toy?")
    output = finish(dvc)
    assert dvc.returncode == 0, output


def test_another_version_than_the_recorded_one_stops_the_stage(toy: Project) -> None:
    recorded = versions.read(toy.root)["scikit-learn"]
    toy.edit(versions.FILE, f'scikit-learn = "{recorded}"', 'scikit-learn = "0.1"')
    result = toy.run("dvc", "repro")
    assert f"error: scikit-learn {recorded} runs, versions.toml says 0.1" in result.stderr
    assert set(lock.outputs(toy.root)) == {"data/word.txt"}, "stage one does not use it"


def test_a_broken_spec_is_an_error_without_a_traceback(toy: Project) -> None:
    toy.edit("params.yaml", "  seed: 1", "  sed: 1")
    result = toy.run("python", "-m", "toy.stages.one")
    assert result.returncode == 1
    assert result.stderr.startswith("error: params.yaml:")
    assert "`seed`" in result.stderr


def test_a_bug_shows_its_traceback_and_has_its_own_exit_code(toy: Project) -> None:
    toy.edit("src/toy/helper.py", "WORD = ", "WORDS = ")
    result = toy.run("python", "-m", "toy.stages.one")
    assert result.returncode == 70
    assert "ImportError" in result.stderr
    assert "This is a bug" in result.stderr
    assert not leftovers(toy)


ENVIRONMENT = """
import os
from toy.stages.one import STAGE
from lockstep.running.process import main
def run(spec, files):
    import time
    import numpy
    from numpy._core._multiarray_umath import __cpu_features__ as features
    from threadpoolctl import threadpool_info
    import scipy.linalg
    threads = {pool["num_threads"] for pool in threadpool_info()}
    print(threads, features.get("X86_V4"), time.strftime("%H", time.gmtime(0)), time.localtime(0).tm_hour)
    files.write("word").write_text("")
raise SystemExit(main(STAGE, run))
"""


def test_threads_kernels_and_time_zone_do_not_depend_on_the_machine(toy: Project) -> None:
    result = toy.run(
        "python", "-W", "error", "-c", ENVIRONMENT, TZ="Asia/Tokyo", OMP_NUM_THREADS="7", OPENBLAS_NUM_THREADS="7"
    )
    assert result.stderr == ""
    assert result.stdout.split() in (["{1}", "False", "00", "0"], ["{1}", "None", "00", "0"])


def test_a_stage_starts_without_importing_anything_slow(toy: Project) -> None:
    code = "import runpy, sys\ntry: runpy.run_module('toy.stages.one', run_name='__main__')\nexcept SystemExit: pass\n"
    result = toy.run("python", "-c", code + "print({'numpy', 'pandas', 'grimp', 'rich', 'dvc'} & set(sys.modules))")
    assert (result.stdout, result.stderr) == ("set()\n", "")


def test_a_stage_refuses_to_write_what_dvc_would_not_notice_to_be_stale(toy: Project) -> None:
    (toy.root / "src/toy/more.py").write_text("WORD = 'hi'\n")
    toy.edit("src/toy/helper.py", 'WORD = "hello"', "from toy.more import WORD")
    result = toy.run("dvc", "repro")
    assert result.returncode != 0
    assert "stage one uses src/toy/more.py, which dvc.yaml does not list for it" in result.stderr
    assert "`lockstep check --fix`" in result.stderr
    assert not (toy.root / "data/word.txt").exists()
    assert not leftovers(toy)
    toy.edit("dvc.yaml", "      - src/toy/helper.py\n", "      - src/toy/helper.py\n      - src/toy/more.py\n")
    toy.repro()
    assert toy.read("data/word.txt") == "toy says hi\n"


@pytest.mark.parametrize(
    ("old", "new", "unlisted"),
    [
        ("      - data/word.txt\n", "", "data/word.txt"),
        ("      - train.seed\n", "", "params.yaml: train.seed"),
    ],
)
def test_a_stage_refuses_to_run_without_its_inputs_and_params_listed(
    toy: Project, old: str, new: str, unlisted: str
) -> None:
    toy.edit("dvc.yaml", old, new)
    result = toy.run("python", "-m", "toy.stages.two")
    assert result.returncode == 1
    assert f"stage two uses {unlisted}, which dvc.yaml does not list" in result.stderr


def test_a_param_that_was_added_is_noticed_by_a_bare_repro(toy: Project) -> None:
    toy.edit("params.yaml", "  seed: 1", "  seed: 1\n  calibrate: sigmoid")
    result = toy.run("dvc", "repro")
    assert result.returncode != 0
    assert "stage two uses params.yaml: train.calibrate" in result.stderr


def test_a_folder_or_a_section_covers_what_is_in_it() -> None:
    listed = {"deps": ["./src/", {"data/x": {"cache": False}}], "params": ["train", {"params.yaml": ["split.by"]}]}
    listing.check_inputs("one", listed, ["src/a.py", "data/x"])
    listing.check_params("one", listed, ["train.seed", "split.by"], {"train": {"seed": 1}, "split": {"by": "key"}})
    listing.check_params("one", {"params": [{"params.yaml": None}]}, ["train"], {"train": {}})
    with pytest.raises(InputError, match="params.yaml: split,"):
        listing.check_params("one", listed, ["split"], {"split": {"by": "key"}})
    with pytest.raises(InputError, match="uses srcs/a.py"):
        listing.check_inputs("one", listed, ["srcs/a.py"])


def test_dvc_s_cache_of_runs_forgets_keys_named_size(tmp_path: Path) -> None:
    project = Project(tmp_path, {})
    assert project.run("git", "init", "--quiet").returncode == 0
    assert project.run("dvc", "init", "--quiet").returncode == 0
    (tmp_path / "in").write_text("in\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  copy:\n    cmd: cp params.yaml out\n    deps: [in]\n    params: [columns]\n    outs: [out]\n"
    )
    for name, stale in (("size", True), ("weight", False)):
        for value in (1, 2):
            (tmp_path / "params.yaml").write_text(f"columns: {{{name}: {value}}}\n")
            project.repro()
        assert ("1" in project.read("out")) is stale, "if DVC has mended it, spec/rules.py need not refuse these names"
