"""From staging to production: a pull request into the branch `deploy`, which makes `production/` what `staging/` is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lockstep.errors import InputError, OutsideError, Refused
from lockstep.github import pulls
from lockstep.github.api import Api
from lockstep.markdown import code, escape
from lockstep.release import deployment, origin, versions
from lockstep.release.deployment import PRODUCTION, STAGING, Record
from lockstep.release.earlier import is_ancestor
from lockstep.release.origin import Seen
from lockstep.release.superseded import skipped, told
from lockstep.release.tags import Version
from lockstep.revision import git, git_bytes
from lockstep.serving.fingerprint import SHORT

PREFIX, TITLE = "promote/", "Promote "
LEAD = len("sha256:") + SHORT
ATTEMPTS = 5
LONG = 400
"""An address with its digest is of use only whole."""


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """What came of it. `branch` is "" when there was nothing to promote, `url` where no pull request was opened."""

    version: str
    sentence: str
    branch: str = ""
    url: str = ""
    onward: str = ""


def promote(root: Path, name: str, api: Api | None) -> Promotion:
    """Propose that production becomes what staging is; the one open proposal follows when staging moves on.

    With `api` through a pull request, else as a branch that somebody merges. Raises `InputError` when nothing is on
    staging, `Refused` when it is not what was released, `OutsideError` when origin or the API fails.
    """
    for _ in range(ATTEMPTS):
        seen = origin.look(root, name)
        about = _next(root, name, seen)
        if about is None:
            return _nothing(root, seen, api)
        found = pulls.find(api, origin.DEPLOY, lambda branch: branch.startswith(PREFIX)) if api else None
        branch = found["head"]["ref"] if found else f"{PREFIX}{about.version}"
        try:
            _put(root, seen, branch, about)
        except origin.Moved:
            continue
        return _proposed(root, seen, branch, about, api, found)
    raise OutsideError("the branches of promotion change faster than we can follow: run again")


def _nothing(root: Path, seen: Seen, api: Api | None) -> Promotion:
    """What was proposed before is out of date, and merging it would move production away from what staging has."""
    version = _staged(root, seen).version
    sentence = f"nothing to promote: production has {version}, as staging has"
    if api is not None:
        told = "".join(f". {url} was out of date, and is closed" for url in _closed(api, version))
        return Promotion(version=version, sentence=sentence + told)
    stale = [branch for branch, commit in origin.branches(root, PREFIX).items() if _is_ahead(root, commit, seen)]
    if stale:
        drop = f"git push {origin.REMOTE} --delete {' '.join(stale)}"
        sentence += f". Out of date, and not to be merged any more: {', '.join(stale)}; `{drop}` drops it"
    return Promotion(version=version, sentence=sentence)


def _closed(api: Api, version: str) -> Iterator[str]:
    """Close our open pull requests, and say there why; their addresses."""
    why = f"Closed: production has {version}, as staging has, and merging this would move it to what staging has left."
    seen: set[str] = set()
    while found := pulls.find(api, origin.DEPLOY, lambda branch: branch.startswith(PREFIX) and branch not in seen):
        seen.add(found["head"]["ref"])
        body = f"{why}\n\n{found['body'] or ''}".strip()
        api.patch(f"pulls/{found['number']}", {"body": body, "state": "closed"})
        yield str(found["html_url"])


def _is_ahead(root: Path, commit: str, seen: Seen) -> bool:
    _fetched(root, commit)
    return not is_ancestor(root, commit, seen.deploy)


def _fetched(root: Path, commit: str) -> None:
    if git_bytes(root, "cat-file", "-e", commit).returncode:
        origin.ask(root, "fetch", "--quiet", "--no-tags", origin.REMOTE, commit)


def _staged(root: Path, seen: Seen) -> Record:
    staged = deployment.record(root, seen.deploy, STAGING)
    if staged is None:
        raise InputError("nothing is on staging, so nothing can be promoted: `lockstep release` puts it there")
    return staged


def _next(root: Path, name: str, seen: Seen) -> Record | None:
    """What production is to say of itself; None when it is what staging is."""
    staged, now = _staged(root, seen), deployment.record(root, seen.deploy, PRODUCTION)
    _insist_released(root, name, seen, STAGING, staged)
    trees = [deployment.of(root, seen.deploy, each) for each in (STAGING, PRODUCTION)]
    if now and (now.version, now.facts) == (staged.version, staged.facts) and deployment.same(root, *trees):
        return None
    if now is None:
        return replace(staged, previous="", skipped=())
    before = now.version if now.version != staged.version else now.previous
    return replace(staged, previous=before, skipped=tuple(skipped(root, now.commit, staged.commit)))


def _put(root: Path, seen: Seen, branch: str, about: Record) -> None:
    """Let the branch be one commit on `deploy` with this in production, unless it is so already."""
    there = origin.tip(root, branch)
    tree = deployment.copied(root, seen.deploy, STAGING, about)
    if there and _is_made(root, there, seen, tree, branch):
        return
    commit = deployment.commit(root, seen.deploy, PRODUCTION, tree, _message(root, about))
    origin.push(root, f"refs/heads/{branch}", commit, there)


def _is_made(root: Path, commit: str, seen: Seen, tree: str, branch: str) -> bool:
    """Is a commit at origin the one that we would make? Raises `InputError` when it is not even one of ours."""
    _fetched(root, commit)
    first = _below_merges(root, commit, seen)
    parents, title = git(root, "show", "--no-patch", "--format=%P%x00%s", first).split("\0")
    changed = _changed(root, first)
    if not (title.startswith(TITLE) and len(parents.split()) == 1 and changed == [PRODUCTION]):
        raise InputError(
            f"the branch `{branch}` of `{origin.REMOTE}` is at {told(root, commit)}, which no promotion made. "
            f"If nobody needs it, `git push {origin.REMOTE} --delete {branch}` drops it; then call this again"
        )
    if first != commit:
        return False
    return parents == seen.deploy and deployment.of(root, commit, PRODUCTION) == tree


def _below_merges(root: Path, commit: str, seen: Seen) -> str:
    """The commit below those of GitHub's button "Update branch": merges of `deploy` that leave production/ alone."""
    while True:
        parents = git(root, "show", "--no-patch", "--format=%P", commit).split()
        merged = len(parents) == 2 and is_ancestor(root, parents[1], seen.deploy)
        if not merged or PRODUCTION in _changed(root, parents[0], commit):
            return commit
        if _changed(root, parents[1], commit) not in ([], [PRODUCTION]):
            return commit
        commit = parents[0]


def _changed(root: Path, *commits: str) -> list[str]:
    """The folders that one commit changed, or two differ by."""
    return git(root, "diff-tree", "--name-only", "--no-commit-id", "--no-renames", *commits).splitlines()


def _proposed(
    root: Path, seen: Seen, branch: str, about: Record, api: Api | None, found: dict[str, Any] | None
) -> Promotion:
    title = _title(about)
    if api is None:
        onward = f"git push {origin.REMOTE} {origin.REMOTE}/{branch}:{origin.DEPLOY}"
        sentence = f"branch `{branch}` is pushed: merging it into `{origin.DEPLOY}` moves production to {about.version}"
        origin.ask(
            root, "fetch", "--quiet", "--no-tags", origin.REMOTE,
            f"+refs/heads/{branch}:refs/remotes/{origin.REMOTE}/{branch}",
        )  # fmt: skip
        return Promotion(version=about.version, sentence=sentence, branch=branch, onward=onward)
    body = "\n".join(_body(root, about))
    url = str(pulls.put(api, found, branch=branch, base=origin.DEPLOY, title=title, body=body)["html_url"])
    sentence = f"{title}: {url}. Merging it moves production"
    return Promotion(version=about.version, sentence=sentence, branch=branch, url=url)


def _title(about: Record) -> str:
    before = f", from {about.previous}" if about.previous else ""
    return f"{TITLE}{about.name} {about.version} to production{before}"


def _message(root: Path, about: Record) -> str:
    return "\n".join([_title(about), "", told(root, about.commit), f"image {about.image}@{about.digest}", ""])


def _body(root: Path, about: Record) -> Iterator[str]:
    yield f"Production gets what staging has: {escape(about.name)} {about.version}."
    yield ""
    yield f"- from {code(told(root, about.commit))}"
    yield f"- image {code(f'{about.image}@{about.digest}', LONG)}"
    yield f"- model {code(about.model[:SHORT])}, before it {about.previous or 'nothing'}"
    if about.skipped:
        yield ""
        yield "Commits since the one in production:"
        yield ""
        yield from (f"- {code(told(root, each))}" for each in about.skipped)
    yield ""
    yield "Nothing is built: the image is the one that staging runs. Revert the merge to go back."


def assign(root: Path, name: str) -> str:
    """Let the version that `production/` names be in stage `prod`; returns a sentence.

    Raises `Refused` when production is not what was released as it, `InputError` when production is empty.
    """
    now = _production(root, name)

    def looked_at() -> versions.Deployed:
        nonlocal now
        now = _production(root, name)
        return Version.parse(now.version), now.facts

    try:
        moved = versions.assign(root, name, versions.PRODUCTION, looked_at)
    except origin.Denied:
        return f"{now.version} is in production. {versions.untagged(now.version, 'lockstep promote --record')}"
    return f"{now.version} is in production" + ("" if moved else ", as was recorded before")


def _production(root: Path, name: str) -> Record:
    """What production has by now."""
    seen = origin.look(root, name)
    now = deployment.record(root, seen.deploy, PRODUCTION)
    if now is None:
        raise InputError("nothing is in production: merge the pull request that `lockstep promote` opens")
    _insist_released(root, name, seen, PRODUCTION, now)
    return now


def _insist_released(root: Path, name: str, seen: Seen, environment: str, about: Record) -> None:
    """Raise `Refused` unless the manifests name the image that the record names, and a tag of its version does too."""
    deployment.insist_on_image(root, seen.deploy, environment, about)
    version = Version.parse(about.version)
    if about.name == name and versions.tells(root, name, version, about.facts):
        return
    told = versions.told(root, name, version)
    said = "; ".join(
        f"{tag} says identity {each['identity'][:SHORT]}, {each['digest'][:LEAD]}…" for tag, each in told.items()
    )
    raise Refused(
        f"{environment}/{deployment.RECORD} names {about.name} {about.version} with identity {about.identity[:SHORT]}, "
        f"{about.digest[:LEAD]}…, and {said or f'no release wrote a tag {name}@{version}'}: they are not of one "
        "release. Revert the commit that wrote it"
    )
