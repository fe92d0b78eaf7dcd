"""Which versions were released, as git's tags say: `flight-delays@v1.2.0`, in the form of GTO."""

from __future__ import annotations

import re
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
