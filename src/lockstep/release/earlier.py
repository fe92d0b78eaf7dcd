"""An earlier release, brought back: which tree a rollback has, and whether a tree is one.

Both sides ask here: the report in its clone, and who answers it through GitHub's API.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from lockstep.errors import InputError
from lockstep.lock.entries import FILE
from lockstep.release.tags import Released, model_at, released, said
from lockstep.revision import Revision, evaluated_tree, git, git_bytes
from lockstep.serving.fingerprint import of_folder

MODEL = "model"

TODAYS = (".dvc", ".github", "deploy")
"""What a rollback leaves as it is today: where objects are, how changes are judged, and where the service runs."""

Top = Mapping[str, str]
"""The top of a tree: mode and hash of each file and folder, by name."""


def differing(tree: Top, earlier: Top, today: Top) -> list[str]:
    """Names at the top of a tree by which it is not a rollback's: neither as released nor, where that may be, today's.

    Documentation may differ.

    >>> differing({"src": "2", "deploy": "2", "docs": "3"}, {"src": "1", "deploy": "1"}, {"src": "2", "deploy": "2"})
    ['src']
    """
    names = sorted({*tree, *earlier, *(name for name in TODAYS if name in today)})
    return [name for name in names if not _may_differ(name) and tree.get(name) not in _allowed(name, earlier, today)]


def _may_differ(name: str) -> bool:
    return name == "docs" or name.endswith(".md")


def _allowed(name: str, earlier: Top, today: Top) -> set[str | None]:
    return {earlier.get(name), today.get(name)} if name in TODAYS else {earlier.get(name)}


def top(root: Path, tree: str) -> dict[str, str]:
    """The top of a commit's or a tree's tree, in this repository."""
    return dict(_listed(root, tree))


def _listed(root: Path, tree: str) -> Iterator[tuple[str, str]]:
    found = git_bytes(root, "ls-tree", "--full-tree", "-z", tree)
    if found.returncode:
        raise InputError(f"git has no tree of {tree[:12]}: {found.stderr.decode(errors='replace').strip()}")
    for line in found.stdout.decode(errors="surrogateescape").split("\0"):
        about, _, name = line.partition("\t")
        if name:
            yield name, about


def tree_of(root: Path, earlier: str, today: str) -> str:
    """Write the tree of a rollback from one commit to another and return its hash; work tree and index stay."""
    kept = [(name, about) for name, about in _listed(root, today) if name in TODAYS]
    entries = [*((name, about) for name, about in _listed(root, earlier) if name not in TODAYS), *kept]
    text = "".join(f"{about}\t{name}\0" for name, about in entries)
    made = git_bytes(root, "mktree", "-z", content=text.encode(errors="surrogateescape"))
    if made.returncode:
        raise InputError(f"git could not write a tree: {made.stderr.decode(errors='replace').strip()}")
    return made.stdout.decode().strip()


def brought_back(root: Path, name: str, base: Revision | None) -> Released | None:
    """The release of project `name` that the work tree brings back, with model and code, or None.

    Its tag must be one that a release wrote, for the model of its commit; the commit must be on the base's first-parent
    line, so that the default branch was what it holds; and the base must be something else.
    """
    candidates = _same_lock(root, released(root, name)) if base else []
    if base is None or not candidates:
        return None
    model = model_at(Revision(root=root, sha=candidates[0].commit))
    if model is None or model != _model_here(root):
        return None
    tree, today = top(root, evaluated_tree(root)), top(root, base.sha)
    line = first_parents(root, base.sha)
    for each in reversed(candidates):
        earlier = top(root, each.commit)
        if may_return(root, each, line) and not differing(tree, earlier, today) and differing(today, earlier, today):
            return each
    return None


def may_return(root: Path, release: Released, line: Collection[str]) -> bool:
    """Would a report call the way back to a release a rollback? `line` is what the default branch was."""
    return release.commit in line and is_genuine(root, release)


def is_genuine(root: Path, release: Released) -> bool:
    """Is a version's tag as a release writes it, with the model that its commit's lock names?"""
    model = said(root, release.tag).get("model")
    return model is not None and model == model_at(Revision(root=root, sha=release.commit))


def first_parents(root: Path, commit: str) -> set[str]:
    """What a branch was, one commit after the other: without what came in by merges."""
    return set(git(root, "rev-list", "--first-parent", "--end-of-options", commit).split())


def _same_lock(root: Path, releases: Sequence[Released]) -> list[Released]:
    """Those with the work tree's dvc.lock, byte for byte: one question to git, however many releases there are."""
    if not releases or not (root / FILE).is_file():
        return []
    here = git(root, "hash-object", FILE)
    asked = "".join(f"{each.commit}:./{FILE}\n" for each in releases)
    found = git_bytes(root, "cat-file", "--batch-check=%(objectname)", content=asked.encode()).stdout.decode()
    return [each for each, line in zip(releases, found.splitlines(), strict=True) if line == here]


def is_ancestor(root: Path, one: str, other: str) -> bool:
    """Is commit `one` the same as `other`, or before it? No for a commit that is not here."""
    return git_bytes(root, "merge-base", "--is-ancestor", "--end-of-options", one, other).returncode == 0


def _model_here(root: Path) -> str | None:
    try:
        return of_folder(root / MODEL)
    except FileNotFoundError:
        return None
