"""Where a report comes from: commits, seal, libraries. What somebody needs who wants to see the same."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.comparison.result import Champion
from lockstep.errors import InputError
from lockstep.report.document import Block, Code, Commands, Fold, Link, Paragraph, Words, words
from lockstep.report.folds import facts
from lockstep.revision import Revision, git

SEAL = "dvc.lock.seal"
NAMED = ("python", "lockstep-ml", "scikit-learn", "numpy", "pandas", "onnxruntime")
"""Versions that are named; versions.toml has all."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """`head` and `base` are commits; `changed` says that the work tree is not the commit. `seal` is the SHA-256 of
    dvc.lock.seal, "" without one. `run` is the address of the workflow run, on a laptop "".
    """

    head: str = ""
    base: str = ""
    changed: bool = False
    seal: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    run: str = ""


def origin(root: Path, base: Revision | None) -> Origin:
    """What git and the files say. Raises `InputError` for a versions.toml that is not TOML."""
    return Origin(
        head=git(root, "rev-parse", "HEAD"),
        base=base.sha if base else "",
        changed=bool(git(root, "status", "--porcelain", "--untracked-files=no")),
        seal=_sha256(root / SEAL),
        versions=_versions(root / "versions.toml"),
        run=_run(os.environ),
    )


def reproduce(made: Origin, champion: Champion | None, *, seeds: int) -> Fold:
    """Exact commands, and what they ran with."""
    more = f" --seeds {seeds}" if seeds else ""
    lines = [
        *([f"git fetch origin && git checkout {made.head}"] if made.head else []),
        "make repro",
        f"lockstep report{f' --base {made.base}' if made.base else ''}{more}",
    ]
    known: dict[str, Words] = {}
    if champion is not None:
        known["champion"] = words(Code(champion.short), f" ({champion.subject}), its model {champion.source}")
    if made.seal:
        known["seal"] = words(Code(f"{made.seal[:16]}…"), ", the SHA-256 of ", Code(SEAL))
    versions = [f"{name} {made.versions[name]}" for name in NAMED if name in made.versions]
    if versions:
        known["libraries"] = words(f"{', '.join(versions)}; all of them are in ", Code("versions.toml"))
    where = words(", among ", Link("the artifacts of this run", made.run)) if made.run else words(", beside this file")
    known["to look closer"] = words(Code("report.html"), *where, ": the same with plots that answer")
    blocks: list[Block] = [Commands(lines=tuple(lines))]
    if made.changed:
        blocks.append(Paragraph(text=words("The work tree held changes that are not in that commit.")))
    return Fold(name="reproduce", summary="Reproduce and read more", blocks=(*blocks, facts(known)))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _versions(path: Path) -> dict[str, str]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read: {error}. `lockstep check --fix` writes it anew") from None
    return {name: str(value) for name, value in values.items() if not isinstance(value, dict)}


def _run(environment: Mapping[str, str]) -> str:
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environment.get(name, "") for name in names)
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""
