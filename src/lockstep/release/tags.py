"""Which versions were released, as git's tags say: `flight-delays@v1.2.0`, in the form of GTO."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import total_ordering
from pathlib import Path

from lockstep.errors import InputError
from lockstep.lock.entries import Entries
from lockstep.revision import Revision, git, git_bytes
from lockstep.serving.fingerprint import SERVED, fingerprint

FACTS = {"identity": r"[0-9a-f]{64}", "digest": r"sha256:[0-9a-f]{64}", "model": r"[0-9a-f]{64}"}
"""What a release writes into its tags besides, a line each, and the form of it."""

_FACT = re.compile(rf"^(?P<key>{'|'.join(FACTS)}): (?P<value>.*)$", re.MULTILINE)
_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
VERSION = rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
"""A version's number. One with a date in it, or with `-rc.1`, is none of ours."""

NAME = r"[a-z][a-z0-9-]*"
_TAG = re.compile(rf"(?P<name>{NAME})@(?P<version>{VERSION})")
_STAGE = re.compile(rf"(?P<name>{NAME})#(?P<stage>[a-z]+)(?P<left>!?)#(?P<number>[0-9]{{1,9}})")


@total_ordering
@dataclass(frozen=True)
class Version:
    """Three numbers: what breaks callers, what predicts otherwise, everything else.

    >>> str(Version.parse("v1.10.0")), Version(1, 10, 0) > Version(1, 9, 3)
    ('v1.10.0', True)
    """

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        """From `v1.2.0` or `1.2.0`. Raises `InputError` for anything else."""
        number = text.removeprefix("v")
        if not re.fullmatch(VERSION, f"v{number}"):
            raise InputError(f"`{text}` is not a version, such as v1.2.0")
        return cls(*map(int, number.split(".")))

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"

    def __lt__(self, other: Version) -> bool:
        return (self.major, self.minor, self.patch) < (other.major, other.minor, other.patch)


@dataclass(frozen=True, kw_only=True)
class Released:
    """A version, the tag that says so, and the commit that it was released from."""

    version: Version
    tag: str
    commit: str


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A tag of git. `commit` is "" where it leads to none; a `light` one has no message."""

    name: str
    commit: str
    light: bool


def listed(root: Path) -> Iterator[Tag]:
    """All tags that are here, by name."""
    form = "%09".join(f"%({each})" for each in ("refname:strip=2", "objecttype", "objectname", "*objecttype"))
    for line in git(root, "for-each-ref", f"--format={form}%09%(*objectname)", "refs/tags").splitlines():
        name, kind, own, inner, peeled = line.split("\t")
        commit = (peeled or own) if (inner or kind) == "commit" else ""
        if inner == "tag":  # git before 2.45 opens one of two
            path = f"refs/tags/{name}^{{commit}}"
            commit = git_bytes(root, "rev-parse", "--verify", "--quiet", path).stdout.decode().strip()
        yield Tag(name=name, commit=commit, light=kind != "tag")


def released(root: Path, name: str) -> list[Released]:
    """The released versions of a project, oldest number first. Other tags are passed over."""
    found = []
    for tag in listed(root):
        match = _TAG.fullmatch(tag.name)
        if match and match["name"] == name and tag.commit:
            found.append(Released(version=Version.parse(match["version"]), tag=tag.name, commit=tag.commit))
    return sorted(found, key=lambda each: each.version)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A tag that puts the version of a commit into a stage, or takes it away (`left`). The highest number counts."""

    number: int
    tag: str
    stage: str
    commit: str
    left: bool


def staged(root: Path, name: str) -> list[Staged]:
    """A project's tags of stages, oldest first. Other tags are passed over."""
    found = []
    for tag in listed(root):
        match = _STAGE.fullmatch(tag.name)
        if match and match["name"] == name and tag.commit:
            left, number = bool(match["left"]), int(match["number"])
            found.append(Staged(number=number, tag=tag.name, stage=match["stage"], commit=tag.commit, left=left))
    return sorted(found, key=lambda each: each.number)


def is_of_a_release(name: str) -> bool:
    """Has a tag's name the form that a release gives to its own?"""
    return bool(_TAG.fullmatch(name) or _STAGE.fullmatch(name))


def facts(message: str) -> dict[str, str]:
    """Identity, digest and model of a tag's message; empty unless it says each once, as a release writes it.

    >>> facts("toy v1.0.0: the first one\\n\\nidentity: 1\\n")
    {}
    """
    found = [(each["key"], each["value"]) for each in _FACT.finditer(message)]
    whole = sorted(key for key, _ in found) == sorted(FACTS)
    return dict(found) if whole and all(re.fullmatch(FACTS[key], value) for key, value in found) else {}


def said(root: Path, tag: str) -> dict[str, str]:
    """What a release wrote into a tag; empty for any other, and for one that is no annotated tag of this name."""
    found = git_bytes(root, "cat-file", "tag", f"refs/tags/{tag}")
    head, _, message = found.stdout.decode(errors="replace").partition("\n\n")
    return facts(message) if found.returncode == 0 and f"tag {tag}" in head.splitlines() else {}


def model_of(entries: Entries) -> str | None:
    """The fingerprint of the model that a lock names; None where it names none."""
    outs = {path: md5 for entry in entries.values() for path, md5 in entry.outs.items()}
    md5s = {name: outs.get(f"model/{name}", "") for name in SERVED}
    return fingerprint(md5s) if all(md5s.values()) else None


def model_at(revision: Revision) -> str | None:
    """The fingerprint of the model that a commit's lock names; None where it names none, or cannot be read."""
    try:
        return model_of(revision.entries())
    except InputError:
        return None
