"""`lockstep promote`: production follows staging, by pull request or by a branch; and the tag afterwards."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from github_stand_in import Fault, GitHub, Pull
from lockstep.commands.promote import promote as command
from lockstep.errors import InputError, OutsideError, Refused
from lockstep.github import repository
from lockstep.github.api import Api, of_clone
from lockstep.release import earlier, promote, superseded, versions
from lockstep.revision import git
from release_world import World, made, released, world  # noqa: F401


@pytest.fixture
def hub(released: World, tmp_path: Path) -> Iterator[GitHub]:
    """GitHub, where the project is."""
    github = GitHub(tmp_path / "github")
    released.origin("push", "--quiet", "--mirror", str(github.bare()))
    git(released.root, "remote", "set-url", "origin", str(github.bare()))
    released.bare = github.bare()
    with github.serving():
        yield github


@pytest.fixture
def api(hub: GitHub) -> Api:
    """As the workflow may use it."""
    token = hub.token({"contents": "write", "pull-requests": "write"})
    return Api(repository=hub.repository, token=token, url=hub.url, pause=0.001)


def merge(hub: GitHub, pull: Pull) -> None:
    """GitHub's button."""
    hub.git("update-ref", f"refs/heads/{pull.base}", hub.sync(pull))
    pull.state = "closed"


def test_without_github_the_branch_is_pushed_and_says_how_it_is_merged(released: World) -> None:
    done = promote.promote(released.root, "toy", None)
    assert (done.version, done.branch, done.url) == ("v1.0.0", "promote/v1.0.0", "")
    assert released.origin("ls-tree", "--name-only", "deploy") == "staging"
    git(released.root, *done.onward.split()[1:])
    staging, production = (released.origin("ls-tree", f"deploy:{name}") for name in ("staging", "production"))
    assert [line for line in staging.splitlines() if "release.json" not in line] == [
        line for line in production.splitlines() if "release.json" not in line
    ]
    assert released.record("production") == released.record()
    assert promote.promote(released.root, "toy", None).sentence == (
        "nothing to promote: production has v1.0.0, as staging has"
    )


def test_on_github_it_opens_one_pull_request_into_deploy(released: World, hub: GitHub, api: Api) -> None:
    done = promote.promote(released.root, "toy", api)
    assert promote.promote(released.root, "toy", api) == done
    (pull,) = hub.pulls.values()
    assert (pull.branch, pull.base, pull.title) == ("promote/v1.0.0", "deploy", "Promote toy v1.0.0 to production")
    assert released.record()["digest"] in pull.body
    head = hub.head("promote/v1.0.0")
    merge(hub, pull)
    assert hub.git("rev-list", "--count", "deploy") == "2"
    assert hub.head("deploy") == head
    assert released.record("production")["version"] == "v1.0.0"
    assert promote.promote(released.root, "toy", api).sentence.startswith("nothing to promote")
    assert len(hub.pulls) == 1


def test_when_staging_moves_on_the_open_pull_request_follows(released: World, hub: GitHub, api: Api) -> None:
    promote.promote(released.root, "toy", api)
    skipped = released.change("words", README_md="x\n")
    released.change("better", code_txt="2\n")
    released.release()
    done = promote.promote(released.root, "toy", api)
    (pull,) = hub.pulls.values()
    assert (done.version, done.branch) == ("v1.1.0", "promote/v1.0.0")
    assert pull.title == "Promote toy v1.1.0 to production"
    merge(hub, pull)
    assert released.record("production")["version"] == "v1.1.0"
    assert released.record("production")["skipped"] == []
    assert skipped in released.record()["skipped"]


def test_the_second_promotion_names_what_production_had_and_the_commits_between(released: World) -> None:
    done = promote.promote(released.root, "toy", None)
    git(released.root, *done.onward.split()[1:])
    between = [released.change("better", code_txt=f"{number}\n") for number in (2, 3)]
    for commit in between:
        git(released.root, "checkout", "--quiet", commit)
        released.release()
    done = promote.promote(released.root, "toy", None)
    git(released.root, *done.onward.split()[1:])
    record = released.record("production")
    assert (record["version"], record["previous"], record["skipped"]) == ("v1.2.0", "v1.0.0", between[:1])
    assert released.record("staging")["previous"] == "v1.1.0"


def test_a_release_leaves_production_as_it_is(released: World) -> None:
    git(released.root, *promote.promote(released.root, "toy", None).onward.split()[1:])
    released.change("better", code_txt="2\n")
    released.release()
    assert (released.record("production")["version"], released.record()["version"]) == ("v1.0.0", "v1.1.0")


def test_what_a_killed_promotion_left_is_taken_up(released: World, hub: GitHub, api: Api) -> None:
    hub.faults.append(Fault("POST", "pulls$", 500))
    with pytest.raises(OutsideError):
        promote.promote(released.root, "toy", api)
    assert hub.pulls == {}
    pushed = hub.head("promote/v1.0.0")
    promote.promote(released.root, "toy", api)
    assert (len(hub.pulls), hub.head("promote/v1.0.0")) == (1, pushed)


@pytest.mark.parametrize("whose", ["main", "deploy", "more"])
def test_a_branch_of_that_name_that_no_promotion_made_is_left_alone(released: World, whose: str) -> None:
    if whose == "more":
        promote.promote(released.root, "toy", None)
        git(released.root, "checkout", "--quiet", "origin/promote/v1.0.0")
        released.write(staging__README_md="mine\n")
        git(released.root, "add", "staging")
        git(released.root, "commit", "--quiet", "--message", "Promote more than that")
        git(released.root, "push", "--quiet", "origin", "HEAD:refs/heads/promote/v1.0.0")
    else:
        released.origin("branch", "promote/v1.0.0", whose)
    before = released.origin("rev-parse", "promote/v1.0.0")
    with pytest.raises(InputError, match=r"which no promotion made\. If nobody needs it, .*--delete promote/v1\.0\.0"):
        promote.promote(released.root, "toy", None)
    assert released.origin("rev-parse", "promote/v1.0.0") == before


def onto_deploy(world: World) -> None:
    """Promoted, and merged by hand."""
    git(world.root, *promote.promote(world.root, "toy", None).onward.split()[1:])


def bad_and_back(world: World, api: Api | None) -> promote.Promotion:
    """v1.1.0 is released and proposed; then staging goes back to v1.0.0, which production has."""
    git(world.root, "tag", "good")
    world.change("bad", code_txt="2\n")
    world.release()
    proposed = promote.promote(world.root, "toy", api)
    git(world.root, "checkout", "--quiet", "good", "--", ".")
    world.repro()
    world.commit("back")
    assert world.release().version == "v1.0.0"
    return proposed


def test_a_proposal_that_staging_has_left_behind_is_closed(released: World, hub: GitHub, api: Api) -> None:
    promote.promote(released.root, "toy", api)
    merge(hub, hub.pulls[1])
    stale = bad_and_back(released, api)
    done = promote.promote(released.root, "toy", api)
    assert done.sentence == (
        f"nothing to promote: production has v1.0.0, as staging has. {stale.url} was out of date, and is closed"
    )
    assert hub.pulls[2].state == "closed"
    assert hub.pulls[2].body.startswith("Closed: production has v1.0.0, as staging has, and merging this would move it")
    assert promote.promote(released.root, "toy", api).sentence.endswith("as staging has")
    released.change("better", code_txt="3\n")
    released.release()
    assert promote.promote(released.root, "toy", api).url != stale.url


def test_without_github_the_branch_that_staging_has_left_behind_is_named(released: World) -> None:
    onto_deploy(released)
    stale = bad_and_back(released, None)
    told = promote.promote(released.clone().root, "toy", None).sentence
    assert stale.branch == "promote/v1.1.0"
    assert told.endswith(
        "Out of date, and not to be merged any more: promote/v1.1.0; `git push origin --delete promote/v1.1.0` drops it"
    )


def test_changed_manifests_keep_what_production_had_before(released: World) -> None:
    onto_deploy(released)
    for changes in ({"code_txt": "2\n"}, {"deploy__README_md": "elsewhere\n"}):
        released.change("more", **changes)
        released.release()
        onto_deploy(released)
    assert released.staging("README.md", "production") == "elsewhere"
    assert (released.record("production")["version"], released.record("production")["previous"]) == ("v1.1.0", "v1.0.0")


def test_github_s_button_update_branch_does_not_stop_the_next_proposal(released: World, hub: GitHub, api: Api) -> None:
    promote.promote(released.root, "toy", api)
    released.change("better", code_txt="2\n")
    released.release()
    tree = released.root.with_name("button")
    git(released.root.parent, "clone", "--quiet", "--branch=promote/v1.0.0", str(hub.bare()), str(tree))
    git(tree, "merge", "--quiet", "--no-edit", "origin/deploy")
    git(tree, "push", "--quiet", "origin", "HEAD")
    assert promote.promote(released.root, "toy", api).version == "v1.1.0"
    merge(hub, hub.pulls[1])
    assert released.record("production")["version"] == "v1.1.0"


def test_a_merge_with_more_in_it_is_left_alone(released: World, hub: GitHub, api: Api) -> None:
    promote.promote(released.root, "toy", api)
    released.change("better", code_txt="2\n")
    released.release()
    tree = released.root.with_name("more")
    git(released.root.parent, "clone", "--quiet", "--branch=promote/v1.0.0", str(hub.bare()), str(tree))
    git(tree, "merge", "--quiet", "--no-commit", "origin/deploy")
    (tree / "staging/README.md").write_text("mine\n")
    git(tree, "commit", "--quiet", "--all", "--message", "a merge")
    git(tree, "push", "--quiet", "origin", "HEAD")
    with pytest.raises(InputError, match="which no promotion made"):
        promote.promote(released.root, "toy", api)


def test_a_tag_that_github_refuses_does_not_fail_what_is_in_production(world: World) -> None:
    world.workflow("a")
    world.release()
    onto_deploy(world)
    world.workflow("b")
    hook = world.guards_workflows()
    told = promote.assign(world.root, "toy")
    assert told.startswith("v1.0.0 is in production. GitHub refused the stage's tag")
    assert "`lockstep promote --record` by a person" in told
    assert "toy#prod#2" not in git(world.root, "tag").split()
    hook.unlink()
    assert promote.assign(world.root, "toy") == "v1.0.0 is in production"


def test_of_two_merges_at_once_the_newest_tag_says_what_production_has(
    released: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    onto_deploy(released)
    other = released.clone()
    real = versions.assign

    def late(*arguments: Any) -> bool:
        monkeypatch.setattr(versions, "assign", real)
        released.change("better", code_txt="2\n")
        released.release()
        onto_deploy(released)
        promote.assign(released.root, "toy")
        return real(*arguments)

    monkeypatch.setattr(versions, "assign", late)
    assert promote.assign(other.root, "toy") == "v1.1.0 is in production, as was recorded before"
    newest = max(tag for tag in released.tags() if tag.startswith("toy#prod#"))
    assert released.tags()[newest] == released.tags()["toy@v1.1.0"]


def test_nothing_on_staging_cannot_be_promoted(world: World) -> None:
    with pytest.raises(InputError, match="nothing is on staging"):
        promote.promote(world.root, "toy", None)


def test_after_the_merge_the_version_is_tagged_once(released: World) -> None:
    with pytest.raises(InputError, match="nothing is in production"):
        promote.assign(released.root, "toy")
    git(released.root, *promote.promote(released.root, "toy", None).onward.split()[1:])
    assert promote.assign(released.root, "toy") == "v1.0.0 is in production"
    assert promote.assign(released.root, "toy") == "v1.0.0 is in production, as was recorded before"
    assert sorted(released.tags()) == ["toy#prod#2", "toy#staging#1", "toy@v1.0.0"]
    assert released.tags()["toy#prod#2"] == released.tags()["toy@v1.0.0"]


def test_production_that_names_another_release_than_its_tag_is_refused(released: World) -> None:
    git(released.root, *promote.promote(released.root, "toy", None).onward.split()[1:])
    released.says("production", identity="0" * 64)
    with pytest.raises(Refused, match=r"identity 0+, .*toy@v1\.0\.0 says .*not of one release"):
        promote.assign(released.root, "toy")
    assert "toy#prod#2" not in released.tags()


FOREIGN = f"sha256:{'f' * 64}"


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_another_image_in_the_manifests_than_in_the_record_is_refused(released: World, environment: str) -> None:
    git(released.root, *promote.promote(released.root, "toy", None).onward.split()[1:])
    digest = released.record()["digest"]
    released.edits(f"{environment}/base/kustomization.yaml", lambda text: text.replace(digest, FOREIGN))
    before = released.origin("for-each-ref")
    with pytest.raises(Refused, match=f"{environment}/base/kustomization.yaml on `deploy` names .*@{FOREIGN}, and"):
        promote.promote(released.root, "toy", None) if environment == "staging" else promote.assign(
            released.root, "toy"
        )
    assert released.origin("for-each-ref") == before


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_an_image_that_no_tag_says_is_refused_though_manifests_and_record_agree(
    released: World, environment: str
) -> None:
    git(released.root, *promote.promote(released.root, "toy", None).onward.split()[1:])
    digest = released.record()["digest"]
    for name in ("base/kustomization.yaml", "release.json"):
        released.edits(f"{environment}/{name}", lambda text: text.replace(digest, FOREIGN))
    before = released.origin("for-each-ref")
    with pytest.raises(Refused, match=r"sha256:ffffffffffff…, and toy@v1\.0\.0 says .*not of one release"):
        promote.promote(released.root, "toy", None) if environment == "staging" else promote.assign(
            released.root, "toy"
        )
    assert released.origin("for-each-ref") == before


def test_a_version_without_a_tag_is_not_promoted(released: World) -> None:
    released.says("staging", version="v7.0.0")
    with pytest.raises(Refused, match=r"no release wrote a tag toy@v7\.0\.0"):
        promote.promote(released.root, "toy", None)


def test_staging_that_is_not_fit_to_be_deployed_is_not_promoted(released: World) -> None:
    released.edits("staging/base/deployment.yaml", lambda text: text.replace("image: service", "image: elsewhere/x:1"))
    with pytest.raises(Refused, match=r"staging/ is not fit to be deployed: .*elsewhere"):
        promote.promote(released.root, "toy", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("commit", "--output=pwned.txt"), ("commit", "HEAD"), ("commit", "1" * 39), ("digest", "sha256:x"),
        ("digest", "1" * 64), ("identity", "1"), ("model", "../x"), ("lock", ""), ("version", "v1.0.0 $(id)"),
        ("version", "v1"), ("previous", "before"), ("image", "ghcr.io/a/b:latest"), ("image", "ghcr.io/a b/c"),
        ("image", "--help"), ("name", "toy*"), ("name", "Toy"), ("skipped", ["--all"]), ("skipped", "abc"),
        ("skipped", [1]), ("commit", None),
    ],
    ids=str,
)  # fmt: skip
def test_a_record_with_anything_but_what_a_release_writes_is_refused(
    released: World, name: str, value: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    released.says("staging", **{name: value})
    monkeypatch.chdir(tmp_path)
    for call in (lambda: promote.promote(released.root, "toy", None), lambda: released.release(image_only=True)):
        with pytest.raises(InputError, match=r"staging/release\.json of branch `deploy` cannot be read"):
            call()
    assert not [*tmp_path.glob("pwned*"), *released.root.glob("pwned*")]


def test_no_name_is_an_option_to_git(released: World, tmp_path: Path) -> None:
    file = tmp_path / "pwned"
    assert superseded.told(released.root, f"--output={file}") == "--outpu"
    assert not earlier.is_ancestor(released.root, "--all", "HEAD")
    assert superseded.standing(released.root, f"--output={file}", "HEAD") is superseded.Standing.ASIDE
    assert not file.exists()


@pytest.mark.parametrize("text", ["[]", "{}", '{"name": 1}', "no"])
def test_a_record_that_was_broken_by_hand_is_a_sentence(released: World, text: str) -> None:
    released.edits("staging/release.json", lambda _: text)
    with pytest.raises(InputError, match=r"staging/release\.json of branch `deploy` cannot be read"):
        promote.promote(released.root, "toy", None)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("https://github.com/acme/flights.git", "acme/flights"), ("git@github.com:acme/flights.git", "acme/flights"),
        ("https://github.com/acme/flights", "acme/flights"), ("https://example.org/acme/flights.git", None),
    ],
)  # fmt: skip
def test_origin_says_which_repository_at_github_it_is(world: World, url: str, named: str | None) -> None:
    git(world.root, "remote", "set-url", "origin", url)
    assert repository.of(world.root, {}) == named
    found = of_clone(world.root, {"GITHUB_TOKEN": "t"})
    assert (found.repository if found else None) == named
    assert of_clone(world.root, {}) is None
    assert repository.of(world.root, {"GITHUB_REPOSITORY": "a/b"}) == "a/b"
    assert (repository.of(world.root, {"GITHUB_SERVER_URL": "https://example.org"}) is None) is (named is not None)


def test_the_command_says_what_came_of_it(released: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(released.root)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    first = run()
    assert "branch `promote/v1.0.0` is pushed" in first
    assert json.loads(run("--json"))["branch"] == "promote/v1.0.0"
    git(released.root, *first.splitlines()[-1].split()[1:])
    assert run("--record") == "v1.0.0 is in production\n"
    assert run() == "nothing to promote: production has v1.0.0, as staging has\n"
