"""The remote `origin`: what it has is the truth that every clone sees. Looked at before each step, written to last."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import InputError, OutsideError
from lockstep.github import credentials
from lockstep.release.earlier import is_ancestor
from lockstep.release.tags import is_of_a_release, said
from lockstep.remotes.config import without_secrets
from lockstep.revision import Revision, git, git_bytes, is_shallow
from lockstep.running.console import say

REMOTE = "origin"
DEPLOY = "deploy"
"""The branch that a cluster follows. It shares no history with the default branch."""

NO_HOOKS = ("-c", f"core.hooksPath={os.devnull}")
"""Hooks that DVC or a person installed are for their own pushes."""


_DENIED = re.compile(r"without .?workflows?.? (permission|scope)")


class Moved(OutsideError):
    """Somebody else was faster: what was to be written has changed since it was looked at."""


class Denied(OutsideError):
    """GitHub lets no token without the right `workflows` tag a commit whose workflows are no branch's any more."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What origin had when it was asked: its default branch by name, and the newest commits; `deploy` may be ""."""

    branch: str
    tip: str
    deploy: str


def look(root: Path, project: str) -> Seen:
    """Ask origin, and bring its default branch, `deploy`, and the project's tags here.

    The tags of the project's releases here are those of origin afterwards: one with a release's words that only this
    clone has was left by a release that was interrupted before it was pushed. Raises `InputError` without an origin, in
    a shallow clone, when there is no default branch, and for such a tag that a person made; `OutsideError` when origin
    cannot be reached.
    """
    if git_bytes(root, "remote", "get-url", REMOTE).returncode:
        raise InputError(f"there is no remote `{REMOTE}`: `git remote add {REMOTE} URL`. `--local` tries without one")
    if is_shallow(root):
        raise InputError("this clone is shallow, and cannot tell what came before what: `git fetch --unshallow`")
    tags = [f"refs/tags/{project}{mark}*" for mark in ("@v", "#")]
    branch, refs = _refs(root, "HEAD", f"refs/heads/{DEPLOY}", *tags)
    if not branch or "HEAD" not in refs:
        raise InputError(f"`{REMOTE}` has no default branch with a commit: push one first")
    _drop(root, [each for each in _tags(root, tags) if f"refs/tags/{each}" not in refs])
    branches = [branch, *([DEPLOY] if f"refs/heads/{DEPLOY}" in refs else [])]
    ask(
        root, "fetch", "--quiet", "--no-tags", REMOTE,
        *(f"+refs/heads/{name}:refs/remotes/{REMOTE}/{name}" for name in branches), *(f"+{tag}:{tag}" for tag in tags),
    )  # fmt: skip
    tips = {name: git(root, "rev-parse", f"refs/remotes/{REMOTE}/{name}") for name in branches}
    return Seen(branch=branch, tip=tips[branch], deploy=tips.get(DEPLOY, ""))


def _tags(root: Path, patterns: Sequence[str]) -> list[str]:
    named = git(root, "for-each-ref", "--format=%(refname:strip=2)", *patterns).splitlines()
    return [each for each in named if is_of_a_release(each)]


def _drop(root: Path, tags: Sequence[str]) -> None:
    """Delete tags that only this clone has, and a release wrote. Raises `InputError` for what a person tagged."""
    for tag in tags:
        if not said(root, tag):
            raise InputError(
                f"tag {tag} is only here, and no release made it, though it says what was released: "
                f"`git push {REMOTE} refs/tags/{tag}` if it is to count, or `git tag --delete {tag}`"
            )
        git(root, "tag", "--delete", tag)
        say(f"tag {tag} was only here, left by a release that was interrupted: dropped")


def _refs(root: Path, *names: str) -> tuple[str, dict[str, str]]:
    """The name of the branch that HEAD stands for at origin, and the refs there with what they point at."""
    branch, found = "", {}
    for line in ask(root, "ls-remote", "--symref", REMOTE, *names).splitlines():
        what, _, name = line.partition("\t")
        if what.startswith("ref: "):
            branch = what.removeprefix("ref: refs/heads/") if name == "HEAD" else branch
        else:
            found[name] = what
    return branch, found


def push(root: Path, ref: str, value: str, expected: str) -> None:
    """Let `ref` at origin point to `value`, if it points to `expected` now ("" when it must not be there).

    Fine when it is so already, whoever did it. Raises `Moved` when it points elsewhere, `Denied` when it would need the
    right to change workflows, `OutsideError` when origin cannot be reached or refuses.
    """
    lease = f"--force-with-lease={ref}:{expected}"
    try:
        ask(root, *NO_HOOKS, "push", "--quiet", "--no-verify", lease, REMOTE, f"{value}:{ref}")
    except OutsideError as error:
        there = _refs(root, ref)[1].get(ref, "")
        if there == value:  # the answer was lost, not the push
            return
        if there != expected:
            raise Moved(f"{ref} at `{REMOTE}` was changed meanwhile: run again") from error
        raise


def tip(root: Path, branch: str) -> str:
    """The commit that a branch of origin is at now; "" without one."""
    ref = f"refs/heads/{branch}"
    return _refs(root, ref)[1].get(ref, "")


def branches(root: Path, prefix: str) -> dict[str, str]:
    """The commits that origin's branches are at whose names begin so."""
    found = _refs(root, f"refs/heads/{prefix}*")[1]
    return {ref.removeprefix("refs/heads/"): commit for ref, commit in found.items()}


def insist_merged(root: Path, seen: Seen, head: Revision) -> None:
    """Raise `InputError` unless the commit is part of origin's default branch: only what was merged is released."""
    if not is_ancestor(root, head.sha, seen.tip):
        raise InputError(
            f"{head.short} is not part of `{REMOTE}/{seen.branch}`: a release ships what was merged. Merge it first, "
            "or try it with `lockstep release --local`"
        )


def ask(root: Path, *arguments: str) -> str:
    """Run a git command that talks to a remote; what it prints. Raises `OutsideError` (`Denied`) with its words."""
    done = run(root, *arguments, environ=credentials.environment(os.environ))
    if done.returncode:
        told = without_secrets(" ".join(done.stderr.decode(errors="replace").split()))
        words = next((word for word in arguments if word in ("push", "fetch", "ls-remote")), "")
        kind = Denied if _DENIED.search(told) else OutsideError
        raise kind(f"`git {words}` failed: {told[-600:]}. It is safe to run again, which goes on from what is done")
    return done.stdout.decode(errors="replace")


def run(
    root: Path, *arguments: str, environ: Mapping[str, str] | None = None, text: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run git with an environment and something to read; the caller looks at the return code."""
    return subprocess.run(
        ["git", "-C", str(root), *arguments], env=environ, input=text, capture_output=True, check=False
    )
