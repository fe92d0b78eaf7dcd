"""From what runs to where it comes from: image, version, commit, lock, data; and whether all of that fits together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from lockstep.errors import InputError
from lockstep.lock.entries import FILE, Entries
from lockstep.release import kept, versions
from lockstep.release.claims import FIELDS, Claim, hear
from lockstep.release.kept import Kept
from lockstep.release.tags import model_at, model_of, released
from lockstep.release.versions import data_of
from lockstep.revision import Revision, git, git_bytes
from lockstep.serving.fingerprint import SHORT

AGREED = ("name", "digest", "version", "identity", "model")
"""What all sources must say alike. A later commit may reuse an image, so commits and locks are looked at one by one."""

_HASH = re.compile(r"[0-9a-f]{7,64}")
SHORTENED = 7
"""Digits of a hash at least, when one is compared that is written shorter."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """The commit, as this clone has it. `lock` says whether its dvc.lock has the hash that is told; None: none is."""

    sha: str
    subject: str
    date: str
    lock: bool | None


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """What is said, by whom first; `commit` is None where it is not here, `objects` where nothing is known of them."""

    told: Mapping[str, str]
    data: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    commit: Commit | None = None
    objects: Kept | None = None
    contradictions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def trace(root: Path, asked: str, *, project: str, address: str = "") -> Lineage:
    """Follow a reference. Raises what `hear` raises."""
    heard = hear(root, asked, project=project, address=address)
    told = {name: next((value for each in heard.claims if (value := getattr(each, name))), "") for name in FIELDS}
    notes, wrong = [*heard.notes], [*_disagreements(heard.claims)]
    here = [claim for claim in heard.claims if claim.commit and _is_here(root, claim.commit)]
    for claim in here:
        wrong += _untrue(root, claim)
    away = dict.fromkeys(claim.commit for claim in heard.claims if claim.commit and claim not in here)
    notes += [f"commit {sha[:7]} is not in this clone: `git fetch` brings what the remote has" for sha in away]
    wrong += _tags(root, told)
    first = next(iter(here), None)
    data = next((claim.data for claim in heard.claims if claim.data), {})
    return Lineage(
        told=told,
        data=_slashed(root, first, data) if first else data,
        sources=tuple(claim.source for claim in heard.claims),
        commit=_commit(root, first) if first else None,
        objects=_objects(root, first, notes) if first else None,
        contradictions=tuple(dict.fromkeys(wrong)),
        notes=tuple(notes),
    )


def _disagreements(claims: tuple[Claim, ...]) -> Iterator[str]:
    for name in AGREED:
        saying = [claim for claim in claims if getattr(claim, name)]
        for one, other in pairwise(saying):
            if not _same(getattr(one, name), getattr(other, name)):
                yield (
                    f"{name}: {one.source} says {_shown(getattr(one, name))}, "
                    f"{other.source} says {_shown(getattr(other, name))}"
                )


def _same(one: str, other: str) -> bool:
    """Equal, or one is the beginning of the other, as short hashes are."""
    short, long = sorted((one, other), key=len)
    return one == other or (len(short) >= SHORTENED and long.startswith(short) and _HASH.fullmatch(short) is not None)


def _shown(value: str) -> str:
    return value if len(value) <= 20 else f"{value[: SHORT + 7]}…"


def _is_here(root: Path, commit: str) -> bool:
    # What others wrote must not be taken for an option, nor for a branch.
    named = _HASH.fullmatch(commit) is not None
    return named and git_bytes(root, "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def _untrue(root: Path, claim: Claim) -> Iterator[str]:
    """What a source says of a commit, and the commit does not hold."""
    revision = Revision(root=root, sha=claim.commit)
    content = revision.read(FILE)
    if content is None:
        yield f"{claim.source} says commit {revision.short}, which has no {FILE}"
        return
    held = hashlib.sha256(content).hexdigest()
    if claim.lock and not _same(claim.lock, held):
        yield f"lock: {claim.source} says {_shown(claim.lock)}, and {FILE} of commit {revision.short} is {_shown(held)}"
    try:
        entries = revision.entries()
    except InputError as error:
        yield str(error)
        return
    model = model_of(entries)
    if claim.model and not (model and _same(claim.model, model)):
        said = _shown(model) if model else "none"
        yield f"model: {claim.source} says {_shown(claim.model)}, and {FILE} of commit {revision.short} names {said}"
    outs = _dotted(entries)
    for path, md5 in claim.data.items():
        if outs.get(path) != md5:
            said = outs.get(path) or "no such output"
            yield f"data: {claim.source} says {path} is {md5}, and {FILE} of commit {revision.short} says {said}"


def _dotted(entries: Entries) -> dict[str, str]:
    """The md5 of every output, by its path as labels write it."""
    return {path.replace("/", "."): md5 for entry in entries.values() for path, md5 in entry.outs.items()}


def _tags(root: Path, told: Mapping[str, str]) -> Iterator[str]:
    """A version's tag must be on a commit with the same model, and its tags must say this image."""
    for each in released(root, told["name"]) if told["name"] and told["model"] else ():
        if str(each.version) != told["version"]:
            continue
        yield from _unsaid(versions.told(root, told["name"], each.version), told)
        model = model_at(Revision(root=root, sha=each.commit))
        if not (model and _same(told["model"], model)):
            said = _shown(model) if model else "none"
            yield f"model: {_shown(told['model'])} is called {each.version}, and {each.tag} is on a commit with {said}"


def _unsaid(said: Mapping[str, Mapping[str, str]], told: Mapping[str, str]) -> Iterator[str]:
    """What is told of the image, and no tag of its version says."""
    if not said:
        return
    for name in ("identity", "digest"):
        if told[name] and all(each[name] != told[name] for each in said.values()):
            tag, facts = next(iter(said.items()))
            yield f"{name}: {_shown(told[name])} is called {told['version']}, and {tag} says {_shown(facts[name])}"


def _slashed(root: Path, claim: Claim, told: Mapping[str, str]) -> Mapping[str, str]:
    """The data that is told by its paths as the lock has them; what the lock says where nothing is told."""
    try:
        entries = Revision(root=root, sha=claim.commit).entries()
    except InputError:
        return told
    names = {path.replace("/", "."): path for entry in entries.values() for path in entry.outs}
    return {names.get(path, path): md5 for path, md5 in told.items()} or data_of(entries)


def _commit(root: Path, claim: Claim) -> Commit:
    subject, date = git(root, "show", "--no-patch", "--format=%s%x00%cs", claim.commit).split("\0")
    content = Revision(root=root, sha=claim.commit).read(FILE) or b""
    right = _same(claim.lock, hashlib.sha256(content).hexdigest()) if claim.lock else None
    return Commit(sha=git(root, "rev-parse", claim.commit), subject=subject, date=date, lock=right)


def _objects(root: Path, claim: Claim, notes: list[str]) -> Kept | None:
    try:
        found = kept.look(root, Revision(root=root, sha=claim.commit))
    except InputError as error:
        notes.append(str(error))
        return None
    if found.trouble:
        notes.append(f"the remotes were not asked: {found.trouble}")
    return found
