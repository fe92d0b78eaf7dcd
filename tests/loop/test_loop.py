"""The loop, end to end: branches are pushed, the workflows' own steps run, and what people see on GitHub is looked at.

Nothing is played but GitHub itself, CML and the actions: see runner.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import small
from conftest import ROOT
from github_stand_in import BOT, GitHub, Problem, Pull
from github_world import zipped
from lockstep.github.override import LABEL
from loop import project
from loop.runner import Runner

pytestmark = pytest.mark.timeout(600)

BETTER = {"params": {"max_iter": 60, "max_leaf_nodes": 8}}
WORSE = {"params": {"max_iter": 1, "max_leaf_nodes": 3}}
FORK = "mallory/customers"


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session")
def main(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with its pipeline run and its lock committed."""
    root = tmp_path_factory.mktemp("loop") / "main"
    project.lay(root)
    for command in (["check", "--fix"], ["repro"]):
        done = subprocess.run(["lockstep", *command], cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    project.commit(root, "customers")
    return root


@dataclass
class Team:
    """GitHub, its runner, and somebody's clone."""

    hub: GitHub
    runner: Runner
    clone: Path

    def lockstep(self, *arguments: str) -> None:
        """Run a command in the clone, which must end well."""
        done = subprocess.run(["lockstep", *arguments], cwd=self.clone, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def push(self, branch: str, changes: Mapping[str, str], repository: str | None = None, base: str = "main") -> None:
        """Commit files, and what is generated from them, on a branch and push it."""
        if branch != "main":
            git(self.clone, "checkout", "--quiet", "-B", branch, base)
        for name, text in changes.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if "params.yaml" in changes:
            self.lockstep("check", "--fix")
        project.commit(self.clone, f"work on {branch}")
        git(self.clone, "push", "--quiet", "--force", str(self.hub.bare(repository)), branch)

    def propose(self, changes: Mapping[str, str], branch: str = "idea", fork: str | None = None) -> Pull:
        """Push a branch, open a pull request."""
        if fork:
            self.hub.create(fork)
        self.push(branch, changes, fork)
        return self.hub.open(branch, "mallory" if fork else "ada", fork)

    def judge(self, pull: Pull) -> dict[str, Any]:
        """Its run and the answer; nothing that ran may have ended badly without a word."""
        self.hub.sync(pull)
        return self.runner.pull_request(pull)

    def verdict(self, sha: str) -> str:
        """The newest verdict on a commit."""
        found = [check for check in self.hub.checks_of(sha) if check["name"] == "lockstep verdict"]
        return str(found[-1]["conclusion"]) if found else "none"

    def comment(self, pull: Pull) -> str:
        """Our one comment."""
        [found] = [each for each in pull.comments if each["user"]["login"] == BOT]
        return str(found["body"])

    def merge(self, pull: Pull) -> str:
        """GitHub's merge button."""
        made = self.runner.merged(pull)
        self.hub.git("update-ref", "refs/heads/main", made)
        pull.state = "closed"
        git(self.clone, "checkout", "--quiet", "main")
        git(self.clone, "pull", "--quiet", str(self.hub.bare()), "main")
        return made

    def log(self) -> str:
        """All that was printed."""
        return "\n".join(self.runner.logs)

    def trained(self) -> bool:
        """Did any run train?"""
        return "fitting all training rows" in self.log()


@pytest.fixture
def team(main: Path, tmp_path: Path) -> Iterator[Team]:
    hub = GitHub(tmp_path / "github")
    git(main, "push", "--quiet", str(hub.bare()), "main")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(hub.bare()), str(clone))
    shutil.copytree(main / ".dvc/cache", clone / ".dvc/cache")
    with hub.serving():
        runner = Runner(hub, tmp_path / "runs", caches={"dvc-of-main": main / ".dvc/cache"})
        yield Team(hub, runner, clone)


def test_a_better_change_is_green_and_its_lock_is_committed(team: Team) -> None:
    pull = team.propose({"params.yaml": project.spec(train=BETTER)})
    before = team.hub.head("idea")
    run = team.judge(pull)
    assert run["conclusion"] == "success", team.log()
    made = team.hub.head("idea")
    assert team.hub.git("rev-parse", f"{made}^") == before
    changed = set(team.hub.git("diff", "--name-only", before, made).split())
    assert {"dvc.lock", "dvc.lock.seal", "reports/metrics.json", "model/card.md"} <= changed
    assert all(name.startswith(("dvc.lock", "reports/", "model/card.md")) for name in changed)
    assert team.verdict(before) == team.verdict(made) == "success"
    assert team.hub.dispatched == [("test.yml", {"ref": "idea"})]
    assert "better, safe to merge" in team.comment(pull)
    assert "better, safe to merge" in run["summary"]
    # What was committed is true: without a remote the next run trains again, and makes the same bytes.
    team.judge(pull)
    assert team.hub.head("idea") == made
    assert team.verdict(made) == "success"


def test_a_worse_change_is_refused_until_a_maintainer_says_otherwise(team: Team) -> None:
    pull = team.propose({"params.yaml": project.spec(train=WORSE)})
    team.judge(pull)
    head = team.hub.head("idea")
    assert team.verdict(head) == "failure"
    assert "worse" in team.comment(pull)
    team.hub.people["eve"] = "read"
    team.runner.label(pull, LABEL, "eve")
    assert team.verdict(head) == "failure"
    team.runner.label(pull, LABEL, "ada")
    assert team.verdict(head) == "success"
    assert "Overridden by ada" in team.comment(pull)


def test_a_change_of_words_trains_nothing_and_is_identical(team: Team) -> None:
    pull = team.propose({"README.md": "# Customers\n"})
    team.judge(pull)
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    assert "identical" in team.comment(pull)
    assert not team.trained()
    assert not team.hub.dispatched


def test_new_data_moves_the_window_on(team: Team) -> None:
    spec = project.spec(ingest={"files": f"{project.INCOMING}/*.csv", "from": "2024-01-01", "until": "2024-04-27"})
    pull = team.propose({"params.yaml": spec})
    run = team.judge(pull)
    assert run["conclusion"] == "success", team.log()
    head = team.hub.head("idea")
    assert team.verdict(head) in ("success", "failure")
    assert team.hub.git("show", f"{head}:dvc.lock") != team.hub.git("show", "main:dvc.lock")
    assert "2024-04-27" in team.comment(pull)


def test_a_changed_contract_says_what_it_breaks(team: Team) -> None:
    columns = {name: dict(about) for name, about in small.a_spec().model_dump(
        mode="json", by_alias=True, exclude_unset=True)["contract"]["columns"].items()}  # fmt: skip
    del columns["device"]
    pull = team.propose({"params.yaml": project.spec(contract={"columns": columns})})
    run = team.judge(pull)
    assert run["conclusion"] == "success", team.log()
    assert "device" in team.comment(pull)


def test_a_loosened_gate_is_in_the_headline(team: Team) -> None:
    gates = [{"metric": "roc_auc", "at_least": 0.6}, {"metric": "roc_auc", "against": "champion", "tolerance": 0.5}]
    pull = team.propose({"params.yaml": project.spec(train=WORSE, gates=gates)})
    team.judge(pull)
    headline = next(line for line in team.comment(pull).splitlines() if line.startswith("## "))
    assert "gate loosened" in headline
    assert team.verdict(team.hub.head("idea")) == "failure"  # the base's gates are judged too


def test_other_labels_are_another_question_and_not_comparable(team: Team) -> None:
    name = f"{project.INCOMING}/2024-04.csv"
    text = (team.clone / name).read_text(encoding="utf-8")
    flipped = re.sub(r",(yes|no),", lambda found: ",no," if found[1] == "yes" else ",yes,", text)
    pull = team.propose({name: flipped})
    team.judge(pull)
    assert team.verdict(team.hub.head("idea")) == "failure", team.log()
    assert "not comparable" in team.comment(pull)


def test_a_fork_runs_the_same_steps_and_its_author_is_told_how_to_commit(team: Team) -> None:
    pull = team.propose({"params.yaml": project.spec(train=BETTER)}, fork=FORK)
    before = team.hub.head("idea", FORK)
    run = team.judge(pull)
    assert run["conclusion"] == "success", team.log()
    assert team.hub.head("idea", FORK) == before
    assert team.verdict(before) == "failure"
    assert "make repro" in team.comment(pull)
    assert "better" in team.comment(pull)
    # The author does, and it passes.
    team.lockstep("repro")
    git(team.clone, "add", "--all")
    project.commit(team.clone, "the lock")
    git(team.clone, "push", "--quiet", str(team.hub.bare(FORK)), "idea")
    team.judge(pull)
    assert team.verdict(team.hub.head("idea", FORK)) == "success", team.log()


def test_of_two_pull_requests_the_second_is_told_to_update_and_then_passes_the_queue(team: Team) -> None:
    first = team.propose({"README.md": "# Customers\n"}, "words")
    second = team.propose({"params.yaml": project.spec(train=BETTER)}, "idea")
    team.judge(second)
    team.merge(first)
    # A text merge is clean, as on GitHub's button; yet the head lacks the base's tip.
    git(team.clone, "fetch", "--quiet", str(team.hub.bare()), "idea")
    team.push("idea", {"NOTES.md": "more\n"}, base="FETCH_HEAD")
    run = team.judge(second)
    assert run["conclusion"] == "failure"
    assert "this branch lacks 2 commits of `main`" in team.comment(second)
    assert team.verdict(team.hub.head("idea")) == "failure"
    git(team.clone, "merge", "--quiet", "--no-edit", "main")
    git(team.clone, "push", "--quiet", str(team.hub.bare()), "idea")
    team.judge(second)
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    group = team.runner.queue(second)
    assert team.verdict(group["head_sha"]) == "success", team.log()


def test_two_pull_requests_that_ran_the_same_stage_conflict_in_any_git(team: Team) -> None:
    one = team.propose({"params.yaml": project.spec(train=BETTER)}, "one")
    text = project.spec(project={"question": "Will this customer leave soon?"})
    other = team.propose({"params.yaml": text}, "other")
    team.judge(one)
    team.judge(other)
    team.merge(one)
    with pytest.raises(Problem):
        team.runner.merged(other)


def test_a_merge_whose_lock_lies_fails_in_the_queue(team: Team) -> None:
    lying = team.propose({"params.yaml": project.spec(train=BETTER)}, "lying")
    group = team.runner.queue(lying)
    assert group["conclusion"] == "failure"
    assert team.verdict(group["head_sha"]) == "failure"
    assert "the lock of what would be merged is not true" in team.log()


def test_a_poisoned_artifact_could_not_judge_and_changes_nothing(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    pull = team.propose({"README.md": "# Customers\n"})
    before = team.hub.head("idea")
    real = team.hub.artifact

    def poison(run: int, content: bytes, name: str = "lockstep") -> None:
        evil = {"tree/.github/workflows/comment.yml": b"on: push\n", "manifest.json": b"{}"}
        real(run, zipped(evil), name)

    monkeypatch.setattr(team.hub, "artifact", poison)
    run = team.judge(pull)
    assert run["conclusion"] == "success"
    assert team.hub.head("idea") == before
    assert team.verdict(before) == "failure"
    assert "could not judge" in team.comment(pull)
    assert not team.hub.dispatched


def test_a_lock_whose_objects_were_never_pushed_is_rebuilt_and_must_give_the_same(team: Team) -> None:
    team.push("idea", {"params.yaml": project.spec(train=BETTER)})
    team.lockstep("repro")  # objects stay on the author's machine
    project.commit(team.clone, "the lock")
    git(team.clone, "push", "--quiet", str(team.hub.bare()), "idea")
    pull = team.hub.open("idea")
    head = team.hub.head("idea")
    team.judge(pull)
    assert team.trained()
    assert team.hub.head("idea") == head
    assert team.verdict(head) == "success", team.log()


def test_with_a_remote_objects_go_to_pr_and_nobody_trains_twice(team: Team, tmp_path: Path) -> None:
    team.runner.variables = {"LOCKSTEP_AWS_ROLE_PR": "arn:aws:iam::1:role/pr", "LOCKSTEP_AWS_REGION": "eu-central-1"}
    team.lockstep("remote", str(tmp_path / "bucket"))
    team.lockstep("push")
    project.commit(team.clone, "a remote")
    git(team.clone, "push", "--quiet", str(team.hub.bare()), "main")
    pull = team.propose({"params.yaml": project.spec(train=BETTER)})
    team.judge(pull)
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    assert "lockstep push --remote pr" in team.runner.commands
    team.runner.logs.clear()
    team.runner.caches.clear()
    team.judge(pull)
    assert not team.trained()
    assert team.verdict(team.hub.head("idea")) == "success", team.log()
    group = team.runner.queue(pull)
    assert team.verdict(group["head_sha"]) == "success", team.log()


def test_main_keeps_what_it_has_built_where_there_is_no_remote(team: Team) -> None:
    team.runner.push()
    assert len(team.runner.caches) == 2, team.log()
    del team.runner.caches["dvc-of-main"]
    team.judge(team.propose({"README.md": "# Customers\n"}))
    assert not team.trained()


def test_a_branch_that_changes_its_own_judge_is_named_by_the_trusted_side(team: Team) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pull = team.propose({"Makefile": f"{makefile}\n# harmless\n"})
    team.judge(pull)
    body = team.comment(pull)
    assert body.index("changes what judges it**: `Makefile`") < body.index("## ")
