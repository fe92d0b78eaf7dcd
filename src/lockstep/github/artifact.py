"""What a pull request's run hands on: the report, and the files that it moved. Who reads it trusts none of it.

`pack` writes a folder in the untrusted run; GitHub zips it; `read` takes the zip apart in memory, in the trusted one.
Nothing is unpacked to disk, so no name in it can lead anywhere.
"""

from __future__ import annotations

import io
import json
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lockstep.errors import InputError
from lockstep.markdown import escape
from lockstep.report.document import Mark
from lockstep.report.record import Document

NAME = "lockstep"
FOLDER = "artifact"
MANIFEST, REPORT, PAGE, VERDICT = "manifest.json", "report/report.md", "report/report.html", "report/verdict.json"
TREE = "tree/"

MOVED = re.compile(r"dvc\.lock|dvc\.lock\.seal|model/card\.md|reports/[a-z][a-z0-9_]{0,59}\.json")
"""The only files that a run may move."""

LOCK, SEAL = "dvc.lock", "dvc.lock.seal"
MOST_FILES = 40
MOST = 16 * 1024 * 1024
"""Bytes of the whole, packed or not."""

MARKDOWN_MOST = 60_000
LIMITS: Mapping[str, int] = {
    MANIFEST: 20_000, REPORT: 4 * MARKDOWN_MOST, PAGE: 12 * 1024 * 1024, VERDICT: 500_000,
}  # fmt: skip
"""Bytes by name; a moved file may have `MOVED_MOST`."""

MOVED_MOST = 2 * 1024 * 1024

NEVER_GREEN = frozenset({"too few to say", "not comparable"})

_SEAL_LINE = re.compile(r"#[^\n]{0,200}|[\w@.-]{1,100} [0-9a-f]{64}|")

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Path = Annotated[str, Field(pattern=rf"^({MOVED.pattern})$")]
Paths = Annotated[list[Path], Field(max_length=MOST_FILES)]


class Manifest(BaseModel):
    """What the run says it did. `tree` is git's hash of the whole work tree that was evaluated, moved files included;
    `moved` and `removed` are where it differs from the head's. `number` is for people.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: Literal[1]
    head: Sha
    base: Sha
    number: Annotated[int, Field(ge=1)] | None
    tree: Sha
    moved: Paths
    removed: Paths


class Poisoned(InputError):
    """An artifact that is not what a run leaves."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A validated artifact. `moved` holds new contents by path."""

    manifest: Manifest
    document: Document
    report: str
    moved: Mapping[str, bytes] = field(repr=False)


def read(zipped: bytes) -> Bundle:
    """Take an artifact apart. Raises `Poisoned` with a sentence for everything that a run would not leave."""
    files = dict(_files(zipped))
    for name in (MANIFEST, REPORT, PAGE, VERDICT):
        if name not in files:
            raise Poisoned(f"it lacks {name}")
    manifest, moved = _moved(files)
    document = _validate(Document, files[VERDICT], VERDICT)
    _check_agreement(manifest, document)
    return Bundle(manifest=manifest, document=document, report=_report(files[REPORT], document), moved=moved)


def read_moved(zipped: bytes) -> tuple[Manifest, Mapping[str, bytes]]:
    """The same of one without a report: what it says, and new contents by path."""
    files = dict(_files(zipped))
    if MANIFEST not in files:
        raise Poisoned(f"it lacks {MANIFEST}")
    return _moved(files)


def _moved(files: Mapping[str, bytes]) -> tuple[Manifest, Mapping[str, bytes]]:
    manifest = _validate(Manifest, files[MANIFEST], MANIFEST)
    moved = {name.removeprefix(TREE): content for name, content in files.items() if name.startswith(TREE)}
    if sorted(moved) != sorted(manifest.moved) or set(moved) & set(manifest.removed):
        raise Poisoned("its files are not those that its manifest lists")
    for path, content in moved.items():
        _check_moved(path, content)
    return manifest, moved


def _files(zipped: bytes) -> Iterator[tuple[str, bytes]]:
    """Contents by name, each name once and allowed, each size within its limit as it is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
            members = archive.infolist()
            if len(members) > MOST_FILES:
                raise Poisoned(f"it holds {len(members):,} files")
            names = [member.filename for member in members]
            if len({name.casefold() for name in names}) < len(names):
                raise Poisoned("it holds a name twice")
            for member in members:
                yield member.filename, _content(archive, member)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise Poisoned(f"it is not a zip file as GitHub makes them ({type(error).__name__})") from None


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    name, mode = member.filename, member.external_attr >> 16
    limit = _limit(name)
    if limit is None:
        raise Poisoned(f"it holds {name[:80]!r}, which no run leaves")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise Poisoned(f"{name} is not a regular file")
    with archive.open(member) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise Poisoned(f"{name} has more than {limit:,} bytes")
    return content


def _limit(name: str) -> int | None:
    """The most bytes of a file of that name; None for a name that no run leaves."""
    if name in LIMITS:
        return LIMITS[name]
    allowed = name.startswith(TREE) and MOVED.fullmatch(name.removeprefix(TREE))
    return MOVED_MOST if allowed else None


def _check_agreement(manifest: Manifest, document: Document) -> None:
    """The verdict is about these commits, and does not contradict itself."""
    if document.head not in (None, manifest.head) or document.base not in (None, manifest.base):
        raise Poisoned(f"{VERDICT} is about other commits than {MANIFEST}")
    if document.rollback or document.headline.startswith(f"{document.project}: rollback to "):
        _check_rollback(document)
        return
    refused = document.word in NEVER_GREEN or not all(gate.passes for gate in document.gates)
    if document.conclusion == "success" and refused:
        raise Poisoned(f"{VERDICT} calls a success what its own gates or its word refuse")
    allowed = document.gates_left_out or any("against-champion" in gate.id for gate in document.gates)
    if document.conclusion == "success" and document.word == "worse" and not allowed:
        raise Poisoned(f"{VERDICT} calls a success what is worse, and no gate says how much worse is allowed")


def _check_rollback(document: Document) -> None:
    """Its words and gates are information; whether it is one, `lockstep.github.rollbacks` asks GitHub."""
    project, _, version = document.rollback.rpartition("@")
    begins = f"{project}: rollback to {version}"
    if project != document.project or not (document.headline == begins or document.headline.startswith(f"{begins};")):
        raise Poisoned(f"{VERDICT} does not say in its headline that it is a rollback")


def _check_moved(path: str, content: bytes) -> None:
    text = _text(path, content)
    if path.endswith(".json"):
        _json(path, text)
    elif path == LOCK:
        _check_lock(text)
    elif path == SEAL and not all(_SEAL_LINE.fullmatch(line) for line in text.split("\n")):
        raise Poisoned(f"{path} is not a seal")


def _check_lock(text: str) -> None:
    from lockstep.lock.entries import parse

    try:
        parse(text)
    except (InputError, RecursionError):
        raise Poisoned(f"{LOCK} is not a lock") from None


def _text(name: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Poisoned(f"{name} is not UTF-8") from None
    if any(character < " " and character not in "\n\t" for character in text):
        raise Poisoned(f"{name} holds control characters")
    return text


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Poisoned(f"{name} is not JSON") from None


def _validate(model: type[Any], content: bytes, name: str) -> Any:
    _json(name, _text(name, content))
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:80]
        raise Poisoned(f"{name} is not as it should be: {where!r}: {first['msg'][:100]}") from None


def _report(content: bytes, document: Document) -> str:
    text = _text(REPORT, content)
    if not text.strip():
        raise Poisoned(f"{REPORT} is empty")
    if len(text) > MARKDOWN_MOST:
        raise Poisoned(f"{REPORT} has more than {MARKDOWN_MOST:,} characters")
    if text.partition("\n")[0] not in _headings(document):
        raise Poisoned(f"{REPORT} does not begin with what {VERDICT} says")
    return text


def _headings(document: Document) -> list[str]:
    """The first lines that a report with this verdict may have."""
    marks = (Mark("good"), Mark("careful")) if document.conclusion == "success" else (Mark("bad"),)
    return [f"## {mark.text} {escape(document.headline)}" for mark in marks]
