"""A team at work: GitHub, its runner, somebody's clone, and projects whose pipeline has run already."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from github_stand_in import BOT, GitHub, Pull
from loop import project
from loop.runner import Runner

BETTER = {"params": {"max_iter": 60, "max_leaf_nodes": 8}}
WORSE = {"params": {"max_iter": 1, "max_leaf_nodes": 3}}
FORK = "mallory/customers"
LATE = f"{project.INCOMING}/2024-05.csv"
"""A file of rows that lie outside main's window, so that every result is what it was."""

WORLDS: dict[str, Callable[[], dict[str, str]]] = {
    "better": lambda: {"params.yaml": project.spec(train=BETTER)},
    "worse": lambda: {"params.yaml": project.spec(train=WORSE)},
    "rows": lambda: {LATE: late()},
}
"""What each changes of main."""


def late() -> str:
    """A few rows of May, where main's window ends in April."""
    text = next(iter(project.rows().values()))
    head, *lines = text.splitlines()[:40]
    moved = [re.sub(r"^(\d+),2024-01-", lambda found: f"9{found[1]},2024-05-", line) for line in lines]
    return "\n".join([head, *moved, ""])


def git(root: Path, *arguments: str) -> str:
    """Run git, which must end well."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def lockstep(root: Path, *arguments: str) -> None:
    """Run a command, which must end well."""
    done = subprocess.run(["lockstep", *arguments], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Worlds:
    """Projects with their pipeline run and their lock committed, each made once for all test processes."""

    folder: Path

    def main(self) -> Path:
        """What main holds."""
        return self._once("main", self._lay)

    def world(self, name: str) -> Path:
        """One of `WORLDS`; its cache holds main's objects as well."""
        return self._once(name, lambda root: self._grow(root, WORLDS[name]()))

    def _lay(self, root: Path) -> None:
        project.lay(root)
        self._run(root, "customers")

    def _grow(self, root: Path, changes: Mapping[str, str]) -> None:
        subprocess.run(["cp", "-a", str(self.main()), str(root)], check=True)
        write(root, changes)
        self._run(root, "a change and its lock")

    def _run(self, root: Path, message: str) -> None:
        lockstep(root, "check", "--fix")
        lockstep(root, "repro")
        project.commit(root, message)

    def _once(self, name: str, make: Callable[[Path], None]) -> Path:
        self.folder.mkdir(exist_ok=True)
        root = self.folder / name
        with (self.folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not root.exists():
                unfinished = self.folder / f"{name}.unfinished"
                shutil.rmtree(unfinished, ignore_errors=True)
                make(unfinished)
                unfinished.rename(root)
        return root


def shared(factory: pytest.TempPathFactory) -> Worlds:
    """The worlds of this test run."""
    base = factory.getbasetemp()
    return Worlds((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "loop-worlds")


def write(root: Path, changes: Mapping[str, str]) -> None:
    """Write files."""
    for name, text in changes.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@dataclass
class Team:
    """GitHub, its runner, and somebody's clone."""

    hub: GitHub
    runner: Runner
    clone: Path
    worlds: Worlds

    def lockstep(self, *arguments: str) -> None:
        """Run a command in the clone, which must end well."""
        lockstep(self.clone, *arguments)

    def push(
        self, branch: str, changes: Mapping[str, str], repository: str | None = None, base: str = "main",
        world: str = "",
    ) -> None:  # fmt: skip
        """Commit files, and what is generated from them, on a branch and push it. `world` gives files and their lock,
        as an author has them who ran the pipeline.
        """
        if branch != "main":
            git(self.clone, "checkout", "--quiet", "-B", branch, base)
        if world:
            made = self.worlds.world(world)
            git(self.clone, "fetch", "--quiet", str(made), "HEAD")
            changed = git(made, "diff", "--name-only", "HEAD~1", "HEAD").splitlines()
            git(self.clone, "checkout", "FETCH_HEAD", "--", *changed)
        write(self.clone, changes)
        if "params.yaml" in changes:
            self.lockstep("check", "--fix")
        project.commit(self.clone, f"work on {branch}")
        git(self.clone, "push", "--quiet", "--force", str(self.hub.bare(repository)), branch)

    def propose(
        self, changes: Mapping[str, str], branch: str = "idea", fork: str | None = None, world: str = "",
        base: str = "main",
    ) -> Pull:  # fmt: skip
        """Push a branch, open a pull request."""
        if fork and not self.hub.bare(fork).exists():
            self.hub.create(fork)
        self.push(branch, changes, fork, world=world)
        return self.hub.open(branch, "mallory" if fork else "ada", fork, base)

    def at_hand(self, world: str) -> None:
        """Runs find a world's objects, as they do where there is a remote."""
        self.runner.caches = {f"dvc-of-{world}": self.worlds.world(world) / ".dvc/cache"}

    def with_remote(self, url: str) -> None:
        """Give main a remote, its objects, and roles to use it; no cache is kept then."""
        self.runner.variables |= {
            "LOCKSTEP_AWS_ROLE_PR": "arn:aws:iam::1:role/pr", "LOCKSTEP_AWS_REGION": "eu-central-1",
        }  # fmt: skip
        self.runner.caches.clear()
        self.lockstep("remote", url)
        self.lockstep("push")
        self.push("main", {})

    def judge(self, pull: Pull, answered: str = "success") -> dict[str, Any]:
        """Its run, and the answer to it, which ends as `answered`."""
        self.hub.sync(pull)
        run = self.runner.pull_request(pull)
        assert self.runner.answers[-1] == answered, self.log()
        return run

    def verdict(self, sha: str, name: str = "lockstep verdict") -> str:
        """The newest verdict on a commit."""
        found = [check for check in self.hub.checks_of(sha) if check["name"] == name]
        return str(found[-1]["conclusion"]) if found else "none"

    def comment(self, pull: Pull) -> str:
        """Our one comment."""
        [found] = [each for each in pull.comments if each["user"]["login"] == BOT]
        return str(found["body"])

    def headline(self, pull: Pull) -> str:
        """The comment's first heading."""
        return next(line for line in self.comment(pull).splitlines() if line.startswith("## "))

    def merge(self, pull: Pull) -> str:
        """GitHub's merge button."""
        made = self.runner.merged(pull)
        self.hub.git("update-ref", f"refs/heads/{pull.base}", made)
        pull.state, pull.merged = "closed", True
        git(self.clone, "checkout", "--quiet", "main")
        git(self.clone, "pull", "--quiet", str(self.hub.bare()), "main")
        return made

    def log(self) -> str:
        """All that was printed."""
        return "\n".join(self.runner.logs)

    def trained(self) -> bool:
        """Did any run train?"""
        return "fitting all training rows" in self.log()
