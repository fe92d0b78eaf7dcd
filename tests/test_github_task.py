"""What a run is to judge, and what stops it before it begins."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from github_stand_in import Pull
from github_world import World, a_world
from lockstep.errors import InputError, Refused
from lockstep.github import surroundings, task


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


def around(tmp_path: Path, event: str, payload: Any, sha: str = "") -> surroundings.Surroundings:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(payload))
    names = {"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary", "GITHUB_PATH": "path"}
    return surroundings.from_environment(
        {"GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": str(path), "GITHUB_REPOSITORY": "acme/customers",
         "GITHUB_SHA": sha, "GITHUB_RUN_ID": "7"} | {name: str(tmp_path / file) for name, file in names.items()}
    )  # fmt: skip


def checked_out(world: World, folder: Path, sha: str) -> Path:
    """As actions/checkout leaves it."""
    subprocess.run(["git", "clone", "--quiet", str(world.hub.bare()), str(folder)], check=True)
    subprocess.run(["git", "fetch", "--quiet", "origin", sha], cwd=folder, check=True)
    subprocess.run(["git", "checkout", "--quiet", sha], cwd=folder, check=True)
    return folder


def payload(world: World, pull: Pull) -> dict[str, Any]:
    return {"pull_request": world.hub.shown(pull)}


def test_a_pull_request_is_compared_with_its_bases_tip_of_now(world: World, tmp_path: Path) -> None:
    pull = world.propose()
    said = payload(world, pull)
    tip = world.commit("main", {"x.txt": "x"})
    root = checked_out(world, tmp_path / "work", world.head(pull))
    found = task.find(root, around(tmp_path, "pull_request", said))
    assert (found.head, found.base, found.number) == (world.head(pull), tip, 1)
    with pytest.raises(Refused, match="this branch lacks 1 commit of `main`.*`git merge origin/main`"):
        task.insist(root, found)


def test_a_head_that_holds_its_base_may_be_judged(world: World, tmp_path: Path) -> None:
    pull = world.propose()
    root = checked_out(world, tmp_path / "work", world.head(pull))
    task.insist(root, task.find(root, around(tmp_path, "pull_request", payload(world, pull))))


def test_what_is_checked_out_must_be_the_head(world: World, tmp_path: Path) -> None:
    pull = world.propose()
    root = checked_out(world, tmp_path / "work", world.hub.head("main"))
    with pytest.raises(InputError, match="is checked out here"):
        task.insist(root, task.find(root, around(tmp_path, "pull_request", payload(world, pull))))


def test_a_group_of_the_queue_is_compared_with_what_it_is_merged_into(world: World, tmp_path: Path) -> None:
    group = {"head_sha": "a" * 40, "base_sha": "b" * 40, "base_ref": "refs/heads/main"}
    found = task.find(tmp_path, around(tmp_path, "merge_group", {"merge_group": group}))
    assert (found.head, found.base, found.base_name, found.number) == ("a" * 40, "b" * 40, "main", None)


def test_a_dispatch_names_a_pull_request_whose_branch_it_runs_on(world: World, tmp_path: Path) -> None:
    pull = world.propose()
    root = checked_out(world, tmp_path / "work", world.head(pull))
    api = world.api({"pull-requests": "read"})
    asked = {"inputs": {"number": "1"}}
    assert task.find(root, around(tmp_path, "workflow_dispatch", asked, world.head(pull)), api).number == 1
    with pytest.raises(Refused, match="start it on the pull request's own branch"):
        task.find(root, around(tmp_path, "workflow_dispatch", asked, world.hub.head("main")), api)


@pytest.mark.parametrize("number", ["", "x", "1; true", "9"])
def test_a_dispatch_for_no_pull_request_is_refused(world: World, tmp_path: Path, number: str) -> None:
    with pytest.raises(InputError):
        task.find(tmp_path, around(tmp_path, "workflow_dispatch", {"inputs": {"number": number}}), world.api())


def test_other_events_have_nothing_to_judge(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a run of `push` has nothing to judge"):
        task.find(tmp_path, around(tmp_path, "push", {}))


def test_outside_a_workflow_people_are_sent_to_make_report() -> None:
    with pytest.raises(InputError, match="`make report`"):
        surroundings.from_environment({})


def test_a_step_tells_the_next_ones(tmp_path: Path) -> None:
    here = around(tmp_path, "push", {})
    here.tell("base", "abc")
    here.tell("number", "")
    here.summarise("# hello")
    here.prepend_path(tmp_path)
    assert (tmp_path / "output").read_text() == "base=abc\nnumber=\n"
    assert (tmp_path / "summary").read_text() == "# hello\n"
    with pytest.raises(ValueError, match="one line"):
        here.tell("base", "abc\nnumber=9")
