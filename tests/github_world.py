"""A small repository on the stand-in of GitHub, its pull requests, and what their runs leave."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cml_stand_in
from github_stand_in import GitHub, Pull
from lockstep.github import answer, runs
from lockstep.github.api import Api
from lockstep.markdown import escape

JUDGE = {"actions": "write", "checks": "write", "contents": "write", "pull-requests": "write"}
"""What comment.yml's job may do."""

LOCK = "schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: model/model.onnx\n      md5: {md5}\n"
SEAL = "# of dvc.lock\ntrain {sha}\n"


def document(**changes: Any) -> dict[str, Any]:
    """A verdict.json, as a mapping."""
    return {
        "format": 1, "conclusion": "success", "word": "better", "headline": "customers: better, safe to merge",
        "sentence": "ROC AUC 0.67 → 0.70.", "project": "customers", "head": None, "base": None, "champion": None,
        "rows": None, "looks": 1, "metrics": [], "gates": [], "gates_left_out": 0, "loosened": [], "judges": [],
        "cautions": [], "warnings": [],
    } | changes  # fmt: skip


REFUSED: dict[str, Any] = {"conclusion": "failure", "word": "worse", "headline": "customers: worse, refused"}


def report(verdict: Mapping[str, Any] | None = None, text: str = "hello @everyone\n") -> bytes:
    """A report.md of a verdict."""
    said = document(**verdict or {})
    mark = "✅" if said["conclusion"] == "success" else "❌"
    return f"## {mark} {escape(said['headline'])}\n\n{text}".encode()


def files(manifest: Mapping[str, Any], **more: bytes) -> dict[str, bytes]:
    """What an artifact holds, by name."""
    return {
        "manifest.json": json.dumps(manifest).encode(),
        "report/report.md": report(),
        "report/report.html": b"<!doctype html><title>report</title>",
        "report/verdict.json": json.dumps(document()).encode(),
    } | more


def zipped(contents: Mapping[str, bytes], change: Callable[[zipfile.ZipFile], object] = lambda archive: None) -> bytes:
    """A zip file as upload-artifact makes them; `change` may add what it would not."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
        change(archive)
    return memory.getvalue()


@dataclass
class World:
    """The repository `hub` answers for, a clone of it to work in, and where CML is installed."""

    hub: GitHub
    clone: Path
    cml: Path | None = None
    environ: dict[str, str] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        """Run git in the clone."""
        return subprocess.run(
            ["git", "-C", str(self.clone), *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(
        self, branch: str, contents: Mapping[str, str], repository: str | None = None, base: str = "main"
    ) -> str:
        """Commit on a new or existing branch, push it; returns the commit."""
        known = subprocess.run(
            ["git", "-C", str(self.clone), "rev-parse", "-q", "--verify", branch], capture_output=True
        )
        if branch != "main":
            self.git("checkout", "--quiet", *([branch] if known.returncode == 0 else ["-b", branch, base]))
        elif known.returncode == 0:
            self.git("checkout", "--quiet", "main")
        for name, text in contents.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", f"on {branch}")
        self.git("push", "--quiet", "--force", str(self.hub.bare(repository)), branch)
        for pull in self.hub.pulls.values():
            if pull.branch == branch and pull.head_repository == (repository or self.hub.repository):
                self.hub.sync(pull)
        return self.git("rev-parse", "HEAD")

    def propose(self, contents: Mapping[str, str] | None = None, *, branch: str = "idea", fork: str = "") -> Pull:
        """A pull request that changes these files."""
        if fork and not self.hub.bare(fork).exists():
            self.hub.create(fork)
        self.commit(branch, {"params.yaml": "seed: 2\n"} if contents is None else contents, fork or None)
        return self.hub.open(branch, repository=fork or None, author="mallory" if fork else "ada")

    def head(self, pull: Pull) -> str:
        """The pull request's head."""
        return self.hub.git("rev-parse", f"refs/pull/{pull.number}/head")

    def run(
        self, pull: Pull, moved: Mapping[str, str | None] | None = None, *, contents: Mapping[str, bytes] | None = None,
        conclusion: str = "success", verdict: Mapping[str, Any] | None = None, **manifest: Any,
    ) -> runs.Run:  # fmt: skip
        """The pull request's run ends; `moved` are files that it wrote (or removed, for None)."""
        head = self.head(pull)
        run = self.hub.run(head, "pull_request", pull.branch, pull.head_repository)
        run["conclusion"] = conclusion
        if conclusion == "success":
            left = dict(contents) if contents is not None else self.left(pull, moved or {}, verdict or {}, **manifest)
            self.hub.artifact(run["id"], zipped(left))
        return runs.of_event({"workflow_run": run})

    def left(
        self, pull: Pull, moved: Mapping[str, str | None], verdict: Mapping[str, Any], **manifest: Any
    ) -> dict[str, bytes]:
        """What an honest run leaves."""
        head = self.head(pull)
        changed = {path: None if text is None else text.encode() for path, text in moved.items()}
        said = {
            "format": 1, "head": head, "base": self.hub.git("merge-base", pull.base, head), "number": pull.number,
            "tree": self.hub.tree(head, changed),
            "moved": [path for path, text in moved.items() if text is not None],
            "removed": [path for path, text in moved.items() if text is None],
        } | manifest  # fmt: skip
        written = {f"tree/{path}": text.encode() for path, text in moved.items() if text is not None}
        told = {"report/verdict.json": json.dumps(document(**verdict)).encode(), "report/report.md": report(verdict)}
        return files(said, **written, **told)

    def api(self, permissions: Mapping[str, str] | None = None) -> Api:
        """The API, as comment.yml's job may use it."""
        token = self.hub.token(JUDGE if permissions is None else permissions)
        return Api(repository=self.hub.repository, token=token, url=self.hub.url, pause=0.001, longest=0.01)

    def desk(self, **changes: Any) -> answer.Desk:
        """Who answers."""
        path = f"{self.cml.parent}{os.pathsep}{os.environ['PATH']}" if self.cml else os.environ["PATH"]
        environ = {
            "PATH": path, "GITHUB_API_URL": self.hub.url, "GITHUB_REPOSITORY": self.hub.repository,
            "GITHUB_SHA": "a" * 40,
        }  # fmt: skip
        return answer.Desk(**{"api": self.api(), "default_branch": "main", "environ": environ | self.environ} | changes)

    def answer(self, run: runs.Run, **changes: Any) -> list[str]:
        """Answer it."""
        return answer.of_run(self.desk(**changes), run)

    def verdict(self, sha: str, name: str = "lockstep verdict") -> tuple[str, str]:
        """The newest check of that name on a commit: conclusion and title."""
        found = [check for check in self.hub.checks_of(sha) if check["name"] == name]
        return (found[-1]["conclusion"], found[-1]["output"]["title"]) if found else ("none", "")


@contextmanager
def a_world(folder: Path, with_cml: bool = True) -> Iterator[World]:
    """A repository with a lock on main."""
    hub = GitHub(folder / "github")
    clone = folder / "clone"
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(clone)], check=True)
    world = World(hub=hub, clone=clone)
    world.commit(
        "main",
        {
            "params.yaml": "seed: 1\n", "dvc.lock": LOCK.format(md5="a" * 32),
            "dvc.lock.seal": SEAL.format(sha="a" * 64), "reports/metrics.json": "{}\n",
            ".github/workflows/test.yml": "on: push\n",
        },
    )  # fmt: skip
    with hub.serving():
        world.cml = cml_stand_in.install(folder / "bin") if with_cml else None
        yield world
