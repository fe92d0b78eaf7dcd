"""Which versions were released, as git's tags say: `flight-delays@v1.2.0`, in the form of GTO."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from pathlib import Path

from lockstep.errors import InputError
from lockstep.lock.entries import Entries
from lockstep.revision import Revision, git
from lockstep.serving.fingerprint import SERVED, fingerprint

_TAG = re.compile(r"(?P<name>[a-z][a-z0-9-]*)@v(?P<number>(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*))")


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
        match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text)
        if not match:
            raise InputError(f"`{text}` is not a version, such as v1.2.0")
        return cls(*map(int, match.groups()))

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


def released(root: Path, name: str) -> list[Released]:
    """The released versions of a project, oldest number first. Other tags are passed over."""
    listed = git(root, "for-each-ref", "--format=%(refname:strip=2)%09%(objectname)%09%(*objectname)", "refs/tags")
    found = []
    for line in listed.splitlines():
        tag, own, peeled = line.split("\t")
        match = _TAG.fullmatch(tag)
        if match and match["name"] == name:
            found.append(Released(version=Version.parse(match["number"]), tag=tag, commit=peeled or own))
    return sorted(found, key=lambda each: each.version)


def model_of(entries: Entries) -> str | None:
    """The fingerprint of the model that a lock names; None where it names none."""
    outs = {path: md5 for entry in entries.values() for path, md5 in entry.outs.items()}
    md5s = {name: outs.get(f"model/{name}", "") for name in SERVED}
    return fingerprint(md5s) if all(md5s.values()) else None


def bearing(root: Path, name: str, model: str) -> Released | None:
    """The newest released version whose lock names this model (a fingerprint); None when there is none."""
    for each in reversed(released(root, name)):
        try:
            entries = Revision(root=root, sha=each.commit).entries()
        except InputError:  # a tag on a commit whose lock cannot be read stands for no model
            continue
        if model_of(entries) == model:
            return each
    return None
