"""The loop from a merge to production: the own steps of release.yml and promote.yml, on bare remotes.

What is played beside GitHub and the actions is the registry with the engine that builds: see chain_stand_in.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import chain_stand_in
from conftest import ROOT
from github_stand_in import Pull
from loop import project
from loop.team import BETTER, Team

pytestmark = pytest.mark.timeout(600)

BENTOFILE = "service: lockstep.service\ninclude:\n- params.yaml\n"
"""What an image of this project would hold beside its model; nobody builds it."""

TRUSTING = {"params.yaml": project.spec(release={"trust_pull_requests": True})}
IMAGE = "ghcr.io/acme/customers"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where images go."""
    folder = tmp_path / "registry"
    for name, value in chain_stand_in.installed(folder).items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def shop(team: Team, registry: Path) -> Team:
    """A team whose main can be released."""
    manifests = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in (ROOT / "deploy").rglob("*") if path.is_file()
    }  # fmt: skip
    team.push("main", {**manifests, "bentofile.yaml": BENTOFILE})
    return team


IDLE = {"remake": "skipped", "mend": "skipped"}
DONE = {"image": "success", "stage": "success"} | IDLE
IMAGE_FAILED = {"image": "failure", "stage": "skipped"} | IDLE
STAGE_FAILED = {"image": "success", "stage": "failure"} | IDLE
SUPERSEDED = {"image": "success", "stage": "skipped"} | IDLE
UNTRUE = {"image": "failure", "stage": "skipped", "remake": "success", "mend": "success"}


def images(registry: Path) -> list[str]:
    """The digests of what was pushed."""
    return sorted(path.stem.replace("-", ":") for path in registry.glob("sha256-*.json"))


def tags(team: Team) -> list[str]:
    return team.hub.git("tag", "--list", "--sort=refname").split()


def record(team: Team, environment: str = "staging") -> dict[str, Any]:
    """What an environment says of itself on the branch `deploy`."""
    found: dict[str, Any] = json.loads(team.hub.git("show", f"deploy:{environment}/release.json"))
    return found


def deploys(team: Team) -> int:
    return int(team.hub.git("rev-list", "--count", "--all", "--not", "main")) if branches(team) else 0


def branches(team: Team) -> str:
    return team.hub.git("for-each-ref", "refs/heads/deploy")


def told(team: Team, tag: str) -> str:
    """What a tag's message says."""
    return team.hub.git("tag", "--list", "--format=%(contents)", tag)


def cosigned(team: Team) -> list[str]:
    notes = team.runner.folder / "cosign.txt"
    return notes.read_text().split() if notes.exists() else []


@contextmanager
def refusing(team: Team, pattern: str) -> Iterator[None]:
    """GitHub takes no push to such a ref."""
    hook = team.hub.bare() / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\ncase "$1" in {pattern}) echo a bad moment >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    yield
    hook.unlink()


@contextmanager
def breaking(team: Team, what: str) -> Iterator[None]:
    """A service does not answer."""
    team.runner.breaks.add(what)
    yield
    team.runner.breaks.clear()


@contextmanager
def down(registry: Path) -> Iterator[None]:
    """The registry does not answer."""
    (registry / chain_stand_in.DOWN).touch()
    yield
    (registry / chain_stand_in.DOWN).unlink()


def test_a_merge_is_released_to_staging_promoted_by_pull_request_and_written_down(shop: Team, registry: Path) -> None:
    main = shop.hub.head("main")
    assert shop.runner.release() == DONE, shop.log()
    staged = record(shop)
    digest = f"{IMAGE}@{staged['digest']}"
    assert (staged["version"], staged["image"], staged["commit"]) == ("v1.0.0", IMAGE, main)
    assert tags(shop) == ["customers#staging#1", "customers@v1.0.0"]
    assert shop.runner.logins == ["ghcr.io", "ghcr.io"], "one to push, one to look"
    assert shop.runner.signed == [("provenance", digest), ("sbom", digest)]
    assert cosigned(shop) == [digest]
    assert f"digest: {staged['digest']}" in shop.hub.git("show", "deploy:staging/base/kustomization.yaml")
    # Once more: nothing is to be done, and that is said.
    before = (tags(shop), branches(shop), images(registry), shop.runner.signed.copy())
    shop.runner.logs.clear()
    assert shop.runner.release("workflow_dispatch") == DONE, shop.log()
    assert "nothing to do: staging has v1.0.0" in shop.log()
    assert (tags(shop), branches(shop), images(registry), shop.runner.signed) == before
    assert cosigned(shop) == [digest]
    # Production moves by pull request alone.
    assert shop.runner.promote() == {"record": "skipped", "open": "success"}, shop.log()
    [pull] = shop.hub.pulls.values()
    assert (pull.base, pull.title) == ("deploy", "Promote customers v1.0.0 to production")
    assert shop.runner.promote() == {"record": "skipped", "open": "success"}, shop.log()
    assert len(shop.hub.pulls) == 1, "the one that is open follows"
    assert branches(shop) == before[1]
    shop.merge(pull)
    assert record(shop, "production") == staged
    assert shop.runner.promote(pull) == {"record": "success", "open": "skipped"}, shop.log()
    assert tags(shop) == ["customers#prod#2", "customers#staging#1", "customers@v1.0.0"]
    assert shop.runner.promote(pull) == {"record": "success", "open": "skipped"}, shop.log()
    assert shop.runner.promote() == {"record": "skipped", "open": "success"}, shop.log()
    assert "nothing to promote: production has v1.0.0" in shop.log()
    assert (len(tags(shop)), len(shop.hub.pulls)) == (3, 1)


def test_a_release_that_dies_at_each_step_in_turn_and_is_started_again_ends_the_same(
    shop: Team, registry: Path
) -> None:
    shop.push("main", TRUSTING)
    with down(registry):
        assert shop.runner.release() == IMAGE_FAILED
    assert images(registry) == []
    for number, what in enumerate(("provenance", "sbom", "signature"), 1):
        with breaking(shop, what):
            assert shop.runner.release() == IMAGE_FAILED
        # Each run has another machine. What an earlier one pushed is not believed, and made again.
        assert (len(images(registry)), tags(shop), branches(shop)) == (number, [], "")
    with refusing(shop, "refs/tags/*@*"):
        assert shop.runner.release() == STAGE_FAILED
    assert (tags(shop), branches(shop)) == ([], "")
    with refusing(shop, "refs/heads/deploy"):
        assert shop.runner.release() == STAGE_FAILED
    assert (tags(shop), branches(shop)) == (["customers@v1.0.0"], "")
    # What that tag names `deploy` has never had: it is made again, and the stage's tag will say so.
    with refusing(shop, "refs/tags/*#staging*"):
        assert shop.runner.release() == STAGE_FAILED
    assert tags(shop) == ["customers@v1.0.0"]
    assert record(shop)["version"] == "v1.0.0"
    assert shop.runner.release() == DONE, shop.log()
    assert tags(shop) == ["customers#staging#1", "customers@v1.0.0"]
    digest = record(shop)["digest"]
    assert f"digest: {digest}" in told(shop, "customers#staging#1")
    assert f"digest: {digest}" in shop.hub.git("show", "deploy:staging/base/kustomization.yaml")
    assert {("provenance", f"{IMAGE}@{digest}"), ("sbom", f"{IMAGE}@{digest}")} <= set(shop.runner.signed)
    assert f"{IMAGE}@{digest}" in cosigned(shop)
    before = (tags(shop), branches(shop), images(registry), shop.runner.signed.copy())
    assert shop.runner.release() == DONE, shop.log()
    assert (tags(shop), branches(shop), images(registry), shop.runner.signed) == before


def test_a_run_that_failed_half_way_goes_on_with_its_failed_job_alone_or_as_a_whole(shop: Team, registry: Path) -> None:
    shop.push("main", TRUSTING)
    with refusing(shop, "refs/tags/*@*"):
        assert shop.runner.release() == STAGE_FAILED
    [made] = images(registry)
    # GitHub's button: jobs that ended well do not run again, and what they gave is what it was.
    with refusing(shop, "refs/tags/*#staging*"):
        assert shop.runner.rerun("release.yml") == STAGE_FAILED, shop.log()
    assert (tags(shop), record(shop)["digest"]) == (["customers@v1.0.0"], made)
    assert f"digest: {made}" in told(shop, "customers@v1.0.0")
    assert shop.runner.release() == DONE, shop.log()
    assert tags(shop) == ["customers#staging#1", "customers@v1.0.0"]
    assert (images(registry), record(shop)["digest"], deploys(shop)) == ([made], made, 1)


def test_nothing_that_runs_the_pipeline_may_write_to_the_repository(shop: Team) -> None:
    shop.push("main", TRUSTING)
    assert shop.runner.release()["image"] == "success", shop.log()
    writing = [(name, command) for name, command, contents in shop.runner.ran if contents == "write"]
    assert ("stage", '.venv/bin/lockstep release --digest "$DIGEST" ${FORCE:+--force}') in writing
    assert {name for name, _ in writing} == {"stage"}
    [built] = [log for log in shop.runner.logs if "built customers" in log]
    assert "--image-only" in built


def test_what_a_person_released_is_attested_and_signed_by_the_next_run(
    shop: Team, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.push("main", TRUSTING)
    shop.runner.variables |= {"LOCKSTEP_ATTEST": "false", "LOCKSTEP_SIGN": "false"}
    assert shop.runner.release() == DONE, shop.log()
    digest = f"{IMAGE}@{record(shop)['digest']}"
    assert (shop.runner.signed, cosigned(shop)) == ([], [])
    before = (tags(shop), branches(shop), images(registry))
    shop.runner.variables.clear()
    with breaking(shop, "signature"):
        assert shop.runner.release() == IMAGE_FAILED
    assert (shop.runner.signed, cosigned(shop)) == ([("provenance", digest), ("sbom", digest)], [])
    for _ in range(2):
        assert shop.runner.release() == DONE, shop.log()
        assert (shop.runner.signed, cosigned(shop)) == ([("provenance", digest), ("sbom", digest)], [digest])
    assert (tags(shop), branches(shop), images(registry)) == before


def test_commits_without_a_release_are_listed_in_the_next_and_an_older_run_changes_nothing(shop: Team) -> None:
    shop.push("main", TRUSTING)
    first = shop.hub.head("main")
    assert shop.runner.release() == DONE, shop.log()
    shop.push("main", {"README.md": "# Customers\n"})
    between = shop.hub.head("main")
    shop.at_hand("better")
    shop.push("main", TRUSTING | {"params.yaml": project.spec(train=BETTER, release={"trust_pull_requests": True})})
    shop.lockstep("repro")
    shop.push("main", {})
    assert shop.runner.release() == DONE, shop.log()
    after = record(shop)
    assert (after["version"], after["previous"], after["commit"]) == ("v1.1.0", "v1.0.0", shop.hub.head("main"))
    assert between in after["skipped"]
    shop.runner.logs.clear()
    signed = shop.runner.signed.copy()
    (shop.runner.folder / "attested.txt").unlink()  # as if nobody had
    (shop.runner.folder / "cosign.txt").unlink()
    assert shop.runner.release(sha=first) == SUPERSEDED, shop.log()
    assert "superseded: staging has v1.1.0" in shop.log()
    assert (record(shop), shop.runner.signed, cosigned(shop)) == (after, signed, [])


def test_an_untrue_lock_releases_nothing_and_opens_the_pull_request_that_makes_it_true(
    shop: Team, registry: Path
) -> None:
    shop.push("main", {"params.yaml": project.spec(train=BETTER)})
    for _ in range(2):
        assert shop.runner.release() == UNTRUE, shop.log()
        assert (images(registry), tags(shop), branches(shop), shop.runner.signed) == ([], [], "", [])
        [pull] = shop.hub.pulls.values()
        assert (pull.base, pull.branch, pull.title) == ("main", "lockstep/true-lock", "Make the lock true")
    rights = {name: contents for name, command, contents in shop.runner.ran if "lockstep ci" in command}
    assert rights == {"remake": "read", "mend": "write"}
    # What opens it with a workflow's token starts no run, so the run that judges it is started.
    start = ("pull-request.yml", {"ref": "lockstep/true-lock", "inputs": {"number": str(pull.number)}})
    assert shop.hub.dispatched == [start, start]
    shop.hub.sync(pull)
    changed = shop.hub.git("diff", "--name-only", "main", "refs/pull/1/head").split()
    assert {"dvc.lock", "dvc.lock.seal"} <= set(changed)
    assert "params.yaml" not in changed
    shop.merge(pull)
    assert shop.runner.release() == DONE, shop.log()
    assert record(shop)["version"] == "v1.0.0"


def test_nothing_but_main_is_released_and_a_pull_request_that_nobody_merged_is_not_written_down(shop: Team) -> None:
    idle = dict.fromkeys(DONE, "skipped")
    assert shop.runner.release("workflow_dispatch", ref="refs/heads/idea") == idle
    assert shop.runner.release("schedule") == idle
    shop.hub.git("branch", "deploy", "main")
    closed = shop.propose({"README.md": "# Customers\n"}, base="deploy")
    closed.state = "closed"
    assert shop.runner.promote(closed) == {"record": "skipped", "open": "skipped"}
    into_main = Pull(9, "ada", "idea", shop.hub.repository, merged=True)
    assert not shop.runner.commands
    shop.hub.pulls[9] = into_main
    shop.hub.sync(into_main)
    assert shop.runner.promote(into_main) == {"record": "skipped", "open": "skipped"}
