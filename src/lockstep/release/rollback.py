"""The way back: a branch that holds what an earlier release held. The work tree is not touched."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.errors import InputError, OutsideError, nearest
from lockstep.github import pulls
from lockstep.github.api import Api
from lockstep.release import deployment, earlier, origin
from lockstep.release.superseded import told
from lockstep.release.tags import Released, Version, model_at, released
from lockstep.revision import Revision, default_branch, git, git_bytes, resolve
from lockstep.serving.fingerprint import SHORT

PULLS = "pull-request.yml"
"""The workflow that judges pull requests."""


@dataclass(frozen=True, kw_only=True)
class Now:
    """What is out: its version, the one before it as the release wrote it down, and who says so; or a guess."""

    version: Version
    previous: Version | None
    where: str
    guessed: bool = False


@dataclass(frozen=True, kw_only=True)
class Back:
    """A branch that leads back. `into` is the default branch as this clone calls it; `reused`: it was here already."""

    to: Released
    branch: str
    commit: str
    into: str
    message: str
    reused: bool

    @property
    def base(self) -> str:
        """The default branch's own name."""
        return self.into.removeprefix(f"{origin.REMOTE}/")


def choose(root: Path, asked: str | None) -> tuple[Released, Now]:
    """The release to go back to, and what is out now; without `asked` the release before that.

    Raises `InputError` for a version that no release made, or that is what is out already.
    """
    tip = resolve(root, default_branch(root))
    known = released(root, name := project(tip))
    if not known:
        raise InputError(f"no tag such as `{name}@v1.0.0` is here: nothing was released, or `git fetch --tags` helps")
    now, line = _out(root, known, sure=asked is None), earlier.first_parents(root, tip.sha)
    if asked:
        chosen = _asked(asked.removeprefix(f"{name}@"), known)
        _insist_may_return(root, chosen, line)
    else:
        chosen = _before(now, [each for each in known if earlier.may_return(root, each, line)])
    if (
        not now.guessed
        and chosen.version == now.version
        and model_at(tip) == model_at(Revision(root=root, sha=chosen.commit))
    ):
        raise InputError(f"{chosen.version} is what is out already, says {now.where}: there is nothing to go back to")
    return chosen, now


def _insist_may_return(root: Path, chosen: Released, line: set[str]) -> None:
    """Raise `InputError` unless a report would call the way back to it a rollback."""
    if not earlier.is_genuine(root, chosen):
        why = f"the tag {chosen.tag} is not as a release writes it, with identity, digest and its commit's model"
    elif chosen.commit not in line:
        why = (
            f"{chosen.tag} is on {told(root, chosen.commit)}, which the default branch itself never was at: it came in "
            "by a merge, or history was rewritten"
        )
    else:
        return
    raise InputError(f"{why}: no report would call this a rollback. `git revert` goes back by a change like any other")


def _out(root: Path, known: Sequence[Released], *, sure: bool) -> Now:
    """What is out now. Who names a version does not need the branch `deploy` to be whole."""
    try:
        found = deployed(root)
    except InputError:
        if sure:
            raise
        newest = "the newest tag; release.json cannot be read"
        return Now(version=known[-1].version, previous=None, where=newest, guessed=True)
    return found or Now(version=known[-1].version, previous=None, where="the newest tag")


def _asked(asked: str, known: Sequence[Released]) -> Released:
    names = {str(each.version): each for each in known}
    wanted = str(Version.parse(asked))
    if wanted not in names:
        shown = ", ".join([*names][-8:])
        raise InputError(f"{wanted} was not released. Released: {shown}.{nearest(wanted, names)}")
    return names[wanted]


def _before(now: Now, known: Sequence[Released]) -> Released:
    """The release that was out before, unless that was a later one, which a rollback has left already."""
    older = [each for each in known if each.version < now.version]
    if not older:
        raise InputError(
            f"nothing was released before {now.version}, which is out, says {now.where}, that a rollback leads to: it "
            "takes a tag as a release writes it, on a commit that the default branch itself was at"
        )
    return next((each for each in older if each.version == now.previous), older[-1])


def project(tip: Revision) -> str:
    """The project's name, as a commit's params.yaml says it. Raises `InputError` without one."""
    values = tip.values().get("project")
    name = values.get("name") if isinstance(values, dict) else None
    if not isinstance(name, str) or not name:
        raise InputError(f"params.yaml of {tip.short} does not say `project.name`, by which tags are known")
    return name


def deployed(root: Path) -> Now | None:
    """What release.json on the branch `deploy` says is out; None where there is no such branch here."""
    for ref in (f"refs/remotes/{origin.REMOTE}/{origin.DEPLOY}", f"refs/heads/{origin.DEPLOY}"):
        tip = git_bytes(root, "rev-parse", "--verify", "--quiet", ref).stdout.decode().strip()
        for environment in (deployment.STAGING, deployment.PRODUCTION):
            if record := deployment.record(root, tip, environment):
                previous = Version.parse(record.previous) if record.previous else None
                where = f"{environment}/{deployment.RECORD} on `{origin.DEPLOY}`"
                return Now(version=Version.parse(record.version), previous=previous, where=where)
    return None


def make(root: Path, to: Released, now: Now, why: str = "") -> Back:
    """The branch `rollback/vX` with one commit on the default branch's tip; one that is the same already is kept.

    Raises `InputError` where the tip is as released already, and where the branch is there and holds something else.
    """
    if git(root, "rev-parse", "--show-prefix"):
        raise InputError("a rollback is of the whole repository, and this is a folder in it: call it from its top")
    into, branch = default_branch(root), f"rollback/{to.version}"
    tip, tree = resolve(root, into), earlier.tree_of(root, to.commit, resolve(root, into).sha)
    if tree == git(root, "rev-parse", f"{tip.sha}^{{tree}}"):
        raise InputError(f"`{into}` is what was released as {to.version} already: there is nothing to go back to")
    message = _message(root, to, now, tip, into, why)
    found = git_bytes(root, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").stdout.decode().strip()
    if found and git(root, "show", "--no-patch", "--format=%T %P", found) != f"{tree} {tip.sha}":
        raise InputError(
            f"the branch `{branch}` is here, and is not one commit on `{into}` ({tip.short}) as a rollback is. "
            f"`git branch -D {branch}` drops it; then call this again"
        )
    commit = found or git(root, "commit-tree", tree, "-p", tip.sha, "-m", message)
    if not found:
        git(root, "update-ref", "-m", "lockstep rollback", f"refs/heads/{branch}", commit, "0" * len(commit))
    return Back(to=to, branch=branch, commit=commit, into=into, message=message, reused=bool(found))


def _message(root: Path, to: Released, now: Now, tip: Revision, into: str, why: str) -> str:
    models = [(model_at(each) or "no model")[:SHORT] for each in (tip, Revision(root=root, sha=to.commit))]
    todays = " and ".join(f"{name}/" for name in earlier.TODAYS)
    start, end = told(root, tip.sha), told(root, to.commit)
    paragraphs = (
        f"From {now.version} (so says {now.where}), with `{into}` at {start}, to {to.version}, released from {end}.",
        f"Code, spec and lock are those of {to.tag}; {todays} stay as they are. Model: {models[0]} → {models[1]}.",
        f"Why: {why.strip() or 'not said'}",
    )
    filled = (textwrap.fill(" ".join(each.split()), 100, break_long_words=False) for each in paragraphs)
    return "\n\n".join([f"Roll back to {to.version}", *filled])


def push(root: Path, back: Back) -> None:
    """Send the branch. Raises `InputError` where origin has another one of that name, `OutsideError` as git does."""
    try:
        origin.push(root, f"refs/heads/{back.branch}", back.commit, "")
    except origin.Moved:
        raise InputError(
            f"`{origin.REMOTE}` has a branch `{back.branch}` that holds something else. "
            f"`git push {origin.REMOTE} --delete {back.branch}` drops it; then call this again"
        ) from None


def propose(api: Api, back: Back, *, starts_runs: bool) -> str:
    """Open the pull request, or find the one that is open; returns its address.

    What a workflow's own token opens starts no run: unless it `starts_runs`, the run that judges it is started here.
    """
    title, _, body = back.message.partition("\n\n")
    found = pulls.find(api, back.base, lambda branch: branch == back.branch)
    # What people have written into one that is open stays.
    pull = found or pulls.put(api, None, branch=back.branch, base=back.base, title=title, body=body)
    if not starts_runs:
        content = {"ref": back.branch, "inputs": {"number": str(pull["number"])}}
        api.post(f"actions/workflows/{PULLS}/dispatches", content)
    return str(pull["html_url"])


def fetch(root: Path, *, needed: bool) -> str:
    """Bring origin's newest commits and tags here; why that failed, unless it is `needed`. "" when it was done.

    Raises `OutsideError` when it failed and is needed, `InputError` when there is no origin and one is needed, and as
    `origin.look` does.
    """
    if git_bytes(root, "remote", "get-url", origin.REMOTE).returncode:
        if needed:
            raise InputError(f"there is no remote `{origin.REMOTE}` to push to: `git remote add {origin.REMOTE} URL`")
        return ""
    try:
        origin.look(root, project(resolve(root, default_branch(root))))
    except OutsideError as error:
        if needed:
            raise
        return str(error)
    return ""
