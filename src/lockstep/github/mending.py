"""A lock on the default branch that is not true, made true: its stages run here, and one pull request brings that in.

Nothing is ever written to the default branch itself, and no more than what a pull request's run may move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import InputError, Refused
from lockstep.github import pulls
from lockstep.github.api import Api, ApiError, part
from lockstep.github.artifact import MOVED
from lockstep.lock import fresh, reproduce, seal
from lockstep.lock.shortly import shortened
from lockstep.markdown import code, escape
from lockstep.revision import git, resolve

BRANCH = "lockstep/true-lock"
TITLE = "Make the lock true"
JUDGE = "pull-request.yml"
MOST = 20
"""Sentences that a pull request's text holds."""


@dataclass(frozen=True, kw_only=True)
class Mended:
    """What came of it; `url` is the pull request's, "" when nothing moved."""

    sentence: str
    url: str = ""


def mend(root: Path, api: Api, base: str) -> Mended:
    """Run what is not true of HEAD, the commit of branch `base`, and open or update the one pull request with it.

    Raises `InputError` when a stage fails, `Refused` when the run changed what only a person may change.
    """
    untrue = untruths(root)
    try:
        reproduce.reproduce(root)
    except InputError as error:
        raise InputError(f"the lock could not be made true, and no pull request was opened: {error}") from None
    contents = moved(root)
    if not contents:
        return Mended(sentence="nothing moved: the lock is what its stages give")
    commit = _committed(root, api, contents)
    found = pulls.find(api, base, BRANCH.__eq__)
    _point(api, commit, resolve(root, "HEAD").sha)
    body = "\n".join(_body(root, untrue, contents))
    pull = pulls.put(api, found, branch=BRANCH, base=base, title=TITLE, body=body)
    # What a workflow opens starts no run of its own.
    api.post(f"actions/workflows/{JUDGE}/dispatches", {"ref": BRANCH, "inputs": {"number": str(pull["number"])}})
    return Mended(sentence=f"{TITLE}: {pull['html_url']}. Merging it lets the release go on", url=pull["html_url"])


def untruths(root: Path) -> list[str]:
    """Sentences: what lock and seal say that is not so, before anything runs."""
    try:
        entries = fresh.read_lock(root)
        return [*fresh.stale(root), *seal.differences(entries, seal.read(root))]
    except InputError as error:
        return [str(error)]


def moved(root: Path) -> dict[str, bytes | None]:
    """What the run wrote of what git keeps, by path; None for what is gone.

    Raises `Refused` when it is more than a run may move.
    """
    listed = git(root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all").split("\0")
    changed = {line[3:] for line in listed if line}
    if foreign := sorted(path for path in changed if not MOVED.fullmatch(path)):
        raise Refused(
            f"running the stages changed {shortened(foreign)}, which only a person may change: `make repro` on your "
            "machine, and a pull request with what it gives"
        )
    return {path: (root / path).read_bytes() if (root / path).exists() else None for path in sorted(changed)}


def _committed(root: Path, api: Api, contents: dict[str, bytes | None]) -> str:
    """One commit on HEAD with these files, made by GitHub; nothing points to it yet."""
    head = resolve(root, "HEAD").sha
    base = api.get(f"git/commits/{head}")["tree"]["sha"]
    tree = api.post("git/trees", {"base_tree": base, "tree": [*_entries(contents)]})["sha"]
    there = api.find(f"git/ref/heads/{part(BRANCH)}")
    if there and _is_made(api, there["object"]["sha"], head, tree):
        return str(there["object"]["sha"])
    said = f"{TITLE}\n\nWhat its stages give at {head}."
    return str(api.post("git/commits", {"message": said, "tree": tree, "parents": [head]})["sha"])


def _entries(contents: dict[str, bytes | None]) -> Iterator[dict[str, Any]]:
    for path, content in contents.items():
        about = {"sha": None} if content is None else {"content": content.decode("utf-8")}
        yield {"path": path, "mode": "100644", "type": "blob", **about}


def _is_made(api: Api, commit: str, head: str, tree: str) -> bool:
    found = api.get(f"git/commits/{commit}")
    return [each["sha"] for each in found["parents"]] == [head] and found["tree"]["sha"] == tree


def _point(api: Api, commit: str, head: str) -> None:
    """Let our branch be at the commit. An open pull request of it stays open: its branch never equals its base."""
    ref = f"heads/{part(BRANCH)}"
    try:
        api.patch(f"git/refs/{ref}", {"sha": commit, "force": True})
    except ApiError as error:
        if error.status not in (404, 422):
            raise
        api.post("git/refs", {"ref": f"refs/heads/{BRANCH}", "sha": commit})


def _body(root: Path, untrue: Sequence[str], contents: dict[str, bytes | None]) -> Iterator[str]:
    head = resolve(root, "HEAD")
    yield f"At {head.sha} the lock is not what its stages give, so nothing was released from there."
    yield ""
    yield from (f"- {escape(sentence, 400)}" for sentence in untrue[:MOST])
    if len(untrue) > MOST:
        yield f"- and {len(untrue) - MOST} more"
    yield ""
    yield f"The stages ran again on that commit. This brings what they gave: {', '.join(map(code, contents))}."
    yield "It is judged like any other pull request."
