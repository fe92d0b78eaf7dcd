"""dvc.lock.seal: one line a stage, the hash of its entry in dvc.lock and of the lines of the stages it depends on.

DVC believes a lock whose edges fit, also for a combination that never ran, and git merges it as text. A line here is
written only after its stage ran, and changes with everything upstream: two branches that reran one stage conflict in
any git, and after a clean merge of texts the lines say whether what is there belongs together.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from lockstep.errors import InputError
from lockstep.lock.canonical import canonical
from lockstep.lock.entries import Entries

FILE = "dvc.lock.seal"
HEADER = """\
# One line a stage of dvc.lock, once it ran: the hash of its entry and of the lines of the stages it depends on.
# `make repro` writes it, also after a conflict here. Editing it makes nothing true: `lockstep verify --rebuild` tells.
"""
_LINE = re.compile(r"(?P<name>[^\s<>=|]\S*) (?P<hash>[0-9a-f]{64})")

Lines = Mapping[str, str]


def lines(entries: Entries) -> dict[str, str]:
    """The line that each entry must have, by stage. Raises `InputError` when stages depend on one another."""
    found: dict[str, str] = {}
    for name in entries:
        _line(entries, name, found, ())
    return {name: found[name] for name in entries}


def _line(entries: Entries, name: str, found: dict[str, str], waiting: tuple[str, ...]) -> str:
    if name in waiting:
        raise InputError(f"stages {', '.join(waiting)} of dvc.lock depend on one another: restore it from git")
    if name not in found:
        after = {other: _line(entries, other, found, (*waiting, name)) for other in upstream(entries, name)}
        content = canonical({"entry": entries[name].raw, "after": after})
        found[name] = hashlib.sha256(content.encode()).hexdigest()
    return found[name]


def upstream(entries: Entries, name: str) -> list[str]:
    """The stages whose outputs stage `name` reads, directly, as far as the entries tell."""
    reads = [_plain(path) for path in entries[name].deps]
    return [
        other.name
        for other in entries.values()
        if other.name != name and any(_touch(read, _plain(out)) for read in reads for out in other.outs)
    ]


def _plain(path: str) -> str:
    """A stage with a folder of its own names what lies above it with `../`."""
    return re.sub(r"^(\.\./)+", "", posixpath.normpath(path))


def _touch(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def parse(text: bytes) -> dict[str, str]:
    """The lines by stage; empty for an empty file. Raises `InputError` for anything but lines and comments."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.decode(errors="replace").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match or match["name"] in found:
            raise InputError(f"{FILE}:{number} is not a line of a seal: `make repro` writes the file anew")
        found[match["name"]] = match["hash"]
    return found


def read(root: Path) -> dict[str, str]:
    """The lines of the work tree's seal; empty without one. Raises `InputError` as `parse` does."""
    try:
        return parse((root / FILE).read_bytes())
    except FileNotFoundError:
        return {}


def text(sealed: Lines) -> str:
    """The file's content."""
    return HEADER + "".join(f"{name} {hash_}\n" for name, hash_ in sealed.items())


def write(root: Path, sealed: Lines) -> bool:
    """Write the seal, whole or not at all; returns whether it changed."""
    path, content = root / FILE, text(sealed)
    if path.exists() and path.read_bytes() == content.encode():
        return False
    unfinished = path.with_name(f".{FILE}.tmp")
    unfinished.write_text(content, encoding="utf-8")
    unfinished.replace(path)
    return True


def differences(entries: Entries, sealed: Lines) -> list[str]:
    """Sentences: where the seal does not cover the lock; none means that every entry ran on what is now before it."""
    right = lines(entries)
    found = []
    for name in dict.fromkeys((*right, *sealed)):
        if name not in right:
            found.append(f"{name}: {FILE} has a line for it, dvc.lock has no entry")
        elif name not in sealed:
            found.append(f"{name}: {FILE} has no line for it: it is not known to have run")
        elif sealed[name] != right[name]:
            found.append(
                f"{name}: its line in {FILE} is not that of its entry after those before it: they never ran so"
            )
    return found
