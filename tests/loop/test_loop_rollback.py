"""The way back through the loop: the command's branch, the run that judges it, the verdict, the merge."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import tagged
from lockstep.commands.rollback import rollback
from loop.team import Team, git

pytestmark = pytest.mark.timeout(600)

TAG = "customers@v1.0.0"


def roll_back(team: Team, *arguments: str) -> None:
    """`lockstep rollback` in the clone, which must end well."""
    done = CliRunner().invoke(rollback, ["v1.0.0", "--push", *arguments])
    assert done.exit_code == 0, f"{done.output}{done.exception}"


@pytest.fixture
def moved_on(team: Team, monkeypatch: pytest.MonkeyPatch) -> Team:
    """v1.0.0 was released; main has a better model since."""
    monkeypatch.chdir(team.clone)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    tagged.tag(team.clone, TAG, team.hub.head("main"))
    git(team.clone, "push", "--quiet", str(team.hub.bare()), TAG)
    team.at_hand("better")
    pull = team.propose({}, world="better")
    team.judge(pull)
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    team.merge(pull)
    git(team.clone, "fetch", "--quiet", "--tags", str(team.hub.bare()))
    return team


def test_an_earlier_release_comes_back_without_training_and_passes(moved_on: Team) -> None:
    team = moved_on
    roll_back(team, "--why", "its callers time out")
    pull = team.hub.open("rollback/v1.0.0")
    team.runner.logs.clear()
    run = team.judge(pull)
    assert run["conclusion"] == "success", team.log()
    assert team.verdict(team.hub.head("rollback/v1.0.0")) == "success"
    assert "customers: rollback to v1.0.0" in team.headline(pull)
    assert not team.trained()
    assert git(team.clone, "branch", "--show-current") == "main", "the work tree was left alone"
    team.merge(pull)
    assert team.hub.git("show", "main:dvc.lock") == team.hub.git("show", f"{TAG}:dvc.lock")


def test_one_more_change_makes_it_a_change_like_any_other(moved_on: Team) -> None:
    team = moved_on
    roll_back(team)
    git(team.clone, "checkout", "--quiet", "rollback/v1.0.0")
    (team.clone / "mine.txt").write_text("one more thing\n")
    git(team.clone, "add", "--all")
    git(team.clone, "commit", "--quiet", "-m", "one more thing")
    git(team.clone, "push", "--quiet", str(team.hub.bare()), "rollback/v1.0.0")
    pull = team.hub.open("rollback/v1.0.0")
    team.judge(pull)
    assert "rollback" not in team.headline(pull)
