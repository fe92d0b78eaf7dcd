"""Runs the workflows as a runner would: triggers, steps, conditions and environment are read from the YAML that GitHub
would take: a pull request's own for pull-request.yml, the default branch's for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from github_stand_in import GitHub, Pull
from loop.job import MAY_PUSH, Job

USUAL = ["opened", "synchronize", "reopened"]
"""The activities that start a workflow on `pull_request` which names none."""


@dataclass
class Runner:
    """Plays the runs of one repository. `caches` is what main kept; `variables` are the repository's."""

    hub: GitHub
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    caches: dict[str, Path] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    """What was run, of all jobs."""

    ran: list[tuple[str, str, str]] = field(default_factory=list)
    """The same with the job's name before it, and what its token may do to the repository behind it."""

    logs: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    """How the jobs of comment.yml ended."""

    logins: list[str] = field(default_factory=list)
    signed: list[tuple[str, str]] = field(default_factory=list)
    """What was attested: the kind, the image by digest."""

    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """What jobs gave, by name."""

    last: dict[str, tuple[str, Mapping[str, Any], str, dict[str, Any]]] = field(default_factory=dict)
    """The last run of each workflow: its event, payload, commit, and what its jobs gave."""

    breaks: set[str] = field(default_factory=set)
    """What fails: `provenance`, `sbom`, `signature`."""

    def __post_init__(self) -> None:
        """GitHub takes no push with a token that may not write."""
        hook = self.hub.bare() / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f'#!/bin/sh\n[ "${{{MAY_PUSH}:-write}}" = write ] || {{ echo "403" >&2; exit 1; }}\n')
        hook.chmod(0o755)

    def pull_request(self, pull: Pull, action: str = "synchronize", **more: Any) -> dict[str, Any]:
        """The run of a pull request, and the answer to it."""
        payload = {"action": action, "pull_request": self.hub.shown(pull), "number": pull.number, **more}
        sha = payload["pull_request"]["head"]["sha"]
        run = self.hub.run(sha, "pull_request", pull.branch, pull.head_repository)
        return self._judge(run, payload, self.hub.head(pull.base), yaml_of=sha)

    def again(self, run: dict[str, Any], pull: Pull) -> dict[str, Any]:
        """Somebody starts a pull request's run again."""
        payload = {"action": "synchronize", "pull_request": self.hub.shown(pull), "number": pull.number}
        return self._judge(run, payload, self.hub.head(pull.base), yaml_of=run["head_sha"])

    def dispatch(self, pull: Pull) -> dict[str, Any]:
        """Somebody starts pull-request.yml on a pull request's own branch, with its number."""
        sha = self.hub.head(pull.branch)
        payload = {"inputs": {"number": str(pull.number)}, "ref": f"refs/heads/{pull.branch}"}
        return self._judge(self.hub.run(sha, "workflow_dispatch", pull.branch), payload, sha)

    def queue(self, *pulls: Pull) -> dict[str, Any]:
        """The queue merges pull requests with main as git's text merge does, and a run judges the result."""
        base = sha = self.hub.head("main")
        for pull in pulls:
            sha = self.merged(pull, sha)
        branch = f"gh-readonly-queue/main/pr-{pulls[-1].number}-{base}"
        self.hub.git("update-ref", f"refs/heads/{branch}", sha)
        payload = {"merge_group": {"head_sha": sha, "base_sha": base, "base_ref": "refs/heads/main"}}
        return self._judge(self.hub.run(sha, "merge_group", branch), payload, sha)

    def merged(self, pull: Pull, onto: str = "") -> str:
        """GitHub's merge button: a text merge, whatever attributes say. Returns the commit; no ref points to it."""
        ours, theirs = onto or self.hub.head(pull.base), self.hub.git("rev-parse", f"refs/pull/{pull.number}/head")
        tree = self.hub.git("merge-tree", "--write-tree", ours, theirs)
        return self.hub.git("commit-tree", tree, "-p", ours, "-p", theirs, "-m", f"Merge #{pull.number}")

    def push(self) -> str:
        """Main was pushed: what the workflows do then, but for the tests. Says how that ended."""
        return self.job("test.yml", "keep", "push", {"ref": "refs/heads/main"}, self.hub.head("main"))

    def release(self, event: str = "push", sha: str = "", ref: str = "refs/heads/main") -> dict[str, str]:
        """Main was pushed, or somebody starts release.yml: how its jobs ended. `sha` starts an older run again."""
        return self.workflow("release.yml", event, {"ref": ref}, sha or self.hub.head("main"))

    def promote(self, merged: Pull | None = None) -> dict[str, str]:
        """Somebody starts promote.yml, or a pull request into `deploy` was closed: how its jobs ended."""
        if merged is None:
            return self.workflow("promote.yml", "workflow_dispatch", {"ref": "refs/heads/main"}, self.hub.head("main"))
        payload = {"action": "closed", "number": merged.number, "pull_request": self.hub.shown(merged)}
        return self.workflow("promote.yml", "pull_request_target", payload, self.hub.head("main"))

    def workflow(
        self, file: str, event: str, payload: Mapping[str, Any], sha: str, kept: Mapping[str, Any] | None = None
    ) -> dict[str, str]:
        """Every job of a workflow in turn, each with what those gave that it needs; how they ended, by name. Of `kept`
        jobs it is known already.
        """
        needs: dict[str, Any] = dict(kept or {})
        run = self.hub.run(sha, event, "main", path=file)
        for name in self._read(file, sha)["jobs"]:
            if name not in needs:
                ended = self.job(file, name, event, payload, sha, run, needs=needs)
                needs[name] = {"result": ended, "outputs": self.outputs.pop(name, {})}
        self.last[file] = (event, payload, sha, needs)
        return {name: each["result"] for name, each in needs.items()}

    def rerun(self, file: str) -> dict[str, str]:
        """Somebody presses "re-run failed jobs" at the last run of a workflow."""
        event, payload, sha, needs = self.last[file]
        kept = {name: each for name, each in needs.items() if each["result"] == "success"}
        return self.workflow(file, event, payload, sha, kept)

    def label(self, pull: Pull, name: str, who: str) -> None:
        """Somebody sets a label."""
        self.hub.tick()
        self.hub.label(pull, name, who)
        self._labelled(pull, name, "labeled")

    def unlabel(self, pull: Pull, name: str, who: str) -> None:
        """Somebody takes it away."""
        self.hub.tick()
        self.hub.unlabel(pull, name, who)
        self._labelled(pull, name, "unlabeled")

    def _labelled(self, pull: Pull, name: str, action: str) -> None:
        payload = {"action": action, "label": {"name": name}, "pull_request": self.hub.shown(pull)}
        self._answer("label", "pull_request_target", payload)

    def _judge(self, run: dict[str, Any], payload: Mapping[str, Any], sha: str, yaml_of: str = "") -> dict[str, Any]:
        ended = self.job("pull-request.yml", "judge", run["event"], payload, sha, run, yaml_of)
        run |= {"status": "completed", "conclusion": ended}
        self.hub.tick()
        self._answer("answer", "workflow_run", {"action": "completed", "workflow_run": run})
        return run

    def _answer(self, name: str, event: str, payload: Mapping[str, Any]) -> None:
        self.answers.append(self.job("comment.yml", name, event, payload, self.hub.head("main")))

    def job(
        self, file: str, name: str, event: str, payload: Mapping[str, Any], sha: str,
        run: dict[str, Any] | None = None, yaml_of: str = "", needs: Mapping[str, Any] | None = None,
    ) -> str:  # fmt: skip
        """One job, from its trigger to its last step: `success`, `failure` or `skipped`."""
        workflow = self._read(file, yaml_of or sha)
        job = workflow["jobs"][name]
        run = run or self.hub.run(sha, event, "main", path=file)
        wanted = needed(job)
        place = Job(self, name, workflow, job, event, payload, sha, run, {each: (needs or {})[each] for each in wanted})
        # As GitHub: a job is skipped unless all went well in the whole chain before it, or its `if` asks otherwise.
        well = all((needs or {})[each]["result"] == "success" for each in before(workflow["jobs"], name))
        if not starts(workflow["on"], event, payload) or not place.expressions().holds(job.get("if"), well):
            return "skipped"
        ended = "success" if place.play() else "failure"
        self.outputs[name] = place.given()
        return ended

    def _read(self, file: str, sha: str) -> Any:
        text = self.hub.git("show", f"{sha}:.github/workflows/{file}")
        return yaml.load(text, Loader=yaml.BaseLoader)


def needed(job: Mapping[str, Any]) -> list[str]:
    """The jobs that a job names."""
    return [job["needs"]] if isinstance(job.get("needs"), str) else list(job.get("needs", []))


def before(jobs: Mapping[str, Any], name: str) -> set[str]:
    """They, and those that they need."""
    direct = needed(jobs[name])
    return {*direct, *(each for other in direct for each in before(jobs, other))}


def starts(on: Mapping[str, Any], event: str, payload: Mapping[str, Any]) -> bool:
    """Does an event start a workflow? (One that does not is told like one whose job's `if` does not hold.)"""
    if event not in on:
        return False
    wanted = on[event] or {}
    if event == "workflow_run" and payload["workflow_run"]["name"] not in wanted["workflows"]:
        return False
    if event == "push" and payload["ref"].removeprefix("refs/heads/") not in wanted.get("branches", [payload["ref"]]):
        return False
    bases = wanted.get("branches") if event.startswith("pull_request") else None
    if bases is not None and payload["pull_request"]["base"]["ref"] not in bases:
        return False
    action = payload.get("action")
    return action is None or action in wanted.get("types", USUAL if event.startswith("pull_request") else [action])
