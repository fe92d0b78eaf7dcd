"""`lockstep release`: what was merged becomes an image, a version and a line on the branch `deploy`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstep.running.console import say

if TYPE_CHECKING:
    from lockstep.release.release import Outcome

TOLD = ("image", "digest", "version", "sbom")
"""What a workflow's later steps get, beside `released`; and `untrue` where the lock is not true."""


def _digest(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    from lockstep.release.tags import FACTS

    if value is not None and not re.fullmatch(FACTS["digest"], value):
        raise click.BadParameter(f"`{value}` is no digest, `sha256:` and 64 hexadecimal digits")
    return value or ""


@click.command()
@click.option("--registry", metavar="ADDRESS", help="The image's address without tag; LOCKSTEP_REGISTRY unless given.")
@click.option("--image-only", is_flag=True, help="Stop when the image is in the registry: tag and deploy nothing.")
@click.option("--local", is_flag=True, help="Build the image and try it here; nothing is sent anywhere.")
@click.option(
    "--digest",
    callback=_digest,
    metavar="SHA256",
    help="Deploy this image and no other, which --image-only has made: nothing is proven or built.",
)
@click.option("--force", is_flag=True, help="Deploy also over a commit that is neither before nor after this one.")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
def release(registry: str | None, image_only: bool, local: bool, digest: str, force: bool, as_json: bool) -> None:
    """Ship the model of this commit's lock: prove it, build its image once, tag its version, deploy it to staging.

    Run it again after it failed or was killed: it goes on where it ended. Nothing happens when staging has it.
    """
    from lockstep.release import release as work
    from lockstep.release.models import Untrue

    if local and (digest or image_only or force):
        raise click.UsageError("--local sends nothing anywhere: --digest, --image-only and --force go without it")
    if digest and image_only:
        raise click.UsageError("--image-only makes the image that --digest names: one of them")
    options = work.Options(
        registry=registry or address(os.environ), force=force, image_only=image_only, local=local, digest=digest
    )
    try:
        outcome = work.release(Path.cwd(), options, say)
    except Untrue:
        _tell({"untrue": "true", "released": "false"})
        raise
    click.echo(json.dumps(asdict(outcome), indent=1) if as_json else "\n".join(summary(outcome)))
    _tell({name: getattr(outcome, name) for name in TOLD} | {"released": str(outcome.released).lower()}, outcome)


def address(environ: Mapping[str, str]) -> str:
    """Where images go unless it is said: LOCKSTEP_REGISTRY; in a workflow the repository's own place at ghcr.io.

    >>> address({"GITHUB_REPOSITORY": "Acme/Flights"})
    'ghcr.io/acme/flights'
    """
    repository = environ.get("GITHUB_REPOSITORY", "").lower()
    return environ.get("LOCKSTEP_REGISTRY") or (f"ghcr.io/{repository}" if repository else "")


def summary(outcome: Outcome) -> list[str]:
    """What people read last."""
    lines = [outcome.sentence]
    if outcome.skipped and outcome.released:
        one = len(outcome.skipped) == 1
        number = (
            "1 commit that had no release of its"
            if one
            else f"{len(outcome.skipped)} commits that had no release of their"
        )
        lines.append(f"with {number} own:")
        lines += [f"- {sha[:7]}" for sha in outcome.skipped]
    if outcome.released and outcome.sbom:
        lines.append(f"bill of materials: {outcome.sbom}")
    return lines


def _tell(outputs: Mapping[str, str], outcome: Outcome | None = None) -> None:
    """In a workflow, what later steps need, and a line on the run's page."""
    from lockstep.github import surroundings
    from lockstep.markdown import escape

    if not os.environ.get("GITHUB_EVENT_PATH"):
        return
    around = surroundings.from_environment(os.environ)
    for name, value in outputs.items():
        around.tell(name, value)
    if outcome:
        sentence, *more = summary(outcome)
        around.summarise("\n".join(["## Release", "", escape(sentence), "", *more]))
