"""The loop where branches meet: a base that moved on, the queue, and locks that no run has made."""

from __future__ import annotations

import subprocess

import pytest

from github_stand_in import Problem
from lockstep.github.override import LABEL
from loop import project
from loop.team import FORK, LATE, Team, git, late

pytestmark = pytest.mark.timeout(600)


def test_of_two_pull_requests_the_second_is_told_to_update_and_then_passes_the_queue(team: Team) -> None:
    team.at_hand("better")
    first = team.propose({"README.md": "# Customers\n"}, "words")
    second = team.propose({}, world="better")
    team.merge(first)
    # A text merge is clean, as on GitHub's button; yet the head lacks the base's tip.
    run = team.judge(second)
    assert run["conclusion"] == "failure"
    assert "this branch lacks 2 commits of `main`" in team.comment(second)
    assert team.verdict(team.hub.head("idea")) == "failure"
    git(team.clone, "checkout", "--quiet", "idea")
    git(team.clone, "merge", "--quiet", "--no-edit", "main")
    git(team.clone, "push", "--quiet", str(team.hub.bare()), "idea")
    team.judge(second)
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    assert not team.trained()
    group = team.runner.queue(second)
    assert team.verdict(group["head_sha"]) == "success", team.log()
    assert "lockstep verify" in team.runner.commands


def test_two_pull_requests_that_ran_the_same_stage_conflict_in_any_git(team: Team) -> None:
    one, other = team.propose({}, "one", world="better"), team.propose({}, "other", world="rows")
    team.merge(one)
    with pytest.raises(Problem):
        team.runner.merged(other)


def test_two_that_merge_as_text_into_what_never_ran_fail_in_the_queue_whatever_the_label(team: Team) -> None:
    team.at_hand("better")
    mine = team.propose({}, "mine", world="better")
    team.judge(mine)
    assert team.verdict(team.hub.head("mine")) == "success", team.log()
    # The fork's author has not committed the lock; a maintainer lets it pass.
    theirs = team.propose({LATE: late()}, "theirs", fork=FORK)
    team.judge(theirs)
    team.runner.label(theirs, LABEL, "ada")
    assert team.verdict(team.hub.head("theirs", FORK)) == "success", team.log()
    group = team.runner.queue(mine, theirs)
    assert group["conclusion"] == "failure"
    assert team.verdict(group["head_sha"]) == "failure"
    assert "the lock of what would be merged is not true" in team.log()


def test_a_lock_merged_by_hand_that_never_ran_is_run_and_its_seal_made_true(team: Team) -> None:
    team.at_hand("better")
    one, other = team.propose({}, "one", world="better"), team.propose({}, "other", world="rows")
    team.merge(one)
    git(team.clone, "checkout", "--quiet", "other")
    # As a clone merges that was not set up.
    (team.clone / ".git/info/attributes").write_text("dvc.lock merge\ndvc.lock.seal merge\n")
    subprocess.run(["git", "merge", "--quiet", "--no-edit", "main"], cwd=team.clone, capture_output=True)
    assert git(team.clone, "diff", "--name-only", "--diff-filter=U") == "dvc.lock.seal"
    git(team.clone, "checkout", "--ours", "dvc.lock.seal")
    project.commit(team.clone, "merged as text, one side's seal taken")
    git(team.clone, "push", "--quiet", str(team.hub.bare()), "other")
    before = team.hub.head("other")
    run = team.judge(other)
    assert run["conclusion"] == "success", team.log()
    made = team.hub.head("other")
    assert team.hub.git("diff", "--name-only", before, made).split() == ["dvc.lock.seal"]
    assert team.verdict(made) == "success"
