"""Which look at this holdout it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from lockstep.comparison.looks import look_of, looks
from lockstep.revision import git, git_bytes

LOCK = """\
schema: '2.0'
stages:
  prepare:
    cmd: python -m lockstep.stages.prepare
    params:
      params.yaml:
        contract:
          key:
          - id
          target:
            column: late
            task: binary
            about: {about}
          columns:
            id:
              type: integer
        ingest.from: '2013-01-01'
        ingest.until: '{until}'
        split:
          by: time
          holdout: 3 months
    outs:
    - path: data/prepared/holdout.parquet
      hash: md5
      md5: 00000000000000000000000000000000
  train:
    cmd: python -m lockstep.stages.train
    deps:
    - path: data/prepared/training.parquet
      hash: md5
      md5: 00000000000000000000000000000000
    outs:
    - path: model/contract.json
      hash: md5
      md5: ffffffffffffffffffffffffffffffff
    - path: model/model.onnx
      hash: md5
      md5: {model:032x}
      size: 12
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    return tmp_path


def lock(root: Path, model: int, *, until: str = "2013-11-01", about: str = "x", text: str = LOCK) -> None:
    (root / "dvc.lock").write_text(text.format(model=model, until=until, about=about))


def commit(root: Path, model: int, **more: Any) -> None:
    lock(root, model, **more)
    git(root, "add", "dvc.lock")
    git(root, "commit", "--quiet", "--allow-empty", "--message", f"model {model}")


def test_a_first_model_is_the_first_look(root: Path) -> None:
    lock(root, 1)
    assert looks(root) == 1


def test_each_distinct_model_is_a_look_and_an_old_one_that_comes_back_is_none(root: Path) -> None:
    for model in (1, 2, 1, 2, 2):
        commit(root, model)
    assert looks(root) == 2
    lock(root, 3)
    assert looks(root) == 3


def test_models_of_other_branches_tags_and_remotes_have_looked_too(root: Path) -> None:
    commit(root, 1)
    for model, ref in ((2, "refs/heads/other"), (3, "refs/tags/v1"), (4, "refs/remotes/origin/theirs")):
        git(root, "checkout", "--quiet", "--detach", "main")
        commit(root, model)
        git(root, "update-ref", ref, "HEAD")
    git(root, "checkout", "--quiet", "--detach", "main")
    commit(root, 5)
    assert looks(root) == 5


def test_a_side_branch_whose_model_was_not_kept_by_the_merge_has_looked(root: Path) -> None:
    commit(root, 1)
    git(root, "checkout", "--quiet", "-b", "side")
    commit(root, 2)
    git(root, "checkout", "--quiet", "main")
    git(root, "merge", "--quiet", "--no-ff", "--strategy=ours", "--message", "ours", "side")
    git(root, "branch", "--delete", "--force", "side")
    assert looks(root) == 2


def test_a_lock_that_only_a_merge_wrote_has_looked(root: Path) -> None:
    commit(root, 1)
    git(root, "checkout", "--quiet", "-b", "side")
    commit(root, 2)
    git(root, "checkout", "--quiet", "main")
    commit(root, 3)
    git_bytes(root, "merge", "--no-commit", "side")
    commit(root, 4)
    commit(root, 1)
    assert looks(root) == 4


def test_another_holdout_starts_again(root: Path) -> None:
    for model in (1, 2, 3):
        commit(root, model)
    lock(root, 4, until="2013-12-01")
    assert looks(root) == 1
    lock(root, 4, text=LOCK.replace("3 months", "2 months"))
    assert looks(root) == 1
    lock(root, 4, text=LOCK.replace("- id", "- other"))
    assert looks(root) == 1


def test_words_about_the_target_leave_the_holdout_the_same(root: Path) -> None:
    commit(root, 1)
    lock(root, 2, about="other words")
    assert looks(root) == 2


def test_locks_that_cannot_be_read_or_hold_no_model_count_for_nothing(root: Path) -> None:
    commit(root, 1)
    for text in ("<<<<<<< ours\n", "stages: []\n", "a: [", "", "\x00", "schema: '2.0'\nstages: {}\n"):
        commit(root, 1, text=text.replace("{}", "{{}}"))
    lock(root, 2)
    assert looks(root) == 2


def test_a_lock_that_was_laid_out_by_hand_is_the_same_look(root: Path) -> None:
    import json

    import yaml

    text = LOCK.format(model=0xA << 124, until="2013-11-01", about="x")
    assert look_of(text.encode()) == look_of(json.dumps(yaml.safe_load(text)).encode())
    assert look_of(text.encode()) is not None


def test_a_project_in_a_folder_of_its_repository_counts_its_own_lock(root: Path) -> None:
    inside = root / "project"
    inside.mkdir()
    commit(root, 1)
    commit(inside, 2)
    commit(inside, 3)
    assert looks(inside) == 2


def test_five_hundred_commits_take_less_than_a_second(root: Path) -> None:
    stream = ["reset refs/heads/main\n"]
    for model in range(500):
        text = LOCK.format(model=model, until="2013-11-01", about="x") + "# " + "x" * 10_000
        stream.append(
            f"commit refs/heads/main\ncommitter T <t@example.org> {1_000_000 + model} +0000\ndata 1\nm\n"
            f"M 100644 inline dvc.lock\ndata {len(text)}\n{text}\n"
        )
    import subprocess

    subprocess.run(["git", "-C", str(root), "fast-import", "--quiet"], input="".join(stream).encode(), check=True)
    lock(root, 3)
    start = time.perf_counter()
    assert looks(root) == 500
    assert time.perf_counter() - start < 1
