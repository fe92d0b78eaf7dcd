"""The try-out: an image runs as it will in production, and harder; it must answer as the reviewed model does.

Everything is compared with the golden rows of the folder that was checked against the lock, not with the image's own.
The container has no network but its own loopback; who asks runs in it too (`asker`).
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lockstep.errors import OutsideError, Refused
from lockstep.lock.scratch import terminable, undisturbed
from lockstep.release import asker, bento, engines, image, outside
from lockstep.release.engines import Engine
from lockstep.release.questions import Golden, Question, questions, wrong_in_log
from lockstep.release.wanted import Wanted

MEMORY, PIDS = "512m", 100
STARTS, READY, ANSWERS = 60.0, 30.0, 180.0
"""Seconds for the engine to start it, for the service to be ready, for all answers."""

LOG = "/log"
TOLD = 5
"""So many faults are told."""

ENGINE_FAILED = 125
"""How `podman run` and `docker run` end when the engine failed, not what it ran."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What was seen of an image that passed: seconds from the engine's start to ready, and how much was asked."""

    ready: float
    golden: int
    questions: int


def try_out(engine: Engine, name: str, model: Path, wanted: Wanted) -> Tried:
    """Run the image hardened, ask it everything, stop it.

    Raises `Refused`, with the container's last lines, when the image is not as it must be; `OutsideError` when the
    engine fails.
    """
    golden = Golden.of(model)
    asked = list(questions(golden, wanted))
    if why := _runs_as_root(engine, name):
        raise Refused(f"the image was not accepted: {why}")
    with tempfile.TemporaryFile() as log, terminable(), _running(engine, name, log) as running:
        told = running.ask(asked)
        faults = list(_faults(told, asked, golden, wanted))
        if faults:
            raise running.refused(faults)
    return Tried(ready=told["at"] - running.began, golden=len(golden.rows), questions=len(asked))


def _runs_as_root(engine: Engine, name: str) -> str:
    user = str(engines.field(engine, name, ".Config.User"))
    return "" if re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", user) else f"its user is `{user}`, not a number above 0"


@dataclass(frozen=True, kw_only=True)
class _Running:
    """A container that runs, as far as we know."""

    engine: Engine
    name: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    began: float

    def ask(self, asked: Sequence[Question]) -> dict[str, Any]:
        """What the asker tells. Raises `Refused` when the container ends, `OutsideError` when the engine fails."""
        wanted = {
            "seconds": READY, "log": LOG, "lines": sum(question.lines for question in asked), "folder": image.HOME,
            "requests": [question.request(number) for number, question in enumerate(asked)],
        }  # fmt: skip
        script = Path(asker.__file__).read_text(encoding="utf-8")
        command = self.engine.execute(self.name, image.PYTHON, "-I", "-c", script)
        self._wait_until_it_runs()
        try:
            said = outside.run(command, "asking the container", timeout=READY + ANSWERS, stdin=json.dumps(wanted))
            told: dict[str, Any] = json.loads(said)
        except (outside.Failed, ValueError) as error:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
            if self.process.poll() is None:
                raise
            raise self._ended() from error
        return told

    def _wait_until_it_runs(self) -> None:
        end = time.monotonic() + STARTS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise self._ended()
            with suppress(outside.Failed):  # it is not there yet
                command = [self.engine.runner, "inspect", "--format", "{{.State.Running}}", self.name]
                if outside.run(command, "looking at the container", timeout=engines.LOOK).strip() == "true":
                    return
            time.sleep(0.02)
        raise OutsideError(f"{self.engine.runner} did not start the container in {STARTS:g} seconds")

    def _ended(self) -> Exception:
        code = self.process.returncode
        if code == ENGINE_FAILED:
            return OutsideError(f"{self.engine.runner} could not run the image: {outside.last_lines(self._said())}")
        return self.refused([f"its container ended with {code}" + " (out of memory?)" * (code == 137)])

    def refused(self, faults: Sequence[str]) -> Refused:
        """The refusal, with the container's last words."""
        more = f"\n… and {len(faults) - TOLD} more" if len(faults) > TOLD else ""
        listed = "\n".join(f"- {fault}" for fault in faults[:TOLD])
        return Refused(
            f"the image was not accepted, and nothing was pushed:\n{listed}{more}\n"
            f"The container's last lines:\n{outside.last_lines(self._said())}"
        )

    def _said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")


@contextmanager
def _running(engine: Engine, name: str, log: IO[bytes]) -> Iterator[_Running]:
    """A container, removed however the block ends; the engine stops it should this process be killed."""
    container = f"lockstep-try-{secrets.token_hex(6)}"
    told = {"LOCKSTEP_LOG": LOG, "LOCKSTEP_LOG_SAMPLE": "1"}
    command = engine.run(name, container, told, memory=MEMORY, pids=PIDS)
    began = time.time()
    with outside.started(command, log, stdout=log) as process:
        try:
            yield _Running(engine=engine, name=container, process=process, log=log, began=began)
        finally:
            _remove(engine, container, process)


def _remove(engine: Engine, container: str, process: subprocess.Popen[bytes]) -> None:
    with undisturbed():
        with suppress(outside.Failed):  # it has ended, and is gone
            outside.run(engine.remove(container), "removing the container", timeout=engines.LOOK)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)


def _faults(told: Mapping[str, Any], asked: Sequence[Question], golden: Golden, wanted: Wanted) -> Iterator[str]:
    """What is wrong with the image, in sentences."""
    if not told["ready"]:
        yield f"it was not ready after {READY:g} seconds: /readyz said {str(told['said'])[:300] or 'nothing'}"
        return
    for question, (status, text) in zip(asked, told["answers"], strict=True):
        if wrong := question.wrong(status, text):
            yield wrong
    expected = sum(question.lines for question in asked)
    if wrong := wrong_in_log(told["log"], golden, expected, wanted):
        yield wrong
    if told["uid"] == 0 or told["writable"]:
        yield f"it runs as user {told['uid']}, and can write to {told['writable']}"
    yield from _unwanted(told["files"])


def _unwanted(files: Sequence[str]) -> Iterator[str]:
    """Files that no image may hold: anything of a model but what is served, and tables of any kind."""
    model = f"{image.HOME}/src/{bento.MODEL}/"
    for path in files:
        other = path.startswith(model) and path.removeprefix(model) not in bento.SERVED
        if other or Path(path).suffix in (".parquet", ".csv", ".pkl", ".joblib", ".feather", ".arrow"):
            yield f"it holds {path}"
