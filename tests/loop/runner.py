"""Runs the workflows as a runner would: steps, conditions and environment are read from the YAML that is shipped.

Actions are played: a checkout clones, a cache copies, an upload zips. A `run:` is run, in a shell, with a token that
may do what the job's `permissions` say.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import cml_stand_in
from conftest import ROOT
from github_stand_in import GitHub, Pull
from github_world import zipped
from loop.expressions import Expressions

WORKFLOWS = ROOT / ".github" / "workflows"


@dataclass
class Runner:
    """Plays the runs of one repository. `caches` is what main kept; `variables` are the repository's."""

    hub: GitHub
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    caches: dict[str, Path] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    """What was run, of all jobs."""

    logs: list[str] = field(default_factory=list)

    def pull_request(self, pull: Pull) -> dict[str, Any]:
        """The run of a pull request, and the answer to it."""
        payload = {"pull_request": self.hub.shown(pull), "number": pull.number}
        sha = payload["pull_request"]["head"]["sha"]
        run = self.hub.run(sha, "pull_request", pull.branch, pull.head_repository)
        return self._judge(run, "pull_request", payload, self.hub.git("rev-parse", "main"))

    def queue(self, pull: Pull) -> dict[str, Any]:
        """The queue merges a pull request with main as git's text merge does, and a run judges the result."""
        base = self.hub.head("main")
        sha = self.merged(pull)
        branch = f"gh-readonly-queue/main/pr-{pull.number}-{base}"
        self.hub.git("update-ref", f"refs/heads/{branch}", sha)
        payload = {"merge_group": {"head_sha": sha, "base_sha": base, "base_ref": "refs/heads/main"}}
        return self._judge(self.hub.run(sha, "merge_group", branch), "merge_group", payload, sha)

    def merged(self, pull: Pull) -> str:
        """GitHub's merge button: a text merge, whatever attributes say. Returns the commit; no ref points to it."""
        ours, theirs = self.hub.head("main"), self.hub.git("rev-parse", f"refs/pull/{pull.number}/head")
        tree = self.hub.git("merge-tree", "--write-tree", ours, theirs)
        return self.hub.git("commit-tree", tree, "-p", ours, "-p", theirs, "-m", f"Merge #{pull.number}")

    def push(self) -> None:
        """Main was pushed: what the workflows do then, but for the tests."""
        sha = self.hub.head("main")
        self.job("test.yml", "keep", "push", {"ref": "refs/heads/main"}, sha)

    def label(self, pull: Pull, name: str, who: str) -> None:
        """Somebody sets a label."""
        self.hub.tick()
        self.hub.label(pull, name, who)
        payload = {"action": "labeled", "label": {"name": name}, "pull_request": self.hub.shown(pull)}
        self.job("comment.yml", "label", "pull_request_target", payload, self.hub.head("main"))

    def _judge(self, run: dict[str, Any], event: str, payload: Mapping[str, Any], sha: str) -> dict[str, Any]:
        done = self.job("pull-request.yml", "judge", event, payload, sha, run)
        run |= {"status": "completed", "conclusion": "success" if done else "failure"}
        self.hub.tick()
        self.job("comment.yml", "answer", "workflow_run", {"workflow_run": run}, self.hub.head("main"))
        return run

    def job(
        self, file: str, name: str, event: str, payload: Mapping[str, Any], sha: str, run: dict[str, Any] | None = None
    ) -> bool:
        """One job, from its `if` to its last step. Did it end well? (One whose `if` does not hold does.)"""
        workflow = yaml.load((WORKFLOWS / file).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        job = workflow["jobs"][name]
        place = Job(self, workflow, job, event, payload, sha, run or self.hub.run(sha, event, "main", path=file))
        if not place.expressions().holds(job.get("if"), True):
            return True
        return place.play()


@dataclass
class Job:
    """One job under way."""

    runner: Runner
    workflow: Mapping[str, Any]
    job: Mapping[str, Any]
    event: str
    payload: Mapping[str, Any]
    sha: str
    run: dict[str, Any]

    def __post_init__(self) -> None:
        hub = self.runner.hub
        repository = {"full_name": hub.repository, "default_branch": hub.default_branch}
        self.work = self.runner.folder / f"run-{self.run['id']}" / "work"
        self.temporary = self.work.parent / "temporary"
        self.temporary.mkdir(parents=True, exist_ok=True)
        (self.temporary / "event.json").write_text(json.dumps({**self.payload, "repository": repository}))
        self.outputs: dict[str, Any] = {}
        self.told: dict[str, str] = {}
        self.path: list[str] = []
        self.token = hub.token(self._permissions())

    def _permissions(self) -> dict[str, str]:
        """What the job's token may do: for a fork's pull request nothing is ever more than read."""
        permissions = dict(self.job["permissions"])
        if self.event == "pull_request":
            head = self.payload["pull_request"]["head"]["repo"]["full_name"]
            if head != self.runner.hub.repository:
                return {scope: "read" for scope in permissions if scope != "id-token"}
        return permissions

    def expressions(self) -> Expressions:
        """Everything that `${{ }}` may name."""
        hub = self.runner.hub
        github = {
            "event": {**self.payload, "repository": {"default_branch": hub.default_branch}}, "event_name": self.event,
            "sha": self.sha, "repository": hub.repository, "token": self.token,
        }  # fmt: skip
        contexts = {
            "github": github, "vars": self.runner.variables, "steps": self.outputs, "secrets": {},
            "inputs": self.payload.get("inputs") or {},
        }  # fmt: skip
        return Expressions(contexts, {"hashFiles": self._hash, "always": lambda: True})

    def _hash(self, name: str) -> str:
        path = self.work / name
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""

    def play(self) -> bool:
        """Every step in turn; after one that failed, those that want to run all the same."""
        well = True
        record = []
        for step in self.job["steps"]:
            if not self.expressions().holds(step.get("if"), well):
                continue
            did = self._step(step) or step.get("continue-on-error") == "true"
            record.append({"name": step["name"], "conclusion": "success" if did else "failure"})
            well = well and did
        self.runner.hub.jobs[self.run["id"]] = [{"steps": record}]
        return well

    def _step(self, step: Mapping[str, Any]) -> bool:
        if "run" in step:
            return self._run(step)
        action = step["uses"].partition("@")[0]
        given = {name: self.expressions().fill(value) for name, value in step.get("with", {}).items()}
        ACTIONS[action](self, given)
        return True

    def _run(self, step: Mapping[str, Any]) -> bool:
        self.runner.commands.append(step["run"])
        for name in ("output", "path", "summary"):
            (self.temporary / name).write_text("")
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]], cwd=self.work, env=self._environment(step),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.runner.logs.append(f"$ {step['run']} -> {done.returncode}\n{done.stdout}")
        lines = (self.temporary / "output").read_text().splitlines()
        self.outputs[step.get("id", "")] = {"outputs": dict(line.split("=", 1) for line in lines)}
        self.path[:0] = (self.temporary / "path").read_text().split("\n")[:-1]
        self.run.setdefault("summary", "")
        self.run["summary"] += (self.temporary / "summary").read_text()
        return done.returncode == 0

    def _environment(self, step: Mapping[str, Any]) -> dict[str, str]:
        hub, known = self.runner.hub, self.expressions()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "LOCKSTEP_"))}
        given = {**self.workflow.get("env", {}), **self.job.get("env", {}), **step.get("env", {})}
        runners = {
            "GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_EVENT_NAME": self.event, "GITHUB_SHA": self.sha,
            "GITHUB_EVENT_PATH": str(self.temporary / "event.json"), "GITHUB_REPOSITORY": hub.repository,
            "GITHUB_API_URL": hub.url, "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_RUN_ID": str(self.run["id"]), "RUNNER_TEMP": str(self.temporary),
            "GITHUB_OUTPUT": str(self.temporary / "output"), "GITHUB_PATH": str(self.temporary / "path"),
            "GITHUB_STEP_SUMMARY": str(self.temporary / "summary"),
            "PATH": os.pathsep.join([*self.path, os.environ["PATH"]]),
        }  # fmt: skip
        return kept | runners | self.told | {name: known.fill(value) for name, value in given.items()}

    # what actions do

    def checkout(self, given: Mapping[str, str]) -> None:
        """actions/checkout: all branches, then the commit, which a fork's pull request brought along."""
        hub, ref = self.runner.hub, given.get("ref") or self.sha
        subprocess.run(["git", "clone", "--quiet", str(hub.bare()), str(self.work)], check=True)
        if re.fullmatch("[0-9a-f]{40}", ref):
            subprocess.run(["git", "fetch", "--quiet", "origin", ref], cwd=self.work, check=True)
        subprocess.run(
            ["git", "-c", "advice.detachedHead=false", "checkout", "--quiet", ref], cwd=self.work, check=True
        )
        set_up(self.work)

    def restore(self, given: Mapping[str, str]) -> None:
        """actions/cache/restore: by its key, else the newest that begins like it."""
        prefix = given.get("restore-keys") or given["key"]
        fitting = [key for key in self.runner.caches if key == given["key"]] or [
            key for key in reversed(self.runner.caches) if key.startswith(prefix)
        ]
        if fitting:
            shutil.copytree(self.runner.caches[fitting[0]], self.work / given["path"], dirs_exist_ok=True)

    def save(self, given: Mapping[str, str]) -> None:
        """actions/cache/save: once a key."""
        if given["key"] not in self.runner.caches:
            kept = self.runner.folder / f"cache-{len(self.runner.caches)}"
            shutil.copytree(self.work / given["path"], kept)
            self.runner.caches[given["key"]] = kept

    def upload(self, given: Mapping[str, str]) -> None:
        """actions/upload-artifact: a zip of a folder."""
        folder = self.work / given["path"]
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert found
        self.runner.hub.artifact(self.run["id"], zipped(found), given["name"])

    def cml(self, given: Mapping[str, str]) -> None:
        """iterative/setup-cml."""
        self.path.insert(0, str(cml_stand_in.install(self.temporary / "cml").parent))

    def credentials(self, given: Mapping[str, str]) -> None:
        """aws-actions/configure-aws-credentials, where the job may ask for a token that says who it is."""
        assert self._permissions().get("id-token") == "write"
        self.told |= {"AWS_REGION": given["aws-region"], "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}


ACTIONS: dict[str, Callable[[Job, Mapping[str, str]], None]] = {
    "actions/checkout": Job.checkout,
    "actions/setup-python": lambda job, given: None,
    "actions/cache/restore": Job.restore,
    "actions/cache/save": Job.save,
    "actions/upload-artifact": Job.upload,
    "iterative/setup-cml": Job.cml,
    "aws-actions/configure-aws-credentials": Job.credentials,
}


def set_up(root: Path) -> None:
    """What `make .venv/.pipeline` would take a minute for: the environment that runs the tests, marked as whole."""
    folder = root / ".venv"
    folder.mkdir(exist_ok=True)
    for name in ("bin", "lib", "pyvenv.cfg"):
        if not (folder / name).exists():
            (folder / name).symlink_to(Path(sys.prefix) / name)
    for name in (".uv", ".pipeline", ".dev"):
        (folder / name).touch()
