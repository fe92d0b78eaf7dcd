"""The branch `deploy`: one folder an environment, made with git's plumbing. Work tree, index and main stay as they are.

`staging/` and `production/` are each a whole copy of a released commit's `deploy/`, the image's digest written into
its base, and `release.json`, which says what that is. Flux or Argo CD follow `<environment>/overlays/<environment>`.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lockstep.errors import InputError, Refused
from lockstep.release import manifests, origin, registry
from lockstep.release.tags import FACTS, NAME, VERSION
from lockstep.release.versions import BOT
from lockstep.revision import git_bytes

STAGING, PRODUCTION = "staging", "production"
FOLDER, RECORD = "deploy", "release.json"

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
FORMS: Mapping[str, re.Pattern[str]] = {name: re.compile(form) for name, form in FACTS.items()} | {
    "name": re.compile(NAME), "version": re.compile(VERSION), "previous": re.compile(f"({VERSION})?"),
    "image": re.compile(r"[^\s@]+"), "commit": _COMMIT, "lock": re.compile(r"[0-9a-f]{64}"),
}  # fmt: skip
"""What each field of the record must look like, when it is written and when it is read: whoever may push writes it."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """release.json. `image` is the address without digest; `model`, `identity` and `lock` are SHA-256 in hex;
    `skipped` are commits that had no release of their own, `previous` is the version that was there before.
    """

    name: str
    version: str
    identity: str
    digest: str
    image: str
    model: str
    commit: str
    lock: str
    skipped: tuple[str, ...] = ()
    previous: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """What the tags of its version must say."""
        return {key: getattr(self, key) for key in FACTS}

    def text(self) -> bytes:
        """The file's content. Raises `InputError` for what could not be read again."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        try:
            _record(json.loads(text))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{RECORD} of {self.name} {self.version} would not be readable: {error}. Nothing was written"
            ) from None
        return text.encode()


def record(root: Path, tip: str, environment: str) -> Record | None:
    """What an environment says of itself at a commit of the branch; None without one, or without a branch (`tip` "").

    Raises `InputError` when it cannot be read.
    """
    found = git_bytes(root, "cat-file", "blob", f"{tip}:{environment}/{RECORD}") if tip else None
    if found is None or found.returncode:
        return None
    try:
        return _record(json.loads(found.stdout))
    except (ValueError, TypeError, KeyError, RecursionError, InputError) as error:
        raise InputError(
            f"{environment}/{RECORD} of branch `{origin.DEPLOY}` cannot be read: {error}. Mend it there, or revert the "
            "commit that broke it"
        ) from None


def had(root: Path, tip: str, digest: str) -> bool:
    """Has the branch ever recorded an image with this digest, up to a commit of it ("" for none)?"""
    if not tip:
        return False
    paths = [f"{environment}/{RECORD}" for environment in (STAGING, PRODUCTION)]
    found = git_bytes(root, "log", "-1", "--format=%H", f"-S{digest}", "--end-of-options", tip, "--", *paths)
    return bool(found.stdout.strip())


def _record(content: Any) -> Record:
    if not isinstance(content, dict):
        raise TypeError("it is no mapping")
    values = {each.name: content[each.name] for each in fields(Record) if each.name != "skipped"}
    if wrong := [
        name for name, value in values.items() if not (isinstance(value, str) and FORMS[name].fullmatch(value))
    ]:
        raise ValueError(f"`{wrong[0]}` is not what a release writes there")
    skipped = content["skipped"]
    if not (isinstance(skipped, list) and all(isinstance(each, str) and _COMMIT.fullmatch(each) for each in skipped)):
        raise ValueError("`skipped` is no list of commits")
    registry.check(values["image"])
    return Record(**values, skipped=tuple(skipped))


def tree(root: Path, commit: str, about: Record) -> str:
    """Write an environment's tree, a commit's `deploy/` for what `about` says, and return its hash.

    Raises `InputError` when the commit has no such folder, `Refused` when what comes out is not fit to be deployed.
    """
    with _index(root) as index:
        if origin.run(root, "read-tree", f"{commit}:./{FOLDER}", environ=index).returncode:
            raise InputError(f"{commit[:7]} has no folder {FOLDER}/: a release writes it to the branch `deploy`")
        path = f"{commit}:./{FOLDER}/{manifests.KUSTOMIZATION}"
        text = git_bytes(root, "cat-file", "blob", path).stdout.decode(errors="replace")
        base = manifests.set_image(text, new_name=about.image, digest=about.digest)
        _put(root, index, manifests.KUSTOMIZATION, base.encode())
        _insist_fit(root, index)
        _put(root, index, RECORD, about.text())
        return _said(root, "write-tree", environ=index)


def insist_on_image(root: Path, tip: str, environment: str, about: Record) -> None:
    """Raise `Refused` unless an environment's manifests name the image that the record names."""
    path = f"{tip}:{environment}/{manifests.KUSTOMIZATION}"
    named = manifests.image_of(git_bytes(root, "cat-file", "blob", path).stdout.decode(errors="replace"))
    if named != (about.image, about.digest):
        raise Refused(
            f"{environment}/{manifests.KUSTOMIZATION} on `{origin.DEPLOY}` names {'@'.join(named)}, and "
            f"{environment}/{RECORD} {about.image}@{about.digest}: the image that runs is not the one that was "
            "released. Revert the commit that wrote it"
        )


def _insist_fit(root: Path, index: dict[str, str], folder: str = f"{FOLDER}/") -> None:
    with tempfile.TemporaryDirectory(prefix="lockstep-") as scratch:
        # Attributes and filters of the work tree do not apply: what is looked at is what is committed.
        _said(root, "--work-tree", scratch, "checkout-index", "--all", "--force", environ=index)
        if found := manifests.problems(Path(scratch)):
            raise Refused(f"{folder} is not fit to be deployed: {'; '.join(found[:5])}")


def copied(root: Path, tip: str, environment: str, about: Record) -> str:
    """Write the tree of an environment of the branch with another record, and return its hash.

    Raises `Refused` when it is not fit to be deployed, or is not what the record says.
    """
    with _index(root) as index:
        _said(root, "read-tree", f"{tip}:{environment}", environ=index)
        _insist_fit(root, index, f"{environment}/")
        insist_on_image(root, tip, environment, about)
        _put(root, index, RECORD, about.text())
        return _said(root, "write-tree", environ=index)


def same(root: Path, one: str, other: str) -> bool:
    """Do two trees hold the same but for the record? A missing one is like no other."""
    contents = [_lines(root, each) for each in (one, other)]
    return bool(contents[0]) and contents[0] == contents[1]


def _lines(root: Path, tree_: str) -> list[str]:
    found = git_bytes(root, "ls-tree", "--full-tree", tree_)
    lines = found.stdout.decode(errors="surrogateescape").splitlines() if found.returncode == 0 else []
    return [line for line in lines if not line.endswith(f"\t{RECORD}")]


def commit(root: Path, tip: str, environment: str, tree_: str, message: str) -> str:
    """Write a commit after `tip` ("": the branch's first) in which the environment has that tree; returns its hash."""
    top = git_bytes(root, "ls-tree", "--full-tree", tip).stdout.decode(errors="surrogateescape") if tip else ""
    others = [line for line in top.splitlines() if not line.endswith(f"\t{environment}")]
    entries = "\n".join([*others, f"040000 tree {tree_}\t{environment}", ""])
    whole = _said(root, "mktree", text=entries.encode(errors="surrogateescape"))
    parent = ["-p", tip] if tip else []
    return _said(root, "commit-tree", whole, *parent, environ=_author(root), text=message.encode())


def insist_author(root: Path) -> None:
    """Raise `InputError` when git has no name for who commits and tags."""
    for role in ("COMMITTER", "AUTHOR"):
        done = origin.run(root, "var", f"GIT_{role}_IDENT", environ=_author(root))
        if done.returncode:
            raise InputError(
                "a release tags and commits, and git does not know as whom: `git config user.name NAME` and "
                "`git config user.email ADDRESS`; then call this again"
            )


def _author(root: Path) -> dict[str, str]:
    """A workflow's git has no name of its own."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return dict(os.environ)
    names = {f"GIT_{role}_{what}": BOT[what == "EMAIL"] for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip # noqa: E501
    return names | os.environ


@contextmanager
def _index(root: Path) -> Iterator[dict[str, str]]:
    """The environment of a git with an index of its own."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        yield os.environ | {"GIT_INDEX_FILE": str(Path(folder, "index"))}


def _put(root: Path, index: dict[str, str], path: str, content: bytes) -> None:
    blob = _said(root, "hash-object", "-w", "--stdin", text=content)
    _said(root, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", environ=index)


def _said(root: Path, *arguments: str, environ: dict[str, str] | None = None, text: bytes = b"") -> str:
    done = origin.run(root, *arguments, environ=environ, text=text)
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split())
        raise InputError(f"`git {arguments[0]}` failed: {words}")
    return done.stdout.decode().strip()


def of(root: Path, tip: str, environment: str) -> str:
    """The tree of an environment; "" where it has none."""
    found = git_bytes(root, "rev-parse", "--verify", "--quiet", f"{tip}:{environment}") if tip else None
    return found.stdout.decode().strip() if found and found.returncode == 0 else ""
