"""`lockstep remote`: where data and models are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from lockstep.remotes import config
from lockstep.remotes.config import Configuration, Remote


@click.command()
@click.argument("url", required=False)
@click.option(
    "--set", "options", multiple=True, metavar="NAME=VALUE",
    help="An option of DVC's for both remotes, such as endpointurl=https://… or region=eu-central-1.",
)  # fmt: skip
@click.option("--policies", is_flag=True, help="Print the AWS policies that the two roles need, filled in.")
@click.option("--json", "as_json", is_flag=True, help="Print the remotes as JSON.")
def remote(url: str | None, options: Sequence[str], policies: bool, as_json: bool) -> None:
    """Keep data and models at URL: s3://bucket/folder, or a folder. Without URL: show where they are.

    Others that DVC knows (gs, azure, ssh) need its part for them, see docs/remote.md. Writes the remotes `main` and
    `pr` into .dvc/config; the bucket's own rights decide who may write where.
    """
    from lockstep.remotes import configure

    root = Path.cwd()
    if options and url is None:
        raise click.UsageError("--set goes with a URL")
    if url is not None:
        dropped = configure.foreign(root, url)
        configure.configure(root, url, dict(map(_option, options)))
        if dropped:
            click.echo(f"dropped, because this kind of remote has no such options: {', '.join(dropped)}", err=True)
    settings = config.read(root)
    if policies:
        click.echo(_policies(root, settings))
    elif as_json:
        click.echo(json.dumps(_values(settings), indent=1))
    else:
        _show(settings)
        if url:
            _next_steps(settings)


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise click.UsageError(f"--set {text}: write NAME=VALUE")
    return name.strip().lower(), value.strip()


def _values(settings: Configuration) -> dict[str, object]:
    remotes = {
        each.name: {"url": config.without_secrets(each.url), "verify": _verifies(each)} for each in _all(settings)
    }
    return {"default": settings.default, "remotes": remotes}


def _all(settings: Configuration) -> Iterable[Remote]:
    return settings.remotes.values()


def _verifies(each: Remote) -> bool:
    return each.options.get("verify", "").lower() == "true"


def _show(settings: Configuration) -> None:
    if not settings.remotes:
        click.echo("no remote is configured: `lockstep remote URL` configures two, for main and for pull requests")
    width = max((len(name) for name in settings.remotes), default=0)
    for each in _all(settings):
        notes = ["default"] if each.name == settings.default else []
        notes += [] if _verifies(each) else [f"not verified: `dvc remote modify {each.name} verify true`"]
        line = f"{each.name:{width}}  {config.without_secrets(each.url)}"
        click.echo(line + (f"  ({', '.join(notes)})" if notes else ""))


def _next_steps(settings: Configuration) -> None:
    main = settings.remote(None)
    click.echo(f"\nwrote {config.FILE}. Next:")
    click.echo(f"  git add {config.FILE} && git commit -m 'Keep data and models at {config.without_secrets(main.url)}'")
    click.echo("  lockstep push                   send what the lock needs")
    if main.url.startswith("s3://"):
        click.echo("  lockstep remote --policies      the two roles that GitHub's workflows take, for your AWS account")
        click.echo("  gh variable set LOCKSTEP_AWS_REGION --body REGION")
        click.echo("  gh variable set LOCKSTEP_AWS_ROLE_PR --body ARN")
        click.echo("  gh variable set LOCKSTEP_AWS_ROLE_MAIN --body ARN")
    click.echo("  lockstep doctor                 what else is missing")
    click.echo("docs/remote.md says more")


def _policies(root: Path, settings: Configuration) -> str:
    from lockstep.doctor import clone
    from lockstep.remotes import policies

    here = clone.Clone(root=root)
    url, name = settings.remote(None).url, here.repository or "OWNER/REPOSITORY"
    return json.dumps(policies.policies(url, name, here.branch or "main"), indent=2)
