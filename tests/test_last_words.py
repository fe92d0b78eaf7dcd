"""What a failed run said last: passed on to whoever reads, and told again at the end."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Project
from lockstep.lock import last_words

SPEAK = r"""
import subprocess, sys
from lockstep.lock.last_words import listening
with listening() as heard:
    subprocess.run([sys.executable, "-c", r"import os; os.write(2, b'\x1b[31mone\x1b[0m\ntwo %d' % os.isatty(2))"])
print(repr(heard.text))
"""


def test_what_a_program_says_is_passed_on_and_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with last_words.listening() as heard:
        os.write(2, b"x" * 50_000 + b"\nerror: the end\n")
    assert heard.text.endswith("\nerror: the end\n")
    assert len(heard.text) == last_words.KEPT
    assert capfd.readouterr().err == "x" * 50_000 + "\nerror: the end\n"


def test_a_program_on_a_terminal_still_finds_one(tmp_path: Path) -> None:
    inner, outer = pty.openpty()
    result = subprocess.run([sys.executable, "-c", SPEAK], stdout=subprocess.PIPE, stderr=outer, check=True, timeout=60)
    os.close(outer)
    assert result.stdout.decode().strip() == repr("one\ntwo 1")
    assert b"two 1" in os.read(inner, 1000)
    os.close(inner)


def test_the_cause_is_what_the_stage_said_however_many_lines_it_took() -> None:
    said = "Running stage 'train':\nerror: one\ntwo\n\nERROR: failed to reproduce 'train': failed to run: x\n"
    assert last_words.cause(said) == "train: one\ntwo"


def test_a_failed_repro_ends_with_the_cause(toy: Project) -> None:
    toy.edit("src/toy/helper.py", "WORD = ", "WORDS = ")
    program = "from pathlib import Path; from lockstep.errors import exit_code; from lockstep.lock.reproduce import "
    program += "reproduce; raise SystemExit(exit_code(lambda: reproduce(Path.cwd())))"
    result = toy.run(sys.executable, "-c", program)
    last = result.stderr.rstrip().splitlines()[-1]
    assert last.startswith("error: `dvc repro` ended with exit code 255. What ran before that is kept. one: ")
    assert "WORD" in last
