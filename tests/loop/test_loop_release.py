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


def images(registry: Path) -> list[Path]:
    return sorted(registry.glob("id-*.json"))


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
    assert shop.runner.release() == {"release": "success", "mend": "skipped"}, shop.log()
    staged = record(shop)
    digest = f"{IMAGE}@{staged['digest']}"
    assert (staged["version"], staged["image"], staged["commit"]) == ("v1.0.0", IMAGE, main)
    assert tags(shop) == ["customers#staging#1", "customers@v1.0.0"]
    assert shop.runner.logins == ["ghcr.io"]
    assert shop.runner.signed == [("provenance", digest), ("sbom", digest)]
    assert cosigned(shop) == [digest]
    assert f"digest: {staged['digest']}" in shop.hub.git("show", "deploy:staging/base/kustomization.yaml")
    # Once more: nothing is to be done, and that is said.
    before = (tags(shop), branches(shop), images(registry), shop.runner.signed.copy())
    shop.runner.logs.clear()
    assert shop.runner.release("workflow_dispatch") == {"release": "success", "mend": "skipped"}, shop.log()
    assert "nothing to do: staging has v1.0.0" in shop.log()
    assert (tags(shop), branches(shop), images(registry), shop.runner.signed) == before
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
    died = {"release": "failure", "mend": "skipped"}
    with down(registry):
        assert shop.runner.release() == died
    assert images(registry) == []
    for what in ("provenance", "sbom", "signature"):
        with breaking(shop, what):
            assert shop.runner.release() == died
        assert (len(images(registry)), tags(shop), branches(shop)) == (1, [], "")
    with refusing(shop, "refs/tags/*@*"):
        assert shop.runner.release() == died
    assert (tags(shop), branches(shop)) == ([], "")
    with refusing(shop, "refs/heads/deploy"):
        assert shop.runner.release() == died
    assert (tags(shop), branches(shop)) == (["customers@v1.0.0"], "")
    with refusing(shop, "refs/tags/*#staging*"):
        assert shop.runner.release() == died
    assert tags(shop) == ["customers@v1.0.0"]
    assert record(shop)["version"] == "v1.0.0"
    assert shop.runner.release() == {"release": "success", "mend": "skipped"}, shop.log()
    assert tags(shop) == ["customers#staging#1", "customers@v1.0.0"]
    assert (len(images(registry)), deploys(shop)) == (1, 1)
    assert {image for _, image in shop.runner.signed} == {f"{IMAGE}@{record(shop)['digest']}"}
    assert len(shop.runner.signed) > 2, "what was signed before it died is signed again, which harms nobody"


def test_commits_without_a_release_are_listed_in_the_next_and_an_older_run_changes_nothing(shop: Team) -> None:
    shop.push("main", TRUSTING)
    first = shop.hub.head("main")
    assert shop.runner.release()["release"] == "success", shop.log()
    shop.push("main", {"README.md": "# Customers\n"})
    between = shop.hub.head("main")
    shop.at_hand("better")
    shop.push("main", TRUSTING | {"params.yaml": project.spec(train=BETTER, release={"trust_pull_requests": True})})
    shop.lockstep("repro")
    shop.push("main", {})
    assert shop.runner.release()["release"] == "success", shop.log()
    after = record(shop)
    assert (after["version"], after["previous"], after["commit"]) == ("v1.1.0", "v1.0.0", shop.hub.head("main"))
    assert between in after["skipped"]
    shop.runner.logs.clear()
    assert shop.runner.release(sha=first) == {"release": "success", "mend": "skipped"}, shop.log()
    assert "superseded: staging has v1.1.0" in shop.log()
    assert record(shop) == after


def test_an_untrue_lock_releases_nothing_and_opens_the_pull_request_that_makes_it_true(
    shop: Team, registry: Path
) -> None:
    shop.push("main", {"params.yaml": project.spec(train=BETTER)})
    for _ in range(2):
        assert shop.runner.release() == {"release": "failure", "mend": "success"}, shop.log()
        assert (images(registry), tags(shop), branches(shop), shop.runner.signed) == ([], [], "", [])
        [pull] = shop.hub.pulls.values()
        assert (pull.base, pull.branch, pull.title) == ("main", "lockstep/true-lock", "Make the lock true")
    # What opens it with a workflow's token starts no run, so the run that judges it is started.
    start = ("pull-request.yml", {"ref": "lockstep/true-lock", "inputs": {"number": str(pull.number)}})
    assert shop.hub.dispatched == [start, start]
    shop.hub.sync(pull)
    changed = shop.hub.git("diff", "--name-only", "main", "refs/pull/1/head").split()
    assert {"dvc.lock", "dvc.lock.seal"} <= set(changed)
    assert "params.yaml" not in changed
    shop.merge(pull)
    assert shop.runner.release() == {"release": "success", "mend": "skipped"}, shop.log()
    assert record(shop)["version"] == "v1.0.0"


def test_nothing_but_main_is_released_and_a_pull_request_that_nobody_merged_is_not_written_down(shop: Team) -> None:
    idle = {"release": "skipped", "mend": "skipped"}
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
