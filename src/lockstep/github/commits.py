"""One commit on a pull request's branch: the lock, its seal and the reports, exactly as they were evaluated."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from lockstep.errors import InputError, OutsideError
from lockstep.github.api import Api, part
from lockstep.github.artifact import Bundle
from lockstep.github.runs import Pull

MUTATION = """\
mutation ($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) { commit { oid tree { oid } } }
}
"""


class Moved(InputError):
    """The branch has moved on since it was evaluated."""


class OtherTree(InputError):
    """What was evaluated is not the head and the files that may move."""


def insist(api: Api, bundle: Bundle) -> None:
    """Raise `OtherTree` unless the head's tree with the moved files is the tree that was evaluated.

    GitHub builds that tree first; until then nothing has been committed.
    """
    head = api.get(f"git/commits/{bundle.manifest.head}")["tree"]["sha"]
    changes = [*_entries(bundle)]
    built = api.post("git/trees", {"base_tree": head, "tree": changes})["sha"] if changes else head
    if built != bundle.manifest.tree:
        raise OtherTree(
            f"What was evaluated (tree {bundle.manifest.tree[:7]}) is not this branch's head with its moved files "
            f"(tree {built[:7]})."
        )


def _entries(bundle: Bundle) -> Iterator[dict[str, Any]]:
    for path, content in sorted(bundle.moved.items()):
        yield {"path": path, "mode": "100644", "type": "blob", "content": content.decode("utf-8")}
    for path in sorted(bundle.manifest.removed):
        yield {"path": path, "mode": "100644", "type": "blob", "sha": None}


def commit(api: Api, pull: Pull, bundle: Bundle, message: tuple[str, str]) -> str:
    """Commit the moved files on the pull request's branch, in this repository; returns the commit's hash.

    Raises `Moved` when its head is no longer the one that was evaluated, `OtherTree` as `insist` does, `ValueError`
    for a fork's branch.
    """
    if not pull.is_of(api.repository):
        raise ValueError("a fork's branch is not ours to commit on")
    try:
        made = api.graphql(MUTATION, {"input": _input(api, pull, bundle, message)})["createCommitOnBranch"]["commit"]
    except OutsideError as error:
        now = head(api, pull)
        if now and now != bundle.manifest.head:
            raise Moved(f"`{pull.branch}` has moved on since it was evaluated") from error
        raise
    if made["tree"]["oid"] != bundle.manifest.tree:
        raise OtherTree(f"the commit {made['oid'][:7]} does not hold the tree that was evaluated")
    return str(made["oid"])


def _input(api: Api, pull: Pull, bundle: Bundle, message: tuple[str, str]) -> dict[str, Any]:
    additions = [
        {"path": path, "contents": base64.b64encode(content).decode()} for path, content in sorted(bundle.moved.items())
    ]
    return {
        "branch": {"repositoryNameWithOwner": api.repository, "branchName": pull.branch},
        "message": {"headline": message[0], "body": message[1]},
        "fileChanges": {
            "additions": additions,
            "deletions": [{"path": path} for path in sorted(bundle.manifest.removed)],
        },
        "expectedHeadOid": bundle.manifest.head,
    }


def is_made_of(api: Api, sha: str, bundle: Bundle) -> bool:
    """Is a commit the evaluated head with its moved files and nothing else, whoever made it?"""
    found = api.get(f"git/commits/{sha}")
    parents = [parent["sha"] for parent in found["parents"]]
    return parents == [bundle.manifest.head] and found["tree"]["sha"] == bundle.manifest.tree


def head(api: Api, pull: Pull) -> str:
    """The commit that the pull request's branch, in this repository, is at now; "" when there is no such branch."""
    found = api.find(f"git/ref/heads/{part(pull.branch)}")
    return str(found["object"]["sha"]) if found else ""
