"""The trusted side looks for itself whether a rollback is one: what a run says of itself lets nothing in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import github_world
import tagged
from github_stand_in import Pull
from github_world import World, a_world

TAG = "customers@v1.0.0"
FILES = {"src/toy/code.py": "one", "params.yaml": "seed: 1\n", "docs/a.md": "words", "deploy/base.yaml": "one"}
BACK: dict[str, Any] = {"headline": "customers: rollback to v1.0.0", "rollback": TAG, "word": "not comparable"}
BROKEN = {
    "id": "g", "title": "g", "asked": "", "found": "", "state": "broken", "passes": False, "origin": "base",
}  # fmt: skip


def lock(letter: str) -> str:
    outs = "".join(f"    - path: model/{name}\n      md5: {letter * 32}\n" for name in ("model.onnx", "contract.json"))
    return f"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n{outs}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """v1.0.0 was released from main, which has another model, other code and another workflow now."""
    with a_world(tmp_path) as made:
        made.commit("main", {**FILES, "dvc.lock": lock("1")})
        tagged.tag(made.clone, TAG)
        made.git("push", "--quiet", str(made.hub.bare()), TAG)
        newer = {"src/toy/code.py": "two", "src/toy/new.py": "two", "deploy/base.yaml": "two", "dvc.lock": lock("2")}
        made.commit("main", {**newer, ".github/workflows/test.yml": "on: [push, pull_request]\n"})
        yield made


Changes = Callable[[World], object]


def back(
    world: World, change: Callable[[World], object] = lambda world: None, *, to: str = TAG, fork: str = ""
) -> Pull:
    """The branch that a rollback is, and a change to it."""
    world.git("checkout", "--quiet", "-B", "rollback", "main")
    world.git("rm", "-r", "--quiet", ".")
    world.git("checkout", to, "--", ".")
    world.git("checkout", "main", "--", ".github", "deploy")
    change(world)
    if fork:
        world.hub.create(fork)
    world.commit("rollback", {}, fork or None)
    return world.hub.open("rollback", repository=fork or None)


def write(**files: str) -> Changes:
    def change(world: World) -> None:
        for name, text in files.items():
            (world.clone / name).parent.mkdir(parents=True, exist_ok=True)
            (world.clone / name).write_text(text)

    return change


def answer(world: World, pull: Pull, verdict: Mapping[str, Any] = BACK, **more: Any) -> tuple[str, str]:
    """The check on its head after its run ended with this verdict."""
    world.answer(world.run(pull, verdict=verdict, **more))
    return world.verdict(world.head(pull))


def comment(world: World, pull: Pull) -> str:
    return str(pull.comments[-1]["body"])


def test_a_release_that_comes_back_passes_with_gates_that_are_broken(world: World) -> None:
    pull = back(world)
    conclusion, title = answer(world, pull, BACK | {"gates": [BROKEN]})
    assert (conclusion, title) == ("success", "customers: rollback to v1.0.0")
    assert "this branch is what was released as it" in comment(world, pull)
    summary = world.hub.checks_of(world.head(pull))[-1]["output"]["summary"]
    assert "do not decide" in summary
    assert "g: broken" in summary


def test_so_does_one_of_a_fork_since_github_has_the_tag(world: World) -> None:
    assert answer(world, back(world, fork="mallory/customers"))[0] == "success"


MINE: dict[str, Any] = BACK | {"rollback": "customers@v1.0.1", "headline": "customers: rollback to v1.0.1"}


def test_a_tag_without_a_message_was_written_by_no_release(world: World) -> None:
    world.hub.git("tag", "customers@v1.0.1", world.hub.git("rev-parse", f"{TAG}^{{}}"))
    pull = back(world)
    assert answer(world, pull, MINE)[0] == "failure"
    assert "no release wrote that tag" in comment(world, pull)


@pytest.mark.parametrize("wrong", [{"model": "f" * 64}, {"digest": "x"}, {"identity": ""}], ids=str)
def test_nor_one_that_does_not_say_what_a_release_says(world: World, wrong: dict[str, str]) -> None:
    tagged.tag(world.clone, "customers@v1.0.1", f"{TAG}^{{commit}}", **wrong)
    world.git("push", "--quiet", str(world.hub.bare()), "customers@v1.0.1")
    pull = back(world)
    assert answer(world, pull, MINE)[0] == "failure"
    assert "is not as a release writes it for that commit" in comment(world, pull)


def test_nor_another_releases_tag_under_its_name(world: World) -> None:
    world.hub.git("update-ref", "refs/tags/customers@v1.0.1", world.hub.git("rev-parse", TAG))
    pull = back(world)
    assert answer(world, pull, MINE)[0] == "failure"
    assert "no release wrote that tag" in comment(world, pull)


def test_documentation_may_differ_and_old_workflows_may_come_back_and_are_named(world: World) -> None:
    pull = back(world, write(**{"docs/a.md": "more", "README.md": "new"}))
    assert answer(world, pull)[0] == "success"
    world.git("checkout", TAG, "--", ".github")
    world.commit("rollback", {})
    assert answer(world, pull) == ("success", "changes what judges it · customers: rollback to v1.0.0")


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("src/toy/code.py", "src"), ("src/toy/mine.py", "src"), ("params.yaml", "params.yaml"),
        ("dvc.lock", "dvc.lock"),
        (".github/workflows/test.yml", ".github"), ("deploy/base.yaml", "deploy"), ("mine.py", "mine.py"),
        ("reports/metrics.json", "reports"), ("dvc.lock.seal", "dvc.lock.seal"), (".dvc/config", ".dvc"),
    ],
)  # fmt: skip
def test_anything_else_that_differs_is_not_believed(world: World, name: str, where: str) -> None:
    pull = back(world, write(**{name: "mine\n"}))
    conclusion, title = answer(world, pull)
    assert (conclusion, title) == ("failure", "could not be judged")
    assert f"is not as released in {where}." in comment(world, pull)


def test_a_file_that_is_left_out_is_not_believed_either(world: World) -> None:
    pull = back(world, lambda world: world.git("rm", "--quiet", "-f", "src/toy/code.py"))
    assert answer(world, pull)[0] == "failure"


def test_what_the_run_moved_counts(world: World) -> None:
    pull = back(world)
    conclusion, _ = answer(world, pull, moved={"reports/metrics.json": '{"mine": 1}\n'})
    assert conclusion == "failure"
    assert "is not as released in reports." in comment(world, pull)
    assert world.hub.head("rollback") == world.head(pull), "nothing was committed"


def test_a_tag_that_github_does_not_have_is_none(world: World) -> None:
    verdict = BACK | {"rollback": "customers@v7.0.0", "headline": "customers: rollback to v7.0.0"}
    pull = back(world)
    assert answer(world, pull, verdict)[0] == "failure"
    assert "this repository has no such tag" in comment(world, pull)


def test_a_branch_of_a_tags_name_is_no_tag(world: World) -> None:
    world.hub.git("tag", "-d", TAG)
    world.hub.git("update-ref", f"refs/heads/{TAG}", world.hub.head("main"))
    pull = back(world)
    assert answer(world, pull)[0] == "failure"
    assert "this repository has no such tag" in comment(world, pull)


def test_a_tag_on_a_commit_that_was_never_merged_is_not_believed(world: World) -> None:
    world.git("checkout", "--quiet", "-b", "mine", "main")
    world.commit("mine", {"src/toy/code.py": "mine", "dvc.lock": lock("3")})
    tagged.tag(world.clone, "customers@v9.0.0")
    world.git("push", "--quiet", str(world.hub.bare()), "customers@v9.0.0")
    pull = back(world, to="customers@v9.0.0")
    verdict = BACK | {"rollback": "customers@v9.0.0", "headline": "customers: rollback to v9.0.0"}
    assert answer(world, pull, verdict)[0] == "failure"
    assert "does not descend from that commit" in comment(world, pull)


def test_a_service_comes_back_though_its_base_has_the_same_model(world: World) -> None:
    world.commit("main", {"dvc.lock": lock("1")})
    assert answer(world, back(world))[0] == "success"


def test_a_base_that_is_the_release_already_has_no_rollback_to_it(world: World) -> None:
    world.commit("main", {**FILES, "dvc.lock": lock("1")})
    world.git("rm", "--quiet", "src/toy/new.py")
    world.commit("main", {"docs/a.md": "other words"})
    pull = back(world, write(**{"docs/a.md": "more words"}))
    assert answer(world, pull)[0] == "failure"
    assert "is that release" in comment(world, pull)


def test_a_release_without_a_model_is_no_rollback(world: World) -> None:
    world.hub.git("tag", "customers@v0.1.0", world.hub.git("rev-list", "--max-parents=0", "main"))
    world.git("fetch", "--quiet", "--tags", str(world.hub.bare()))
    verdict = BACK | {"rollback": "customers@v0.1.0", "headline": "customers: rollback to v0.1.0"}
    assert answer(world, back(world, to="customers@v0.1.0"), verdict)[0] == "failure"


@pytest.mark.parametrize(
    "lie",
    [
        {"headline": "customers: better, safe to merge"},
        {"headline": "customers: rollback to v1.0.0 and more"},
        {"headline": "others: rollback to v1.0.0"},
        {"project": "others"},
        {"rollback": "", "headline": "customers: rollback to v1.0.0", "word": "better"},
        {"rollback": "", "headline": "customers: better, safe to merge"},
    ],
    ids=str,
)
def test_a_verdict_that_contradicts_itself_is_poisoned(world: World, lie: Mapping[str, Any]) -> None:
    assert answer(world, back(world), BACK | lie)[0] == "failure"


def test_in_the_queue_it_is_looked_at_as_well(world: World) -> None:
    pull = back(world)
    for change, expected in ((lambda world: None, "success"), (write(**{"src/toy/code.py": "mine"}), "failure")):
        pull = back(world, change)
        head, name = world.head(pull), f"gh-readonly-queue/main/pr-{pull.number}-{world.hub.head('main')}"
        world.hub.git("update-ref", f"refs/heads/{name}", head)
        run = world.hub.run(head, "merge_group", name)
        run["conclusion"] = "success"
        world.hub.artifact(run["id"], github_world.zipped(world.left(pull, {}, BACK)))
        world.answer(github_world.runs.of_event({"workflow_run": run}))
        assert world.verdict(head)[0] == expected


def test_it_needs_no_right_that_comment_yml_does_not_have(world: World) -> None:
    pull = back(world)
    run = world.run(pull, verdict=BACK)
    world.answer(run, api=world.api(github_world.JUDGE))
    assert world.verdict(world.head(pull))[0] == "success"


def test_an_ordinary_change_costs_no_question_about_tags(world: World) -> None:
    pull = world.propose({"src/toy/code.py": "three"})
    answer(world, pull, {})
    assert not [path for _, path in world.hub.asked if "/tags/" in path]
