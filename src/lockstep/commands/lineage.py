"""`lockstep lineage`: where does it come from?"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstep.errors import Refused

if TYPE_CHECKING:
    from lockstep.release.kept import Kept
    from lockstep.release.lineage import Lineage


@click.command()
@click.argument("reference")
@click.option(
    "--registry", metavar="ADDRESS", help="Where images are, for a digest alone; LOCKSTEP_REGISTRY unless given."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def lineage(reference: str, registry: str | None, as_json: bool) -> None:
    """Say which version, commit, lock and data are behind REFERENCE, and exit with 3 when that does not fit together.

    REFERENCE is an image, a digest (sha256:…), a version (v1.2.0) or its tag, a running service's URL, or an
    environment: staging, production.
    """
    from lockstep.commands.release import address
    from lockstep.release.lineage import trace
    from lockstep.release.rollback import project
    from lockstep.revision import resolve

    root = Path.cwd()
    found = trace(root, reference, project=project(resolve(root, "HEAD")), address=registry or address(os.environ))
    if as_json:
        click.echo(json.dumps({"asked": reference, "fits": not found.contradictions, **asdict(found)}, indent=1))
    else:
        _show(reference, found)
    if found.contradictions:
        raise Refused("; ".join(found.contradictions))


def _show(reference: str, found: Lineage) -> None:
    """A table in colours where somebody watches, else plain lines."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=reference, title_justify="left", show_header=False)
        for name, value in rows(found):
            table.add_row(Text(name, style="bold"), Text(value))
        Console().print(table)
    else:
        for name, value in rows(found):
            click.echo(f"{name:<9} {value}")
    for note in found.notes:
        click.echo(f"note: {note}", err=True)


def rows(found: Lineage) -> Iterator[tuple[str, str]]:
    """What is shown, name by name; what nobody said is left out."""
    for name in ("image", "digest", "name", "version", "identity", "model"):
        if found.told[name]:
            yield name, _clean(found.told[name])
    sha, commit = found.told["commit"], found.commit
    if sha:
        yield "commit", f"{sha}, {commit.date}: {_clean(commit.subject)}" if commit else f"{_clean(sha)}, not here"
    if found.told["lock"]:
        fits = {True: "the commit's dvc.lock", False: "NOT the commit's dvc.lock", None: "not looked at"}
        yield "lock", f"{_clean(found.told['lock'])}, {fits[commit.lock if commit else None]}"
    for path, md5 in found.data.items():
        yield "data", f"{_clean(md5)} {_clean(path)}"
    if found.objects is not None:
        yield "objects", _objects(found.objects)
    yield "says", ", ".join(map(_clean, found.sources))


def _objects(kept: Kept) -> str:
    parts = [
        f"in the remote `{kept.remote}`: {_names(kept.there)}" if kept.remote else "no remote is configured",
        f"in DVC's cache here: {_names(kept.here)}",
        *([f"in the pull requests' remote alone: {_names(kept.waiting)}"] if kept.waiting else []),
        *([f"nowhere: {_names(kept.lost)}"] if kept.lost else []),
    ]
    return "; ".join(parts)


def _names(paths: tuple[str, ...]) -> str:
    return ", ".join(path.rpartition("/")[2] for path in paths) or "none"


def _clean(text: str) -> str:
    """What others wrote, on one line and without escape sequences."""
    from lockstep.markdown import line

    return line(text, 200)
