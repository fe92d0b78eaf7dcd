"""`lockstep check`: all that can be known without running anything."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from lockstep import errors, upkeep


@click.command()
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
