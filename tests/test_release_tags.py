"""Tags that a release may not push, tags that people made, and what the newest ones say. Real git, real GTO."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

from typing import Any

import pytest

from lockstep.errors import InputError, OutsideError
from lockstep.release import origin, rollback, tags, versions
from lockstep.release.deployment import Record
from lockstep.release.tags import Version
from lockstep.revision import git
from release_world import World, made, released, world  # noqa: F401


def back_to(world: World, version: str) -> None:
    """The rollback is merged."""
    back = rollback.make(world.root, *rollback.choose(world.root, version))
    git(world.root, "merge", "--quiet", "--ff-only", back.branch)
    git(world.root, "push", "--quiet", "origin", "HEAD:main")
    world.repro()


def test_a_stage_s_tag_that_github_refuses_does_not_fail_what_is_deployed_and_is_tried_again(world: World) -> None:
    world.workflow("a")
    world.release()
    world.workflow("b")
    world.change("worse", code_txt="2\n")
    world.release()
    back_to(world, "v1.0.0")
    hook = world.guards_workflows()
    for sentence in ("released toy v1.0.0", "nothing to do: staging has v1.0.0"):
        done = world.release()
        assert done.sentence.startswith(sentence)
        assert "v1.0.0 is deployed all the same, and an App with `workflows: write`, or `lockstep release` by" in (
            done.sentence
        )
    assert world.record()["version"] == "v1.0.0"
    assert "toy#staging#3" not in {**world.tags(), **dict.fromkeys(git(world.root, "tag").split())}
    hook.unlink()
    assert "refused" not in world.release().sentence
    assert world.tags()["toy#staging#3"] == world.tags()["toy@v1.0.0"]


def test_a_version_s_tag_that_github_refuses_says_which_run_releases_it(world: World) -> None:
    old = world.workflow("a")
    world.workflow("b")
    world.guards_workflows()
    git(world.root, "checkout", "--quiet", old)
    with pytest.raises(
        OutsideError, match=f"moved on from {old[:7]} with a changed workflow.*Nothing was deployed: the"
    ):
        world.release()
    assert (git(world.root, "tag"), world.origin("branch", "--list", "deploy")) == ("", "")
    git(world.root, "checkout", "--quiet", "main")
    assert world.release().version == "v1.0.0"


def test_what_failed_outside_is_not_called_undone(world: World) -> None:
    git(world.root, "remote", "set-url", "origin", str(world.bare.with_name("gone.git")))
    with pytest.raises(OutsideError, match="It is safe to run again, which goes on from what is done$"):
        world.release()


def test_two_versions_of_one_commit_are_named_before_anything_is_built(released: World) -> None:
    released.tagged_by_hand("toy@v0.9.0")
    released.change("better", code_txt="2\n")
    mend = r"toy@v1\.0\.0 and toy@v0\.9\.0 are tags of one commit.* `git push origin --delete refs/tags/toy@v0\.9\.0`"
    with pytest.raises(InputError, match=mend):
        released.release()
    assert len(released.registry.images()) == 1
    git(released.root, "tag", "--delete", "toy@v0.9.0")
    git(released.root, "push", "--quiet", "origin", "--delete", "refs/tags/toy@v0.9.0")
    assert released.release().version == "v1.1.0"


@pytest.mark.parametrize("tag", ["toy@v1.1.0-rc.1", "toy@v20261123204338.0.0"])
def test_a_tag_of_another_form_stops_only_the_release_of_its_own_commit(released: World, tag: str) -> None:
    head = released.change("better", code_txt="2\n")
    released.tagged_by_hand(tag)
    with pytest.raises(InputError, match=f"{tag} is a tag of this commit, which gets a version of its own"):
        released.release()
    assert len(released.registry.images()) == 1
    assert git(released.root, "rev-parse", "HEAD") == head
    released.change("better still", code_txt="3\n")
    assert released.release().version == "v1.1.0"
    assert released.release().sentence.startswith("nothing to do"), "what was written can be read"


def test_a_version_that_was_taken_back_does_not_stop_the_next(released: World) -> None:
    released.tagged_by_hand("toy@v1.0.0!")
    released.change("better", code_txt="2\n")
    assert released.release().version == "v1.1.0"


def test_a_tag_of_a_file_is_no_release_and_is_named_before_anything_is_built(released: World) -> None:
    for name in ("toy@v0.0.1", "toy#staging#9"):
        released.tagged_by_hand(name, on="HEAD:params.yaml")
    assert [each.tag for each in tags.released(released.root, "toy")] == ["toy@v1.0.0"]
    assert [each.tag for each in tags.staged(released.root, "toy")] == ["toy#staging#1"]
    assert "nothing to do" in released.release().sentence
    released.change("better", code_txt="2\n")
    with pytest.raises(InputError, match=r"the tag toy#staging#9 leads to no commit.*`git tag --delete toy#staging#9`"):
        released.release()
    assert len(released.registry.images()) == 1


def test_a_tag_of_a_tag_leads_to_its_commit(released: World) -> None:
    head = released.commit("docs")
    released.tagged_by_hand("inner")
    released.tagged_by_hand("toy@v1.3.0", on="inner")
    assert [each.commit for each in tags.released(released.root, "toy")][-1] == head


@pytest.mark.parametrize("text", ["v1000000000.0.0", "v01.0.0", "v1.0", "vv1.0.0", "v1.0.٣"])
def test_one_form_of_a_number_holds_everywhere(text: str) -> None:
    with pytest.raises(InputError, match="is not a version"):
        Version.parse(text)


def test_a_record_that_could_not_be_read_again_is_not_written() -> None:
    about = dict.fromkeys(("identity", "model", "lock"), "1" * 64) | {"digest": f"sha256:{'1' * 64}"}
    right = Record(name="toy", version="v1.0.0", image="ghcr.io/a/b", commit="1" * 40, **about)
    assert right.text()
    wrong = Record(name="toy", version="v1000000000.0.0", image="ghcr.io/a/b", commit="1" * 40, **about)
    with pytest.raises(InputError, match="would not be readable: `version` is not what a release writes there"):
        wrong.text()


def test_tags_of_a_person_that_were_never_pushed_stay(world: World) -> None:
    mine = {"toy@candidate-7", "toy@v1.0.0-rc.1", "toy#note"}
    for tag in mine:
        git(world.root, "tag", "--annotate", "--message", "mine", tag)
    world.commit("another")
    world.release()
    assert mine <= set(git(world.root, "tag").split())


def test_a_person_s_tag_in_a_release_s_form_is_neither_dropped_nor_counted(world: World) -> None:
    git(world.root, "tag", "--annotate", "--message", "mine", "toy@v5.0.0")
    with pytest.raises(InputError, match=r"toy@v5\.0\.0 is only here.*`git push origin refs/tags/toy@v5\.0\.0` if"):
        world.release()
    git(world.root, "push", "--quiet", "origin", "refs/tags/toy@v5.0.0")
    assert world.release().version == "v5.0.0"


def test_the_stage_s_newest_tag_says_what_staging_has_though_two_deploy_at_once(
    released: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    released.change("older", code_txt="2\n")
    other = released.clone()
    real = versions.assign

    def late(*arguments: Any) -> bool:
        monkeypatch.setattr(versions, "assign", real)
        other.change("newer", code_txt="3\n")
        other.release()
        return real(*arguments)

    monkeypatch.setattr(versions, "assign", late)
    released.release()
    assert released.record()["version"] == "v1.2.0"
    newest = max(tag for tag in released.tags() if tag.startswith("toy#staging#"))
    assert released.tags()[newest] == released.tags()["toy@v1.2.0"]


def test_a_stage_that_moves_on_while_its_tag_is_pushed_gets_another_tag(
    released: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = versions.said(released.root, "toy@v1.0.0")
    released.change("better", code_txt="2\n")
    released.release()
    newer = versions.said(released.root, "toy@v1.1.0")
    answers = [(Version(1, 0, 0), about), (Version(1, 1, 0), newer), (Version(1, 1, 0), newer)]
    assert versions.assign(released.root, "toy", "prod", lambda: answers.pop(0))
    assert versions.assigned(released.root, "toy", "prod") == released.tags()["toy@v1.1.0"]
    assert answers == []


def test_what_somebody_wrote_to_staging_meanwhile_is_not_vouched_for(
    released: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    released.change("better", code_txt="2\n")
    real = versions.assign

    def late(*arguments: Any) -> bool:
        released.says("staging", digest=f"sha256:{'f' * 64}")
        return real(*arguments)

    monkeypatch.setattr(versions, "assign", late)
    released.release()
    assert "toy#staging#2" not in released.tags()


def test_without_the_branch_deploy_the_tags_keep_an_older_commit_out(released: World) -> None:
    old = git(released.root, "rev-parse", "HEAD")
    released.change("newer", code_txt="2\n")
    released.release()
    released.origin("branch", "--delete", "--force", "deploy")
    git(released.root, "checkout", "--quiet", old)
    outcome = released.release()
    assert outcome.sentence.startswith("superseded: staging had the version of ")
    assert released.origin("branch", "--list", "deploy") == ""
    git(released.root, "checkout", "--quiet", "main")
    assert released.release().released


def test_who_git_does_not_know_is_told_before_anything_is_built(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{role}_{what}", raising=False)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(world.root.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git(world.root, "config", "user.useConfigOnly", "true")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    with pytest.raises(InputError, match="git does not know as whom: `git config user.name NAME`"):
        world.release()
    assert world.registry.images() == {}
    assert world.release(image_only=True).released, "which neither tags nor commits"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert origin.look(world.root, "toy").deploy == ""
    assert world.release().released


def test_changed_manifests_keep_the_version_before(released: World) -> None:
    released.change("better", code_txt="2\n")
    released.release()
    released.change(deploy__README_md="elsewhere\n")
    assert released.release().version == "v1.1.0"
    assert released.record()["previous"] == "v1.0.0"
