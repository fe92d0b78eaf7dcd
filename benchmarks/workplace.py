"""Copies of this repository to measure in, and commands measured there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Measured:
    """One command: wall seconds, peak resident megabytes of its largest process, and what it printed."""

    seconds: float
    megabytes: float
    output: str


def copy(to: Path) -> Path:
    """A clone-like copy of the tracked files, with a git repository of its own and nothing in DVC's cache."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, names.split("\0")):
        target = to / name
        if (ROOT / name).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    subprocess.run(["git", "init", "-q"], cwd=to, check=True)
    return to


def run(command: list[str], folder: Path, **variables: str) -> Measured:
    """Run a command in a folder and measure it. Raises `RuntimeError` with its output when it fails."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{folder / 'src'}:{ROOT}",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "site"),
        **variables,
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    with (folder / ".output").open("w+") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        output.seek(0)
        text = output.read()
    if status:
        raise RuntimeError(f"{' '.join(command)} failed in {folder}:\n{text}")
    return Measured(seconds, usage.ru_maxrss / 1024, text)


def python(*arguments: str) -> list[str]:
    """A command of this interpreter, without warnings."""
    return [sys.executable, "-W", "ignore", *arguments]
