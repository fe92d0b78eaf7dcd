"""The loop, end to end: branches are pushed, the workflows' own steps run, and what people see on GitHub is looked at.

Nothing is played but GitHub itself, CML and the actions: see runner.py and job.py.
"""

from __future__ import annotations

import re

import pytest

import small
from lockstep.github.override import LABEL
from loop import project
from loop.team import BETTER, WORSE, Team

pytestmark = pytest.mark.timeout(600)

WORDS = {"README.md": "# Customers\n"}
QUESTION = {"params.yaml": project.spec(project={"question": "Will this customer leave soon?"})}
"""What only evaluate reads."""


def test_a_better_change_is_green_and_its_lock_is_committed(team: Team) -> None:
    pull = team.propose({"params.yaml": project.spec(train=BETTER)})
    before = team.hub.head("idea")
    run = team.judge(pull)
    assert run["conclusion"] == "success", team.log()
    made = team.hub.head("idea")
    assert team.hub.git("rev-parse", f"{made}^") == before
    changed = set(team.hub.git("diff", "--name-only", before, made).split())
    assert {"dvc.lock", "dvc.lock.seal", "reports/metrics.json", "model/card.md"} <= changed
    assert all(name.startswith(("dvc.lock", "reports/", "model/card.md")) for name in changed)
    assert team.verdict(before) == team.verdict(made) == "success"
    assert team.hub.dispatched == [("test.yml", {"ref": "idea"})]
    assert "better, safe to merge" in team.headline(pull)
    assert "better, safe to merge" in run["summary"]
    # What was committed is true: without a remote the next run trains again, and makes the same bytes.
    team.runner.logs.clear()
    team.judge(pull)
    assert team.trained()
    assert team.hub.head("idea") == made
    assert team.verdict(made) == "success"


def test_a_worse_change_is_refused_until_a_maintainer_says_otherwise_and_for_as_long(team: Team) -> None:
    team.at_hand("worse")
    pull = team.propose({}, world="worse")
    team.judge(pull)
    head = team.hub.head("idea")
    assert team.verdict(head) == "failure"
    assert "worse" in team.headline(pull)
    team.hub.people["eve"] = "read"
    team.runner.label(pull, LABEL, "eve")
    assert team.verdict(head) == "failure"
    team.runner.unlabel(pull, LABEL, "ada")
    team.runner.label(pull, LABEL, "ada")
    assert team.verdict(head) == "success"
    assert "Overridden by ada" in team.comment(pull)
    team.runner.unlabel(pull, LABEL, "ada")
    assert team.verdict(head) == "failure"
    assert "Overridden by" not in team.comment(pull)
    assert team.runner.answers == ["success"] * 5


def test_another_label_changes_nothing(team: Team) -> None:
    pull = team.propose(WORDS)
    team.runner.label(pull, "good first issue", "ada")
    assert team.runner.answers == ["skipped"]
    assert not team.runner.commands


def test_a_change_of_words_trains_nothing_and_is_identical(team: Team) -> None:
    pull = team.propose(WORDS)
    run = team.judge(pull)
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    assert "identical" in team.headline(pull)
    assert not team.trained()
    assert not team.hub.dispatched
    # Started again, the run hands its report on anew.
    assert team.runner.again(run, pull)["conclusion"] == "success", team.log()
    assert team.runner.answers == ["success", "success"]
    assert len(pull.comments) == 1


def test_new_data_moves_the_window_on(team: Team) -> None:
    spec = project.spec(ingest={"files": f"{project.INCOMING}/*.csv", "from": "2024-01-01", "until": "2024-04-27"})
    pull = team.propose({"params.yaml": spec})
    run = team.judge(pull)
    assert run["conclusion"] == "success", team.log()
    head = team.hub.head("idea")
    assert team.hub.git("show", f"{head}:dvc.lock") != team.hub.git("show", "main:dvc.lock")
    assert "2024-04-27" in team.comment(pull)
    assert "no difference shown" in team.headline(pull)
    assert team.verdict(head) == "success"


def test_a_changed_contract_says_what_it_breaks(team: Team) -> None:
    columns = {name: dict(about) for name, about in small.a_spec().model_dump(
        mode="json", by_alias=True, exclude_unset=True)["contract"]["columns"].items()}  # fmt: skip
    del columns["device"]
    pull = team.propose({"params.yaml": project.spec(contract={"columns": columns})})
    run = team.judge(pull)
    assert run["conclusion"] == "success", team.log()
    assert "device" in team.comment(pull)


def test_a_loosened_gate_is_in_the_headline(team: Team) -> None:
    team.at_hand("worse")
    gates = [{"metric": "roc_auc", "at_least": 0.6}, {"metric": "roc_auc", "against": "champion", "tolerance": 0.5}]
    pull = team.propose({"params.yaml": project.spec(train=WORSE, gates=gates)}, world="worse")
    team.judge(pull)
    assert "gate loosened" in team.headline(pull)
    assert team.verdict(team.hub.head("idea")) == "failure"  # the base's gates are judged too


def test_other_labels_are_another_question_and_not_comparable(team: Team) -> None:
    name = f"{project.INCOMING}/2024-04.csv"
    text = (team.clone / name).read_text(encoding="utf-8")
    flipped = re.sub(r",(yes|no),", lambda found: ",no," if found[1] == "yes" else ",yes,", text)
    pull = team.propose({name: flipped})
    team.judge(pull)
    assert team.verdict(team.hub.head("idea")) == "failure", team.log()
    assert "not comparable" in team.comment(pull)


def test_a_pull_request_into_another_branch_has_a_verdict_of_another_name(team: Team) -> None:
    team.hub.git("branch", "release", "main")
    pull = team.propose(WORDS, base="release")
    team.judge(pull)
    head = team.hub.head("idea")
    assert team.verdict(head, "lockstep verdict (into release)") == "success", team.log()
    assert team.verdict(head) == "none"
    # Another title judges nothing; another branch to be merged into does.
    done = len(team.runner.commands)
    run = team.runner.pull_request(pull, "edited", changes={"title": {"from": "before"}})
    assert (run["conclusion"], team.runner.answers[-1]) == ("skipped", "skipped")
    assert len(team.runner.commands) == done
    pull.base = "main"
    run = team.runner.pull_request(pull, "edited", changes={"base": {"ref": {"from": "release"}}})
    assert run["conclusion"] == "success", team.log()
    assert team.verdict(head) == "success"


def test_a_pull_request_that_a_workflow_opened_is_judged_by_its_number(team: Team) -> None:
    pull = team.propose(WORDS)
    assert team.runner.dispatch(pull)["conclusion"] == "success", team.log()
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    assert "identical" in team.headline(pull)


def test_a_dispatch_on_another_branch_than_the_numbers_is_refused(team: Team) -> None:
    pull = team.propose(WORDS)
    team.propose(QUESTION, "other").branch = "other"
    pull.branch = "other"
    assert team.runner.dispatch(pull)["conclusion"] == "failure"
    assert "start it on the pull request's own branch" in team.log()


def test_where_authors_commit_the_lock_the_comment_says_how_and_nothing_is_written(team: Team) -> None:
    team.runner.variables["LOCKSTEP_LOCK_BY"] = "author"
    pull = team.propose(QUESTION)
    head = team.hub.head("idea")
    team.judge(pull)
    assert team.hub.head("idea") == head
    assert team.verdict(head) == "failure"
    assert "make repro" in team.comment(pull)
    assert not team.hub.dispatched


def test_another_cml_than_the_pinned_one_is_not_run_and_said_while_the_comment_is_there(team: Team) -> None:
    team.runner.variables["LOCKSTEP_CML_SHA256"] = "0" * 64
    pull = team.propose(WORDS)
    team.judge(pull, answered="failure")
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    assert "identical" in team.headline(pull)
    assert "CML watermark" not in team.comment(pull)
    assert "LOCKSTEP_CML_SHA256" in team.log()
