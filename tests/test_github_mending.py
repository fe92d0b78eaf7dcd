"""`lockstep ci mend`: an untrue lock on main gets one pull request that makes it true; main itself is never written."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from github_stand_in import GitHub
from github_world import zipped
from lockstep.errors import InputError, Refused
from lockstep.github import mending
from lockstep.github.api import Api, ApiError
from lockstep.github.artifact import Poisoned
from lockstep.lock import verify
from lockstep.revision import git
from release_world import World, made, world  # noqa: F401

MAY = {"actions": "write", "contents": "write", "pull-requests": "write"}
RUN = 77


@pytest.fixture
def hub(world: World, tmp_path: Path) -> Iterator[GitHub]:
    """GitHub, where the project is."""
    github = GitHub(tmp_path / "github")
    git(world.root, "remote", "set-url", "origin", str(github.bare()))
    git(world.root, "push", "--quiet", "origin", "main")
    world.bare = github.bare()
    with github.serving():
        yield github


def api(hub: GitHub) -> Api:
    return Api(repository=hub.repository, token=hub.token(MAY), url=hub.url, pause=0.001)


def mend(world: World, hub: GitHub) -> mending.Mended:
    """The two jobs of the workflow, each with a clone of its own."""
    mending.remake(world.root)
    handed_on(world, hub)
    return mending.mend(elsewhere(world), api(hub), "main", RUN)


def handed_on(world: World, hub: GitHub, **more: bytes) -> None:
    """What actions/upload-artifact does."""
    folder = world.root / "artifact"
    left = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    hub.artifact(RUN, zipped(left | more))


def elsewhere(world: World) -> Path:
    """The same commit on a machine where no stage has run."""
    other = Path(tempfile.mkdtemp(dir=world.root.parent)) / "clone"
    git(world.root, "clone", "--quiet", str(world.root), str(other))
    return other


def untrue(world: World) -> str:
    """Main gets code that nobody ran."""
    world.write(code_txt="2\n")
    return world.commit("merged by hand")


def test_the_pull_request_makes_the_lock_true_and_says_what_was_not(world: World, hub: GitHub) -> None:
    head = untrue(world)
    done = mend(world, hub)
    (pull,) = hub.pulls.values()
    assert done.url.endswith("/pull/1")
    assert (pull.branch, pull.base, pull.title) == ("lockstep/true-lock", "main", "Make the lock true")
    assert "train: code.txt, which it reads, changed" in pull.body
    [(workflow, started)] = hub.dispatched
    assert (workflow, started["ref"], started["inputs"]) == ("pull-request.yml", "lockstep/true-lock", {"number": "1"})
    assert hub.head("main") == head
    assert hub.git("show", "-s", "--format=%P", "lockstep/true-lock") == head
    changed = hub.git("diff", "--name-only", "main", "lockstep/true-lock").splitlines()
    assert changed == ["dvc.lock", "dvc.lock.seal"]
    other = world.clone()
    git(other.root, "checkout", "--quiet", "lockstep/true-lock")
    assert not [each for each in verify.verify(other.root).findings if each.check in ("lock", "seal")]


def test_again_it_is_the_same_commit_and_the_same_pull_request(world: World, hub: GitHub) -> None:
    untrue(world)
    mend(world, hub)
    before = hub.head("lockstep/true-lock")
    git(world.root, "checkout", "--quiet", "--", ".")
    mend(world, hub)
    assert (len(hub.pulls), hub.head("lockstep/true-lock")) == (1, before)


def test_when_main_moves_on_the_one_pull_request_follows_and_never_closes(world: World, hub: GitHub) -> None:
    untrue(world)
    mend(world, hub)
    git(world.root, "checkout", "--quiet", "--", ".")
    world.write(code_txt="3\n")
    head = world.commit("merged by hand again")
    mend(world, hub)
    (pull,) = hub.pulls.values()
    assert head in pull.body
    assert hub.git("show", "-s", "--format=%P", "lockstep/true-lock") == head
    patched = [path for method, path in hub.asked if method == "PATCH" and "/git/refs/" in path]
    assert len(patched) == 2


def test_a_true_lock_moves_nothing_and_opens_nothing(world: World, hub: GitHub) -> None:
    done = mend(world, hub)
    assert done == mending.Mended(sentence="nothing moved: the lock is what its stages give")
    assert hub.pulls == {}
    assert hub.git("for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/main"


def test_stages_that_fail_are_told_and_open_nothing(world: World, hub: GitHub) -> None:
    world.write(dvc_yaml=(world.root / "dvc.yaml").read_text().replace("cat data/raw", "false && cat data/raw"))
    world.commit()
    with pytest.raises(InputError, match="could not be made true, and no pull request is opened: .*exit code"):
        mend(world, hub)
    assert hub.pulls == {}


def test_what_only_a_person_may_change_is_refused(world: World, hub: GitHub) -> None:
    text = (world.root / "dvc.yaml").read_text().replace("cat data/raw", "date > notes.txt && cat data/raw")
    world.write(dvc_yaml=text)
    world.commit()
    with pytest.raises(Refused, match=r"changed notes\.txt, which only a commit of yours may change"):
        mend(world, hub)
    assert hub.pulls == {}


def test_where_workflows_may_open_no_pull_requests_it_says_so(world: World, hub: GitHub) -> None:
    hub.opened_by_actions = False
    untrue(world)
    with pytest.raises(ApiError, match="not permitted to create"):
        mend(world, hub)


def test_the_commands_are_what_the_workflow_calls(world: World, hub: GitHub, tmp_path: Path) -> None:
    untrue(world)
    event, summary = tmp_path / "event.json", tmp_path / "summary"
    event.write_text(json.dumps({"repository": {"default_branch": "main"}}))
    environ = os.environ | {
        "GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(event), "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_API_URL": hub.url, "GITHUB_REPOSITORY": hub.repository, "GITHUB_RUN_ID": str(RUN),
    }  # fmt: skip
    first = lockstep("remake", world.root, environ)
    assert "packed what moved: dvc.lock, dvc.lock.seal" in first
    handed_on(world, hub)
    second = lockstep("mend", elsewhere(world), environ | {"GITHUB_TOKEN": hub.token(MAY)})
    assert "Make the lock true: https://github.example/acme/customers/pull/1" in second
    assert "Make the lock true" in summary.read_text()


def lockstep(command: str, root: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(["lockstep", "ci", command], cwd=root, text=True, capture_output=True, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_opens_the_pull_request_runs_no_stage(world: World, hub: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    untrue(world)
    mending.remake(world.root)
    handed_on(world, hub)
    monkeypatch.delattr(mending.reproduce, "reproduce")
    other = elsewhere(world)
    assert mending.mend(other, api(hub), "main", RUN).url
    assert git(other, "status", "--porcelain") == ""


def test_what_was_handed_on_is_taken_for_data_that_anybody_may_have_made(world: World, hub: GitHub) -> None:
    untrue(world)
    for more in (
        {"tree/.github/workflows/release.yml": b"on: push\n"},
        {"tree/src/flights/source.py": b"import os\n"},
        {"tree/dvc.lock": b"\xff"},
        {"tree/reports/metrics.json": b"{}"},  # which the manifest does not list
        {"manifest.json": b"{}"},
    ):
        mending.remake(world.root)
        handed_on(world, hub, **more)
        git(world.root, "reset", "--quiet", "--hard", "HEAD")
        with pytest.raises(Poisoned):
            mending.mend(elsewhere(world), api(hub), "main", RUN)
    assert hub.pulls == {}
    assert hub.git("for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/main"


def test_what_was_made_of_another_commit_is_not_taken(world: World, hub: GitHub) -> None:
    untrue(world)
    mending.remake(world.root)
    handed_on(world, hub)
    git(world.root, "reset", "--quiet", "--hard", "HEAD")
    world.write(code_txt="3\n")
    world.commit("merged meanwhile")
    with pytest.raises(Poisoned, match="what the run left is about"):
        mending.mend(elsewhere(world), api(hub), "main", RUN)


def test_where_nothing_was_handed_on_it_says_so(world: World, hub: GitHub) -> None:
    untrue(world)
    with pytest.raises(Poisoned, match="left no report"):
        mending.mend(elsewhere(world), api(hub), "main", RUN)


def test_commits_that_a_person_put_on_our_branch_are_not_dropped(world: World, hub: GitHub) -> None:
    untrue(world)
    mend(world, hub)
    tip = hub.head("lockstep/true-lock")
    mine = hub.git("commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", "mine")
    hub.git("update-ref", "refs/heads/lockstep/true-lock", mine)
    git(world.root, "reset", "--quiet", "--hard", "HEAD")
    with pytest.raises(InputError, match="nobody but a person can have made"):
        mend(world, hub)
    assert hub.head("lockstep/true-lock") == mine
