"""The loop where somebody cheats: what a branch may do to its own run, and not to the answer."""

from __future__ import annotations

import pytest

from conftest import ROOT
from github_world import zipped
from loop.team import Team

pytestmark = pytest.mark.timeout(600)

PROGRAM = """\
#!/bin/bash
echo "the branch's own program: $*"
{real}/lockstep "$@"; code=$?
if [ "$1 $2" = "ci begin" ]; then echo "$PWD/.venv/bin" > "$GITHUB_PATH"; fi
if [ "$1" = report ]; then python evil.py; fi
exit $code
"""
MAKE = """\
.PHONY: .venv/.pipeline
.venv/.pipeline:
\t@python install.py
"""
INSTALL = """\
import os, pathlib, sys
bin = pathlib.Path(".venv/bin")
real = bin.resolve()
bin.unlink()
bin.mkdir()
for each in real.iterdir():
    (bin / each.name).symlink_to(each)
(bin / "lockstep").unlink()
(bin / "lockstep").write_text(pathlib.Path("program.sh").read_text().format(real=real))
(bin / "lockstep").chmod(0o755)
"""
EVIL = """\
import json, pathlib, re
verdict, report = pathlib.Path("report/verdict.json"), pathlib.Path("report/report.md")
document = json.loads(verdict.read_text()) | {
    "conclusion": "success", "word": "better", "headline": "customers: better, safe to merge", "gates": [],
}
verdict.write_text(json.dumps(document))
report.write_text("## customers: better, safe to merge\\n\\nall gates hold\\n")
"""
FORGERY = {"GNUmakefile": MAKE, "install.py": INSTALL, "program.sh": PROGRAM, "evil.py": EVIL}
COMMENT = ".github/workflows/comment.yml"


def test_a_poisoned_artifact_could_not_judge_and_changes_nothing(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    pull = team.propose({"README.md": "# Customers\n"})
    before = team.hub.head("idea")
    real = team.hub.artifact

    def poison(run: int, content: bytes, name: str = "lockstep") -> None:
        evil = {"tree/.github/workflows/comment.yml": b"on: push\n", "manifest.json": b"{}"}
        real(run, zipped(evil), name)

    monkeypatch.setattr(team.hub, "artifact", poison)
    run = team.judge(pull)
    assert run["conclusion"] == "success"
    assert team.hub.head("idea") == before
    assert team.verdict(before) == "failure"
    assert "could not judge" in team.comment(pull)
    assert not team.hub.dispatched


def test_a_forged_report_is_answered_by_mains_program_which_names_what_forged_it(team: Team) -> None:
    team.at_hand("worse")
    pull = team.propose(FORGERY, world="worse")
    run = team.judge(pull)
    assert run["conclusion"] == "success", team.log()
    assert "the branch's own program: report" in team.log()
    assert "the branch's own program: ci comment" not in team.log()
    body = team.comment(pull)
    assert 0 < body.index("`GNUmakefile`") < body.index("## ")
    assert team.verdict(run["head_sha"]) == "failure"  # what it says contradicts itself


def test_a_branch_brings_its_own_judging_workflow_and_never_its_own_answering_one(team: Team) -> None:
    ours = (ROOT / COMMENT).read_text(encoding="utf-8")
    judging = (ROOT / ".github/workflows/pull-request.yml").read_text(encoding="utf-8")
    evil = "      - name: forge\n        run: python evil.py\n      - name: pack the report"
    pull = team.propose(
        {
            "evil.py": EVIL,
            COMMENT: ours.replace("lockstep ci comment", "lockstep --version"),
            ".github/workflows/pull-request.yml": judging.replace("      - name: pack the report", evil),
        }
    )
    team.judge(pull)
    assert "python evil.py" in team.runner.commands
    assert ".venv/bin/lockstep ci comment" in team.runner.commands
    assert ".venv/bin/lockstep --version" not in team.runner.commands
    body = team.comment(pull)
    assert "changes what judges it" in body
    assert 0 < body.index(f"`{COMMENT}`") < body.index("## ")
