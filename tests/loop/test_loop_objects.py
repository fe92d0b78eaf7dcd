"""The loop where objects lie: in main's cache, in a remote, or nowhere but on their author's machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from loop import project
from loop.team import BETTER, FORK, Team

pytestmark = pytest.mark.timeout(600)


def test_a_lock_whose_objects_were_never_pushed_is_rebuilt_and_must_give_the_same(team: Team, tmp_path: Path) -> None:
    team.with_remote(str(tmp_path / "bucket"))
    pull = team.propose({}, world="better")
    head = team.hub.head("idea")
    team.judge(pull)
    assert team.trained()
    assert team.hub.head("idea") == head
    assert team.verdict(head) == "success", team.log()


def test_with_a_remote_objects_go_to_pr_and_nobody_makes_them_twice(team: Team, tmp_path: Path) -> None:
    team.with_remote(str(tmp_path / "bucket"))
    pull = team.propose({"params.yaml": project.spec(train=BETTER)})
    team.judge(pull)
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    assert "lockstep push --remote pr" in team.runner.commands
    team.runner.logs.clear()
    team.judge(pull)
    assert not team.trained()
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    group = team.runner.queue(pull)
    assert team.verdict(group["head_sha"]) == "success", team.log()


def test_what_a_queue_would_merge_must_be_in_the_remote(team: Team, tmp_path: Path) -> None:
    team.with_remote(str(tmp_path / "bucket"))
    pull = team.propose({"README.md": "# Customers\n"})
    for kept in files(tmp_path / "bucket"):
        kept.unlink()
    # Here it all is, and nobody has the right to send it.
    team.at_hand("better")
    team.runner.variables.clear()
    group = team.runner.queue(pull)
    assert "$ lockstep verify -> 3" in team.log()
    assert team.verdict(group["head_sha"]) == "failure"


def test_a_forks_run_makes_everything_without_the_remote_and_its_author_commits_the_lock(
    team: Team, tmp_path: Path
) -> None:
    team.with_remote(str(tmp_path / "bucket"))
    kept = files(tmp_path / "bucket")
    pull = team.propose({"params.yaml": project.spec(train=BETTER)}, fork=FORK)
    before = team.hub.head("idea", FORK)
    run = team.judge(pull)
    assert run["conclusion"] == "success", team.log()
    assert team.trained()
    assert "lockstep repro --no-pull" in team.runner.commands
    assert not {"lockstep repro", "lockstep push --remote pr"} & set(team.runner.commands)
    assert files(tmp_path / "bucket") == kept
    assert team.hub.head("idea", FORK) == before
    assert team.verdict(before) == "failure"
    assert "make repro" in team.comment(pull)
    assert "better" in team.comment(pull)
    # The author does, and it passes.
    team.push("idea", {}, FORK, base="idea", world="better")
    team.at_hand("better")
    team.judge(pull)
    assert team.verdict(team.hub.head("idea", FORK)) == "success", team.log()


def test_main_keeps_what_it_has_built_and_no_more_where_there_is_no_remote(team: Team, tmp_path: Path) -> None:
    team.at_hand("better")
    assert team.runner.push() == "success", team.log()
    [kept] = [path for key, path in team.runner.caches.items() if key != "dvc-of-better"]
    brought = team.worlds.world("better") / ".dvc/cache/files"
    assert 0 < len(files(kept / "files")) < len(files(brought))
    team.runner.caches = {"dvc-kept": kept}
    team.judge(team.propose({"README.md": "# Customers\n"}))
    assert not team.trained()


def test_main_keeps_nothing_where_a_role_gives_rights_to_a_bucket(team: Team) -> None:
    team.runner.variables["LOCKSTEP_AWS_ROLE_PR"] = "arn:aws:iam::1:role/pr"
    assert team.runner.push() == "skipped"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
