"""Versions: numbers from what changed, GTO's tags, and who is believed. Real git, real GTO."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

from typing import Any

import pytest

import tagged
from lockstep.errors import InputError
from lockstep.release import origin, versions
from lockstep.release.superseded import Standing, skipped, standing
from lockstep.release.tags import Version
from lockstep.revision import git
from release_world import World, made, released, world  # noqa: F401


def test_a_stage_is_where_its_newest_tag_says_and_nowhere_after_it_was_taken_away(released: World) -> None:
    head = git(released.root, "rev-parse", "HEAD")
    assert versions.assigned(released.root, "toy", "staging") == head
    assert versions.assigned(released.root, "toy", "prod") == ""
    git(released.root, "tag", "--annotate", "-m", "gone", "toy#staging!#2", head)
    assert versions.assigned(released.root, "toy", "staging") == ""


def test_assigning_twice_makes_one_tag(released: World) -> None:
    about = versions.said(released.root, "toy@v1.0.0")
    assert versions.assign(released.root, "toy", "prod", lambda: (Version(1, 0, 0), about))
    assert not versions.assign(released.root, "toy", "prod", lambda: (Version(1, 0, 0), about))
    assert sorted(released.tags()) == ["toy#prod#2", "toy#staging#1", "toy@v1.0.0"]


def test_a_version_that_was_never_released_cannot_be_assigned(released: World) -> None:
    with pytest.raises(InputError, match="there is no tag toy@v3.0.0"):
        versions.assign(released.root, "toy", "prod", lambda: (Version(3, 0, 0), {}))


def test_a_stage_s_number_that_somebody_else_took_is_not_written_over(
    released: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, made_there = released.clone(), list[str]()
    real, about = versions._gto, versions.said(released.root, "toy@v1.0.0")

    def late(verb: str, *arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(versions, "_gto", real)
        versions.assign(other.root, "toy", "prod", lambda: looked_at(other))
        made_there.append(other.origin("rev-parse", "toy#prod#2"))
        return real(verb, *arguments, **options)

    def looked_at(world: World) -> versions.Deployed:
        origin.look(world.root, "toy")
        return Version(1, 0, 0), about

    monkeypatch.setattr(versions, "_gto", late)
    versions.assign(released.root, "toy", "prod", lambda: looked_at(released))
    assert sorted(released.tags()) == ["toy#prod#2", "toy#staging#1", "toy@v1.0.0"]
    assert made_there == [released.origin("rev-parse", "toy#prod#2")] == [git(released.root, "rev-parse", "toy#prod#2")]


def test_a_tag_that_claims_an_identity_which_its_commit_has_no_model_for_is_not_believed(released: World) -> None:
    words = released.change("words", README_md="x\n")
    released.change("another", code_txt="2\n")
    # Whoever may push tags says that a commit is this model's release.
    from lockstep.lock import fresh
    from lockstep.release import models
    from release_world import identity_of

    made_now = identity_of(released.root, None, models.md5s(fresh.read_lock(released.root)))
    tagged.tag(released.root, "toy@v9.0.0", words, identity=made_now)
    git(released.root, "push", "--quiet", "origin", "toy@v9.0.0")
    assert released.release().version == "v9.1.0"


def test_a_version_that_a_person_tagged_is_kept(world: World) -> None:
    git(world.root, "tag", "--annotate", "-m", "by hand", "toy@v0.3.0")
    git(world.root, "push", "--quiet", "origin", "toy@v0.3.0")
    assert world.release().version == "v0.3.0"
    assert world.tags()["toy#staging#1"] == world.record()["commit"]


def test_tags_of_other_projects_are_left_alone(world: World) -> None:
    git(world.root, "tag", "toys@v7.0.0")
    git(world.root, "tag", "mine")
    assert world.release().version == "v1.0.0"
    assert {"toys@v7.0.0", "mine"} <= set(git(world.root, "tag").splitlines())


def test_an_earlier_release_that_cannot_be_read_counts_as_another_contract(released: World) -> None:
    released.write(params_yaml="[", dvc_lock="[")
    git(released.root, "commit", "--quiet", "--all", "--message", "broken")
    broken = git(released.root, "rev-parse", "HEAD")
    git(released.root, "tag", "--annotate", "-m", "by hand", "toy@v1.5.0", broken)
    git(released.root, "push", "--quiet", "origin", "HEAD:main", "toy@v1.5.0")
    git(released.root, "checkout", "--quiet", "HEAD~1", "--", ".")
    released.write(code_txt="3\n")
    released.repro()
    released.commit()
    assert released.release().version == "v2.0.0"


def test_a_shallow_clone_is_told_to_fetch_the_rest(released: World) -> None:
    released.change("more", README_md="x\n")
    shallow = released.root.with_name("shallow")
    git(released.root.parent, "clone", "--quiet", "--depth=1", f"file://{released.bare}", str(shallow))
    with pytest.raises(InputError, match="git fetch --unshallow"):
        origin.look(shallow, "toy")


def test_commits_stand_before_after_beside_one_another(released: World) -> None:
    root, first = released.root, git(released.root, "rev-parse", "HEAD")
    second = released.change("second", README_md="2\n")
    third = released.change("third", README_md="3\n")
    aside = git(root, "commit-tree", "HEAD^{tree}", "-p", first, "-m", "aside")
    assert standing(root, "", first) is Standing.FIRST
    assert standing(root, first, first) is Standing.SAME
    assert standing(root, first, third) is Standing.AFTER
    assert standing(root, third, first) is Standing.SUPERSEDED
    assert standing(root, aside, third) is Standing.ASIDE
    assert standing(root, "0" * 40, third) is Standing.ASIDE
    assert skipped(root, first, third) == [second]
    assert skipped(root, first, first) == skipped(root, "", third) == skipped(root, aside, third) == []
