"""The command line. Each command reads its arguments, calls a noun, and says what came out."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from lockstep import __version__, errors, upkeep


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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


def _click() -> None:
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(errors.USAGE)
    except click.Abort:
        raise KeyboardInterrupt from None


@cli.command()
@click.option(
    "--fix", is_flag=True, help="Rewrite what is generated: versions.toml, dvc.yaml's lists, the schema, docs/data.md."
)
@click.option("--outputs", is_flag=True, help="Also compare each output of the pipeline with its hash in dvc.lock.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(fix: bool, outputs: bool, as_json: bool) -> None:
    """Check the spec, dvc.yaml, the versions and the generated files, without running anything."""
    root, checks = Path.cwd(), dict(upkeep.CHECKS) | (dict(upkeep.OUTPUTS) if outputs else {})
    changed = [str(path.relative_to(root)) for path in (upkeep.mend(root, checks) if fix else [])]
    findings = list(upkeep.look(root, checks))
    if as_json:
        content = {"checks": list(checks), "changed": changed, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(content, indent=1))
    else:
        _report(list(checks), changed, findings)
    if findings:
        sys.exit(errors.InputError.code)


def _report(checks: list[str], changed: list[str], findings: list[upkeep.Finding]) -> None:
    for name in changed:
        click.echo(f"rewrote {name}")
    for finding in findings:
        click.echo(f"error: {finding.message}", err=True)
    if any(finding.mendable for finding in findings):
        click.echo("`lockstep check --fix` rewrites what is generated", err=True)
    if not findings:
        click.echo(f"fine: {', '.join(checks)}")
