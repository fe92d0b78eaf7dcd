"""The command line: which commands there are. Each is a module of `commands/`, imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lockstep import __version__, errors

COMMANDS: Mapping[str, str] = {
    "check": "look at the spec, dvc.yaml, the versions and the generated files, without running anything",
    "repro": "run what changed, and what depends on it; seal the lock",
    "verify": "is the lock true? In a second, or by rebuilding",
    "report": "compare this branch's model with its base, and judge it",
    "release": "ship the merged model: prove it, build its image, try it, push it, put it on staging",
    "promote": "open the pull request that moves production to what staging has",
    "rollback": "open the branch that goes back to a released version",
    "lineage": "from a running service, an image or a version back to commit, lock and data",
    "serve": "answer rows over HTTP, as the image does",
    "predict": "answer the rows of a CSV or parquet file, by the service's rules",
    "push": "send data and models to a remote; safe to repeat",
    "remote": "keep data and models in a bucket",
    "doctor": "what is missing before all of this works, and the command that mends it",
    "ci": "what the workflows call",
    "merge-driver": "what git calls to merge dvc.lock and its seal",
}
"""In the order in which people meet them. `merge-driver` is for git alone."""

HIDDEN = frozenset({"merge-driver"})


class Commands(click.Group):
    """Finds commands by name, so that one command does not pay for the imports of another."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command that people call, in the order of `COMMANDS`."""
        return [name for name in COMMANDS if name not in HIDDEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        word = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"lockstep.commands.{word}"), word)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `lockstep --help`: without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and an unknown name gets its nearest match."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(f"no command `{name}`.{errors.nearest(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lockstep", message="%(prog)s %(version)s")
@click.option(
    "-C", "--directory", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Work in this folder."
)
def cli(directory: Path | None) -> None:
    """GitOps for machine learning: data, code, model and evaluation move in lockstep."""
    if directory:
        os.chdir(directory)


def main() -> None:
    """The console script: every command ends here, with the exit codes of errors.py."""
    raise SystemExit(errors.exit_code(_click))


def _click() -> Any:
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(errors.USAGE)
    except click.Abort:
        raise KeyboardInterrupt from None
