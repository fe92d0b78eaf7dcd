"""`lockstep report`: what it prints, what it leaves behind, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import report_worlds as worlds
from conftest import ROOT
from lockstep import errors
from lockstep.commands.report import report
from lockstep.errors import InputError, OutsideError
from lockstep.gates.outcome import Judgement
from lockstep.report import assess, write
from lockstep.report.judged import Judged
from lockstep.report.verdict import Document

Run = Callable[..., Result]


def better() -> Judged:
    return worlds.judged()


def refused() -> Judged:
    return worlds.judged(judgement=Judgement(outcomes=(worlds.gate("ROC AUC", "at least 0.8", "0.7", "broken"),)))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in a project in which judging finds what it is given, or raises it."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "src"))
    monkeypatch.setattr("lockstep.commands.report.base_of", lambda root, base: None)
    monkeypatch.setattr("lockstep.spec.read_spec", lambda path: worlds.spec())

    def ran(found: Callable[[], Judged] | Exception, *arguments: str) -> Result:
        def judged(*_: Any, **__: Any) -> Judged:
            if isinstance(found, Exception):
                raise found
            return found()

        monkeypatch.setattr(assess, "assess", judged)
        return CliRunner().invoke(report, arguments)

    return ran


def code(result: Result) -> int:
    """As the console script exits."""

    def again() -> None:
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception

    return errors.exit_code(again)


@pytest.mark.parametrize("found", [better, refused])
def test_it_exits_with_0_whenever_it_could_judge(run: Run, found: Callable[[], Judged], tmp_path: Path) -> None:
    result = run(found)
    assert code(result) == 0
    assert {path.name for path in (tmp_path / "report").iterdir()} == set(write.FILES)
    assert result.stdout == (tmp_path / "report" / "report.md").read_text()
    assert "report/report.html" in result.stderr


def test_a_refusal_exits_with_3_when_asked_and_leaves_its_report(run: Run, tmp_path: Path) -> None:
    assert code(run(better, "--exit-code")) == 0
    result = run(refused, "--exit-code")
    assert code(result) == 3
    assert "refused by 1 gate" in str(result.exception)
    assert (tmp_path / "report" / "report.md").exists()


@pytest.mark.parametrize(("error", "expected"), [(InputError("no model"), 1), (OutsideError("no remote"), 4)])
def test_what_could_not_be_judged_leaves_no_older_report(
    run: Run, error: Exception, expected: int, tmp_path: Path
) -> None:
    run(better)
    assert code(run(error)) == expected
    assert list((tmp_path / "report").iterdir()) == []


def test_the_verdict_comes_as_json_for_machines(run: Run, tmp_path: Path) -> None:
    result = run(better, "--json", "--output", "elsewhere")
    assert Document.model_validate_json(result.stdout).conclusion == "success"
    assert json.loads(result.stdout) == json.loads((tmp_path / "elsewhere" / "verdict.json").read_text())


def test_an_output_that_is_a_file_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    assert code(run(better)) == 1
    assert (tmp_path / "report").read_text() == "mine"
