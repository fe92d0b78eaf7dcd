"""The load: wrk with one thread and 16 connections that post the same row."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 16
SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a stretch of load saw: latencies in milliseconds, errors of any kind."""

    requests: int
    seconds: float
    p50: float
    p99: float
    worst: float
    errors: int
    processor: float = 0.0
    """Seconds that the server's processors worked for it."""

    @property
    def rate(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds

    @property
    def cost(self) -> float:
        """Microseconds of processor that a request took, whatever else the machine did meanwhile."""
        return 1e6 * self.processor / self.requests


def available() -> bool:
    """Whether wrk is there."""
    return shutil.which("wrk") is not None


def post(url: str, body: Path, seconds: float) -> Load:
    """Post a file's content over and over. Raises `RuntimeError` when wrk fails or says nothing."""
    whole = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{whole}s", "--timeout", "10s", "-s", str(SCRIPT), url, "--", body]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    measured = [line for line in done.stdout.splitlines() if line.startswith("MEASURED ")]
    if done.returncode or not measured:
        raise RuntimeError(f"wrk failed on {url}:\n{done.stdout}{done.stderr}")
    return Load(**json.loads(measured[0].removeprefix("MEASURED ")))
