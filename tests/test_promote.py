"""`lockstep promote`: production follows staging, by pull request or by a branch; and the tag afterwards."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from github_stand_in import Fault, GitHub, Pull
from lockstep.commands.promote import promote as command
from lockstep.errors import InputError, OutsideError, Refused
from lockstep.github.api import Api
from lockstep.release import origin, promote
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
    git(released.root, "fetch", "--quiet", "origin", "deploy")
    git(released.root, "checkout", "--quiet", "FETCH_HEAD")
    path = released.root / "production/release.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"identity": "0" * 64}))
    git(released.root, "commit", "--quiet", "--all", "--message", "by hand")
    git(released.root, "push", "--quiet", "origin", "HEAD:deploy")
    with pytest.raises(Refused, match=r"the tag toy@v1\.0\.0 says .*not of one release"):
        promote.assign(released.root, "toy")
    assert "toy#prod#2" not in released.tags()


@pytest.mark.parametrize("text", ["[]", "{}", '{"name": 1}', "no"])
def test_a_record_that_was_broken_by_hand_is_a_sentence(released: World, text: str) -> None:
    git(released.root, "fetch", "--quiet", "origin", "deploy")
    git(released.root, "checkout", "--quiet", "FETCH_HEAD")
    (released.root / "staging/release.json").write_text(text)
    git(released.root, "commit", "--quiet", "--all", "--message", "by hand")
    git(released.root, "push", "--quiet", "origin", "HEAD:deploy")
    with pytest.raises(InputError, match=r"staging/release\.json of branch `deploy` cannot be read"):
        promote.promote(released.root, "toy", None)


@pytest.mark.parametrize(
    ("url", "repository"),
    [
        ("https://github.com/acme/flights.git", "acme/flights"), ("git@github.com:acme/flights.git", "acme/flights"),
        ("https://github.com/acme/flights", "acme/flights"), ("https://example.org/acme/flights.git", ""),
    ],
)  # fmt: skip
def test_origin_says_which_repository_at_github_it_is(world: World, url: str, repository: str) -> None:
    git(world.root, "remote", "set-url", "origin", url)
    assert origin.repository(world.root) == repository


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
