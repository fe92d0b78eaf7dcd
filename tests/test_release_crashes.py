"""A release that is killed or fails between any two of its steps, and two at a time: run again, it ends the same."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

import release_world
from lockstep.errors import OutsideError
from lockstep.release import deployment, origin, versions
from lockstep.revision import git
from release_world import World, made, world  # noqa: F401

BOUNDARIES = (
    "origin.look 1 after", "models.obtain 1 before", "models.obtain 1 after", "chain.ship 1 before",
    "chain.ship 1 after", "models.keep 1 after", "sbom.write 1 after", "versions._gto 1 after", "origin.push 1 after",
    "deployment.commit 1 after", "origin.push 2 after", "versions._gto 2 after", "origin.push 3 after",
)  # fmt: skip
"""The last three pushes: the version's tag, the branch `deploy`, the stage's tag."""


@pytest.fixture(scope="session")
def ended(
    made: World,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Any, ...]:
    """How a release ends that nothing disturbs."""
    undisturbed = release_world.copied(made, tmp_path_factory.mktemp("undisturbed") / "world")
    done = undisturbed.start()
    assert done.returncode == 0, done.stderr
    return undisturbed.state()


FAILING = ("models.keep 1 after", "origin.push 1 after", "origin.push 2 after")


@pytest.mark.parametrize(
    ("boundary", "how"), [*((each, "kill") for each in BOUNDARIES), *((each, "fail") for each in FAILING)]
)
def test_wherever_it_ends_the_next_call_completes_it(
    world: World, ended: tuple[Any, ...], boundary: str, how: str
) -> None:
    first = world.start(f"{boundary} {how}")
    assert first.returncode == (-9 if how == "kill" else 4), first.stdout + first.stderr
    second = world.start()
    assert second.returncode == 0, second.stderr
    assert world.state() == ended
    assert git(world.root, "status", "--porcelain") == ""
    assert "nothing to do" in world.start().stdout


def test_another_clone_completes_it_as_well(world: World, ended: tuple[Any, ...]) -> None:
    assert world.start("origin.push 1 after kill").returncode == -9
    other = world.clone()
    done = world.start(root=other.root)
    assert done.returncode == 0, done.stderr
    assert world.state() == ended


def test_a_tag_that_was_never_pushed_is_dropped_and_said(world: World, ended: tuple[Any, ...]) -> None:
    assert world.start("versions._gto 1 after kill").returncode == -9
    assert git(world.root, "tag") == "toy@v1.0.0"
    assert world.origin("tag") == ""
    done = world.start()
    assert "tag toy@v1.0.0 was only here, left by a release that was interrupted: dropped" in done.stderr
    assert world.state() == ended


def test_who_comes_second_with_a_number_is_told_and_gets_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = world.clone()
    world.change("another model", code_txt="2\n")
    real = versions.register

    def late(*arguments: Any) -> str:
        """The other release takes the number between our look and our push."""
        monkeypatch.setattr(versions, "register", real)
        other.release()
        return real(*arguments)

    monkeypatch.setattr(versions, "register", late)
    with pytest.raises(OutsideError, match=r"v1\.0\.0 was taken by another release meanwhile: run again"):
        world.release()
    assert world.release().version == "v1.1.0"
    assert (world.record()["version"], world.record()["previous"]) == ("v1.1.0", "v1.0.0")
    assert sorted(world.tags()) == ["toy#staging#1", "toy#staging#2", "toy@v1.0.0", "toy@v1.1.0"]


def test_when_the_branch_moves_on_meanwhile_ancestry_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older release loses to a newer one that was faster."""
    world.release()
    old = world.change("old", code_txt="2\n")
    other = world.clone()
    new = other.change("new", code_txt="3\n")
    git(world.root, "fetch", "--quiet", "origin")
    real = deployment.commit

    def late(*arguments: Any) -> str:
        monkeypatch.setattr(deployment, "commit", real)
        other.release()
        return real(*arguments)

    monkeypatch.setattr(deployment, "commit", late)
    outcome = world.release()
    assert not outcome.released
    assert outcome.sentence.startswith(f"superseded: staging has v1.2.0 of {new[:7]}")
    assert world.record()["commit"] == new
    assert old != new


def test_two_releases_of_one_commit_at_once_end_as_one(world: World, ended: tuple[Any, ...]) -> None:
    other = world.clone()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", f"import release_world as w; w.start_late({time.time() + 3})"], cwd=each.root,
            env=world.environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for each in (world, other)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=120) for process in running]
    assert all(process.returncode in (0, 4) for process in running), outputs
    assert world.start().returncode == 0
    tags, tree, _, images, _ = world.state()
    assert (tags, tree, images) == (ended[0], ended[1], ended[3])


def test_a_push_whose_answer_was_lost_counts(world: World) -> None:
    head = git(world.root, "rev-parse", "HEAD")
    origin.push(world.root, "refs/heads/side", head, "")
    origin.push(world.root, "refs/heads/side", head, "")
    with pytest.raises(origin.Moved, match="changed meanwhile"):
        origin.push(world.root, "refs/heads/main", git(world.root, "commit-tree", "HEAD^{tree}", "-m", "x"), "")


def test_an_origin_that_declines_is_outside_and_says_its_words(world: World) -> None:
    hook = world.bare / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho protected branch >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(OutsideError, match="`git push` failed: .*protected branch"):
        world.release()
    hook.unlink()
    assert world.release().version == "v1.0.0"
