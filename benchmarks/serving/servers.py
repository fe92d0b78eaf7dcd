"""A server as a child: started, waited for, looked at, stopped with everything that it started."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

QUIET = {
    "OMP_NUM_THREADS": "1",
    "BENTOML_DO_NOT_TRACK": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_SKILL_INSTALLATION_SUGGESTION": "true",
}
"""One thread computes in every server, which is quicker for all of them at one row; nobody phones home."""

START_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Server:
    """How to start a server of the model, and how it is asked.

    `command` gets the port; `ask` wraps a row as the server wants it; `answer` takes the probability from its answer.
    """

    name: str
    command: Callable[[int], list[str]]
    environment: Mapping[str, str]
    path: str = "/predict"
    ready: str = "/readyz"
    ask: Callable[[Mapping[str, Any]], Any] = field(default=lambda row: row)
    answer: Callable[[Any], float] = field(default=lambda found: found["probability"])


class Died(RuntimeError):
    """A server that ended or never became ready; its output says why."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that answered its readiness probe."""

    server: Server
    process: subprocess.Popen[bytes]
    port: int
    seconds: float
    home: Path

    @property
    def url(self) -> str:
        """Where rows are posted."""
        return f"http://127.0.0.1:{self.port}{self.server.path}"

    def predict(self, row: Mapping[str, Any]) -> float:
        """The probability of one row, over HTTP. Raises `RuntimeError` when the answer is no 200."""
        body = json.dumps(self.server.ask(row)).encode()
        status, content = request(self.port, "POST", self.server.path, body)
        if status != 200:
            raise RuntimeError(f"{self.server.name} answered {status}: {content[:300]!r}")
        return float(self.server.answer(json.loads(content)))

    def megabytes(self) -> float:
        """Resident memory of the largest of its processes: the one that answers."""
        return max(map(_resident, _family(self.process.pid)), default=0.0)

    def processor(self) -> float:
        """Processor seconds of all its processes until now."""
        return sum(map(_worked, _family(self.process.pid)))


@contextlib.contextmanager
def running(server: Server, home: Path) -> Iterator[Running]:
    """Start a server with a folder of its own, wait until it is ready, and stop it at the end."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    found = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LOCKSTEP_"))}
    start = time.perf_counter()
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(
            server.command(port),
            cwd=home,
            env={**found, **QUIET, **_own(home, port), **server.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(server, process, port, home)
        yield Running(server=server, process=process, port=port, seconds=time.perf_counter() - start, home=home)
    finally:
        _stop(process)


def _own(home: Path, port: int) -> dict[str, str]:
    """What a server keeps to itself, and where ours listens."""
    return {"BENTOML_HOME": str(home / "bentoml"), "LOCKSTEP_HOST": "127.0.0.1", "LOCKSTEP_PORT": str(port)}


def request(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and content of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _wait(server: Server, process: subprocess.Popen[bytes], port: int, home: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, http.client.HTTPException):
            if request(port, "GET", server.ready)[0] == 200:
                return
        time.sleep(0.02)
    said = (home / "output").read_text(errors="replace")[-3000:]
    raise Died(f"{server.name} did not become ready:\n{said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole session that the server leads: first by its own shutdown, then by force."""
    for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(patience)


def _family(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children")
    try:
        return [parent, *(pid for child in children.read_bytes().split() for pid in _family(int(child)))]
    except OSError:
        return []


def _resident(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _worked(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    # From the state on, which is the third field: utime and stime are the 14th and 15th.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
