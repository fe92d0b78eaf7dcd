"""Which version a release is, and the tags that say so, in the form of GTO: `NAME@v1.2.0`, `NAME#staging#3`.

The remote's tags are the truth. A tag is made here by GTO and pushed at once; whoever comes second with the same
number is told so, and nothing of theirs is left.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import InputError, OutsideError
from lockstep.lock import objects, seal
from lockstep.lock.entries import Entries
from lockstep.release import origin
from lockstep.release.tags import FACTS, Released, Version, listed, model_at, model_of, released, said, staged
from lockstep.report.contract_changes import contract_changes
from lockstep.revision import Revision, git

STAGING, PRODUCTION = "staging", "prod"
"""The stages of GTO that a version is assigned to."""

FIRST = Version(1, 0, 0)
ATTEMPTS = 5
BOT = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A version's number and why it is that; `commit` is what its tag stands on. `known`: the tag was there already."""

    version: Version
    why: str
    commit: str
    known: bool = False


def choose(root: Path, name: str, identity: str, head: Revision, entries: Entries) -> Choice:
    """The version of what `head` releases, as the tags here and the change since the highest version tell.

    An identity that was released keeps its version. Otherwise the first is v1.0.0; then major when callers break,
    minor when model or data are others, else patch. Raises `InputError` when there is a tag that GTO cannot bear.
    """
    insist_clear(root, name, head.sha)
    known = released(root, name)
    for each in reversed(known):
        if said(root, each.tag).get("identity") == identity and model_at(
            Revision(root=root, sha=each.commit)
        ) == model_of(entries):
            return Choice(version=each.version, why="released before", commit=each.commit, known=True)
    for each in known:
        if each.commit == head.sha:
            if git(root, "cat-file", "-t", f"refs/tags/{each.tag}") != "tag":
                raise InputError(
                    f"{each.tag} is a tag without a message, which GTO does not know: `git push {origin.REMOTE} "
                    f"--delete refs/tags/{each.tag}` drops it, and the release makes its own"
                )
            return Choice(version=each.version, why=f"tagged {each.tag} before", commit=head.sha, known=True)
    if not known:
        return Choice(version=FIRST, why="the first one", commit=head.sha)
    version, why = _next(root, known[-1], head, entries)
    return Choice(version=version, why=why, commit=head.sha)


def insist_clear(root: Path, name: str, head: str = "") -> None:
    """Raise `InputError` for tags by hand that keep GTO from making ours, now or of the commit `head`.

    It cannot read one that leads to no commit, and wants one version a commit.
    """
    from gto.tag import parse_name

    ours = {each.tag for each in released(root, name)}
    read = [(tag, parse_name(tag.name, raise_on_fail=False)) for tag in listed(root) if not tag.light]
    versions_of: dict[str, dict[str, str]] = {}
    for tag, about in read:
        if about and not tag.commit:
            raise InputError(f"the tag {tag.name} leads to no commit, which GTO cannot read. {_dropped(tag.name)}")
        if about.get("name") == name and "version" in about:
            versions_of.setdefault(tag.commit, {}).setdefault(about["version"], tag.name)
    for commit, tags in versions_of.items():
        first, *more = sorted(tags.values(), key=lambda tag: not said(root, tag))
        if more:
            raise InputError(
                f"{first} and {more[0]} are tags of one commit, {commit[:7]}, and GTO wants one version a commit. "
                f"{_dropped(more[0])}"
            )
        if commit == head and first not in ours:
            raise InputError(f"{first} is a tag of this commit, which gets a version of its own. {_dropped(first)}")


def _dropped(tag: str) -> str:
    return f"`git tag --delete {tag}` drops it here, `git push {origin.REMOTE} --delete refs/tags/{tag}` there"


def following(root: Path, name: str) -> tuple[Version, ...]:
    """The numbers of which a new version must have one."""
    known = released(root, name)
    if not known:
        return (FIRST,)
    highest = known[-1].version
    return (
        Version(highest.major + 1, 0, 0),
        Version(highest.major, highest.minor + 1, 0),
        Version(highest.major, highest.minor, highest.patch + 1),
    )


def told(root: Path, name: str, version: Version) -> dict[str, dict[str, str]]:
    """Identity, digest and model of a version by the tags that say so: its own first, then its stages', newest first.

    A stage's tag says another digest than the version's where the image was gone, and had to be built again.
    """
    commits = [each.commit for each in released(root, name) if each.version == version]
    stages = reversed(staged(root, name)) if commits else ()
    named = [f"{name}@{version}", *(each.tag for each in stages if each.commit == commits[0])]
    return {tag: facts for tag in named if (facts := said(root, tag))}


def tells(root: Path, name: str, version: Version, about: Mapping[str, str]) -> bool:
    """Does a tag of this version say just this identity, digest and model?"""
    return dict(about) in told(root, name, version).values()


def _next(root: Path, highest: Released, head: Revision, entries: Entries) -> tuple[Version, str]:
    """A number promises something to those who use the highest one, whatever is deployed."""
    before, number = Revision(root=root, sha=highest.commit), highest.version
    earlier = _entries_at(root, highest.commit)
    breaking = [
        change.text
        for change in contract_changes(
            _contract(before), head.values().get("contract") or {},
            (_classes(root, earlier), _classes(root, entries)),
        )
        if change.breaking
    ]  # fmt: skip
    if breaking:
        return Version(number.major + 1, 0, 0), f"callers of {number} break: {breaking[0]}"
    same = model_of(earlier) == model_of(entries)
    if not same or data_of(earlier) != data_of(entries):
        what = "other data" if same else "another model"
        return Version(number.major, number.minor + 1, 0), f"{what} than {number}"
    return Version(number.major, number.minor, number.patch + 1), f"the model of {number} in another service"


def _contract(revision: Revision) -> Any:
    """The contract of a commit; nothing where it cannot be read, which counts as breaking."""
    try:
        return revision.values().get("contract")
    except InputError:
        return None


def _entries_at(root: Path, commit: str) -> Entries:
    """What a commit's lock says; nothing where it cannot be read, so that all counts as changed."""
    try:
        return Revision(root=root, sha=commit).entries()
    except InputError:
        return {}


def data_of(entries: Entries) -> dict[str, str]:
    """What the lock's first stages made, those that read no other's result: the md5 by path."""
    firsts = [entry for name, entry in entries.items() if not seal.upstream(entries, name)]
    return {path: md5 for entry in firsts for path, md5 in entry.outs.items()}


def _classes(root: Path, entries: Entries) -> Collection[str]:
    """The classes that a model has learned, where its contract.json is here."""
    outs = {path: md5 for entry in entries.values() for path, md5 in entry.outs.items()}
    file = objects.find(root, outs.get("model/contract.json", ""))
    if file is None or not objects.holds(file, outs["model/contract.json"]):
        return ()
    content: Any = json.loads(file.read_bytes())
    classes = content.get("classes") if isinstance(content, Mapping) else None
    return [str(each) for each in classes] if isinstance(classes, list) else ()


def register(root: Path, name: str, choice: Choice, about: Mapping[str, str]) -> str:
    """Let the version's tag be at origin; returns its name. `about` is what its message says besides.

    Raises `OutsideError` when somebody else took the number meanwhile, or GitHub does not let this commit be tagged.
    """
    tag = f"{name}@{choice.version}"
    if choice.known:  # the tags here are those of origin
        return tag
    message = _message(f"{name} {choice.version}: {choice.why}", about)
    _gto("register", root, name, ref=choice.commit, version=str(choice.version), message=message)
    ref = f"refs/tags/{tag}"
    try:
        origin.push(root, ref, git(root, "rev-parse", ref), "")
    except origin.Moved as error:
        git(root, "tag", "--delete", tag)
        raise OutsideError(
            f"{choice.version} was taken by another release meanwhile: run again, and this one gets the next number"
        ) from error
    except origin.Denied as error:
        git(root, "tag", "--delete", tag)
        raise OutsideError(
            f"GitHub refuses {tag}: the default branch has moved on from {choice.commit[:7]} with a changed workflow, "
            "and this token may not tag what has another. Nothing was deployed: the run of the newest commit releases "
            "this too"
        ) from error
    return tag


def _message(title: str, about: Mapping[str, str]) -> str:
    lines = "\n".join(f"{key}: {about[key]}" for key in FACTS)
    return f"{' '.join(title.split())}\n\n{lines}\n"


def assigned(root: Path, name: str, stage: str) -> str:
    """The commit whose version is in a stage, as the newest of the stage's tags says; "" for none."""
    newest = [each for each in staged(root, name) if each.stage == stage][-1:]
    return "".join(each.commit for each in newest if not each.left)


Deployed = tuple[Version, Mapping[str, str]]
"""A version, and identity, digest and model of what of it is deployed."""


def assign(root: Path, name: str, stage: str, deployed: Callable[[], Deployed | None]) -> bool:
    """Let the newest tag of a stage say what is deployed, which is looked at anew before and after. Was it not so?

    Nothing is tagged for None. Raises `InputError` when there is no such version, `origin.Denied` when GitHub does not
    let its commit be tagged.
    """
    moved = False
    for _ in range(ATTEMPTS):
        if (now := deployed()) is None:
            return moved
        version, about = now
        commits = [each.commit for each in released(root, name) if each.version == version]
        if not commits:
            raise InputError(f"there is no tag {name}@{version}: `lockstep release` makes it")
        if assigned(root, name, stage) == commits[0] and tells(root, name, version, about):
            return moved
        message = _message(f"{name} {version}: {stage}", about)
        made = _gto("assign", root, name, stage, version=str(version), force=True, message=message)
        ref = f"refs/tags/{made.tag}"
        try:
            origin.push(root, ref, git(root, "rev-parse", ref), "")
        except (origin.Moved, origin.Denied) as error:
            git(root, "tag", "--delete", made.tag)
            if isinstance(error, origin.Denied):
                raise
        else:
            moved = True
    raise OutsideError(f"the tags of stage {stage} change faster than we can follow: run again")


def untagged(version: Version | str, command: str) -> str:
    """What to say when GitHub does not let a version be tagged that is deployed already."""
    return (
        f"GitHub refused the stage's tag, since a workflow has changed since {version} and this token may not tag what "
        f"has another: {version} is deployed all the same, and an App with `workflows: write`, or `{command}` by a "
        "person who may, writes the tag; the next run tries it again"
    )


def _gto(verb: str, root: Path, *arguments: str, **options: Any) -> Any:
    """Call GTO, with a name for the tag's author in a workflow, where git has none."""
    from gto import api
    from gto.exceptions import GTOException

    insist_clear(root, arguments[0])
    author = {"author": BOT[0], "author_email": BOT[1]} if os.environ.get("GITHUB_ACTIONS") == "true" else {}
    try:
        return getattr(api, verb)(git(root, "rev-parse", "--show-toplevel"), *arguments, **options, **author)
    except GTOException as error:
        raise InputError(f"GTO could not {verb} {arguments[0]}: {error}") from None
