"""One job of a workflow, from its first step to its last.

Actions are played: a checkout fetches, a cache copies, an upload zips. A `run:` is run, in a shell, with a token that
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
from typing import TYPE_CHECKING, Any

import cml_stand_in
from github_stand_in import Problem
from github_world import zipped
from loop.expressions import Expressions

if TYPE_CHECKING:
    from loop.runner import Runner


MAY_PUSH = "RUNNER_CONTENTS"
"""Tells the stand-in's hook what the job's token may do: git is not asked for one here."""

COSIGN = """\
#!/bin/sh
{refusal}
case "$1" in
sign) [ "$2" = --yes ] && echo "$3" >> {notes} ;;
verify)
  case "$3 $5" in
  https://github.com/*/.github/workflows/release.yml@refs/heads/main\\ https://token.actions.githubusercontent.com) ;;
  *) exit 2 ;;
  esac
  grep --quiet --line-regexp --fixed-strings "$6" {notes} ;;
*) exit 2 ;;
esac
"""

GH = """\
#!/bin/sh
[ "$1 $2 $4 $6 $8" = "attestation verify --repo --signer-workflow --predicate-type" ] || exit 2
[ "$9" = https://cyclonedx.org/bom ] || exit 2
[ "$7" = "$5/.github/workflows/release.yml" ] && [ -n "$GH_TOKEN" ] || exit 2
grep --quiet --line-regexp --fixed-strings "sbom $3" {notes}
"""
"""On every runner."""


@dataclass
class Job:
    """One job under way."""

    runner: Runner
    name: str
    workflow: Mapping[str, Any]
    job: Mapping[str, Any]
    event: str
    payload: Mapping[str, Any]
    sha: str
    run: dict[str, Any]
    needs: Mapping[str, Any] = field(default_factory=dict)
    """What the jobs before this one gave, by name: `result` and `outputs`."""

    def __post_init__(self) -> None:
        hub = self.runner.hub
        repository = {"full_name": hub.repository, "default_branch": hub.default_branch, "private": False}
        self.run["attempt"] = self.run.get("attempt", 0) + 1
        self.work = self.runner.folder / f"run-{self.run['id']}-{self.run['attempt']}" / "work"
        self.temporary = self.work.parent / "temporary"
        self.temporary.mkdir(parents=True, exist_ok=True)
        (self.temporary / "event.json").write_text(json.dumps({**self.payload, "repository": repository}))
        self.outputs: dict[str, Any] = {}
        self.told: dict[str, str] = {}
        self.path: list[str] = []
        self.token = hub.token(self._permissions())
        self._program("gh", GH.format(notes=self.runner.folder / "attested.txt"))

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
        about = {"default_branch": hub.default_branch, "private": False}
        github = {
            "event": {**self.payload, "repository": about}, "event_name": self.event, "actor": "ada",
            "sha": self.sha, "repository": hub.repository, "token": self.token,
            "ref": self.payload.get("ref", f"refs/heads/{hub.default_branch}"),
        }  # fmt: skip
        contexts = {
            "github": github, "vars": self.runner.variables, "steps": self.outputs, "secrets": {},
            "inputs": self.payload.get("inputs") or {}, "needs": self.needs,
        }  # fmt: skip
        known = {"hashFiles": self._hash, "always": lambda: True, "cancelled": lambda: False}
        return Expressions(contexts, known)

    def given(self) -> dict[str, str]:
        """The job's outputs, as the next job sees them; also those of a job that failed."""
        return {name: self.expressions().fill(text) for name, text in self.job.get("outputs", {}).items()}

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
            ended = self._step(step)
            self.outputs.setdefault(step.get("id", ""), {})["outcome"] = "success" if ended else "failure"
            did = ended or step.get("continue-on-error") == "true"
            record.append({"name": step["name"], "conclusion": "success" if did else "failure"})
            well = well and did
        self.runner.hub.jobs[self.run["id"]] = [{"steps": record}]
        return well

    def _step(self, step: Mapping[str, Any]) -> bool:
        if "run" in step:
            return self._run(step)
        action = step["uses"].partition("@")[0]
        given = {name: self.expressions().fill(value) for name, value in step.get("with", {}).items()}
        try:
            self.outputs[step.get("id", "")] = {"outputs": ACTIONS[action](self, given) or {}}
        except Problem as problem:
            self.runner.logs.append(f"{step['uses']}: {problem}")
            return False
        return True

    def _run(self, step: Mapping[str, Any]) -> bool:
        self.runner.commands.append(step["run"])
        self.runner.ran.append((self.name, step["run"], self._permissions().get("contents", "none")))
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
            MAY_PUSH: self._permissions().get("contents", "none"),
            "GITHUB_OUTPUT": str(self.temporary / "output"), "GITHUB_PATH": str(self.temporary / "path"),
            "GITHUB_STEP_SUMMARY": str(self.temporary / "summary"),
            "PATH": os.pathsep.join([*self.path, os.environ["PATH"]]),
        }  # fmt: skip
        return kept | runners | self.told | {name: known.fill(value) for name, value in given.items()}

    # what actions do

    def checkout(self, given: Mapping[str, str]) -> None:
        """actions/checkout: the one commit, unless `fetch-depth: 0` asks for all branches, tags and their history."""
        ref, depth = given.get("ref") or self.sha, given.get("fetch-depth", "1")
        everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*", ref]
        for command in (
            ["init", "--quiet", str(self.work)],
            ["-C", str(self.work), "remote", "add", "origin", f"file://{self.runner.hub.bare()}"],
            ["-C", str(self.work), "fetch", "--quiet", "--no-tags", "origin"]
            + (everything if depth == "0" else [f"--depth={depth}", ref]),
            ["-C", str(self.work), "checkout", "--quiet", "--detach", self._fetched(ref)],
        ):
            subprocess.run(["git", *command], check=True)
        set_up(self.work)

    def _fetched(self, ref: str) -> str:
        return ref if re.fullmatch("[0-9a-f]{40}", ref) else self.runner.hub.head(ref)

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
        """actions/upload-artifact: a zip of a folder; a second one of that name only where it may replace the first."""
        hub, number = self.runner.hub, self.run["id"]
        before = [each for each in hub.artifacts if each["run"] == number and each["name"] == given["name"]]
        if before and given.get("overwrite") != "true":
            raise Problem(409, "an artifact with this name already exists on the workflow run")
        folder = self.work / given["path"]
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert found
        hub.artifacts[:] = [each for each in hub.artifacts if each not in before]
        hub.artifact(number, zipped(found), given["name"])

    def cml(self, given: Mapping[str, str]) -> None:
        """iterative/setup-cml."""
        self.path.insert(0, str(cml_stand_in.install(self.temporary / "cml").parent))

    def credentials(self, given: Mapping[str, str]) -> None:
        """aws-actions/configure-aws-credentials, where the job may ask for a token that says who it is."""
        assert self._permissions().get("id-token") == "write"
        self.told |= {"AWS_REGION": given["aws-region"], "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}

    def app(self, given: Mapping[str, str]) -> dict[str, str]:
        """actions/create-github-app-token: with no more than it is asked for."""
        asked = {name.removeprefix("permission-"): level for name, level in given.items() if name[:3] == "per"}
        return {"token": self.runner.hub.token(asked, "lockstep[bot]")}

    def login(self, given: Mapping[str, str]) -> None:
        """docker/login-action."""
        if given["registry"] == "ghcr.io":
            assert self._permissions()["packages"] in ("read", "write")
            assert given["password"] == self.token
        self.runner.logins.append(given["registry"])

    def attest(self, given: Mapping[str, str]) -> None:
        """actions/attest: signs what a digest names, and says so to the registry."""
        if (kind := "sbom" if "sbom-path" in given else "provenance") in self.runner.breaks:
            raise Problem(500, f"{kind}: the signing service does not answer")
        rights = self._permissions()
        assert (rights["attestations"], rights["id-token"]) == ("write", "write")
        assert re.fullmatch("sha256:[0-9a-f]{64}", given["subject-digest"])
        assert given["push-to-registry"] == "true"
        if "sbom-path" in given:
            assert json.loads((self.work / given["sbom-path"]).read_text())["bomFormat"] == "CycloneDX"
        self.runner.signed.append((kind, f"{given['subject-name']}@{given['subject-digest']}"))
        with (self.runner.folder / "attested.txt").open("a", encoding="utf-8") as notes:
            notes.write(f"{kind} oci://{given['subject-name']}@{given['subject-digest']}\n")

    def cosign(self, given: Mapping[str, str]) -> None:
        """sigstore/cosign-installer: a program that notes what it is asked to sign, and knows it again."""
        assert self._permissions()["id-token"] == "write"
        refusal = "exit 1" if "signature" in self.runner.breaks else ""
        self._program("cosign", COSIGN.format(refusal=refusal, notes=self.runner.folder / "cosign.txt"))

    def _program(self, name: str, text: str) -> None:
        path = self.temporary / "programs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        if str(path.parent) not in self.path:
            self.path.insert(0, str(path.parent))


ACTIONS: dict[str, Callable[[Job, Mapping[str, str]], Mapping[str, str] | None]] = {
    "actions/checkout": Job.checkout,
    "actions/setup-python": lambda job, given: None,
    "actions/cache/restore": Job.restore,
    "actions/cache/save": Job.save,
    "actions/upload-artifact": Job.upload,
    "actions/attest": Job.attest,
    "actions/create-github-app-token": Job.app,
    "docker/login-action": Job.login,
    "sigstore/cosign-installer": Job.cosign,
    "iterative/setup-cml": Job.cml,
    "aws-actions/configure-aws-credentials": Job.credentials,
}


def set_up(root: Path) -> None:
    """What `make .venv/.release` would take a minute for: the environment that runs the tests, marked as whole."""
    folder = root / ".venv"
    folder.mkdir(exist_ok=True)
    for name in ("bin", "lib", "pyvenv.cfg"):
        if not (folder / name).exists():
            (folder / name).symlink_to(Path(sys.prefix) / name)
    for name in (".uv", ".pipeline", ".release", ".dev"):
        (folder / name).touch()
