"""A lock on the default branch that is not true, made true: its stages run in one job, and one pull request brings that
in, opened by another.

Nothing is ever written to the default branch itself, and no more than what a pull request's run may move.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import InputError
from lockstep.github import packing, pulls, runs
from lockstep.github.api import Api, ApiError, part
from lockstep.github.artifact import Manifest
from lockstep.lock import fresh, reproduce, seal
from lockstep.markdown import code, escape
from lockstep.revision import resolve

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


def remake(root: Path) -> Manifest:
    """Run what is not true of HEAD, and leave what moved in `artifact/`: where code of the pipeline runs, nothing may
    write to the repository.

    Raises `InputError` when a stage fails, `Refused` when the run changed what only a person may change.
    """
    try:
        reproduce.reproduce(root)
    except InputError as error:
        raise InputError(f"the lock could not be made true, and no pull request is opened: {error}") from None
    return packing.pack_moved(root)


def mend(root: Path, api: Api, base: str, run: int) -> Mended:
    """Open or update the one pull request with what `remake` left in this run, for HEAD, the commit of branch `base`.

    Runs no stage, and takes what it reads for data that anybody may have made. Raises `Poisoned` when it is not what
    `remake` leaves.
    """
    manifest, moved = runs.moved(api, run, resolve(root, "HEAD").sha)
    contents = dict.fromkeys(manifest.removed) | dict(moved)
    if not contents:
        return Mended(sentence="nothing moved: the lock is what its stages give")
    commit = _committed(root, api, contents)
    found = pulls.find(api, base, BRANCH.__eq__)
    _point(api, commit, resolve(root, "HEAD").sha)
    body = "\n".join(_body(root, untruths(root), contents))
    pull = pulls.put(api, found, branch=BRANCH, base=base, title=TITLE, body=body)
    # What a workflow opens starts no run of its own.
    api.post(f"actions/workflows/{JUDGE}/dispatches", {"ref": BRANCH, "inputs": {"number": str(pull["number"])}})
    return Mended(sentence=f"{TITLE}: {pull['html_url']}. Merging it lets the release go on", url=pull["html_url"])


def untruths(root: Path) -> list[str]:
    """Sentences: what lock and seal say that is not so, where nothing has run."""
    try:
        entries = fresh.read_lock(root)
        return [*fresh.stale(root), *seal.differences(entries, seal.read(root))]
    except InputError as error:
        return [str(error)]


def _committed(root: Path, api: Api, contents: Mapping[str, bytes | None]) -> str:
    """One commit on HEAD with these files, made by GitHub; nothing points to it yet."""
    head = resolve(root, "HEAD").sha
    base = api.get(f"git/commits/{head}")["tree"]["sha"]
    tree = api.post("git/trees", {"base_tree": base, "tree": [*_entries(contents)]})["sha"]
    there = api.find(f"git/ref/heads/{part(BRANCH)}")
    if there and _is_made(api, _ours(api, there["object"]["sha"]), head, tree):
        return str(there["object"]["sha"])
    said = f"{TITLE}\n\nWhat its stages give at {head}."
    return str(api.post("git/commits", {"message": said, "tree": tree, "parents": [head]})["sha"])


def _entries(contents: Mapping[str, bytes | None]) -> Iterator[dict[str, Any]]:
    for path, content in contents.items():
        about = {"sha": None} if content is None else {"content": content.decode("utf-8")}
        yield {"path": path, "mode": "100644", "type": "blob", **about}


def _ours(api: Api, commit: str) -> dict[str, Any]:
    """What our branch is at. Raises `InputError` when somebody has put commits there, which would be lost."""
    found: dict[str, Any] = api.get(f"git/commits/{commit}")
    if not found["message"].startswith(f"{TITLE}\n") or len(found["parents"]) != 1:
        raise InputError(
            f"the branch `{BRANCH}` is at {commit[:7]}, which nobody but a person can have made. Merge its pull "
            "request, or delete the branch; then run again"
        )
    return found


def _is_made(api: Api, found: dict[str, Any], head: str, tree: str) -> bool:
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


def _body(root: Path, untrue: Sequence[str], contents: Mapping[str, bytes | None]) -> Iterator[str]:
    head = resolve(root, "HEAD")
    yield f"At {head.sha} the lock is not what its stages give, so nothing was released from there."
    yield ""
    yield from (f"- {escape(sentence, 400)}" for sentence in untrue[:MOST])
    if len(untrue) > MOST:
        yield f"- and {len(untrue) - MOST} more"
    yield ""
    yield f"The stages ran again on that commit. This brings what they gave: {', '.join(map(code, contents))}."
    yield "It is judged like any other pull request."
