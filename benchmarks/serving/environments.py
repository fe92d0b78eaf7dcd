"""Environments of the peers: made once with uv in the user's cache folder, and again when their pins change."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.workplace import ROOT

PEERS = Path(__file__).parent / "peers"
SERVED = ROOT / "requirements" / "serve.txt"
"""What the image installs: our own service is measured on exactly that."""


def cache() -> Path:
    """Where environments and fitted pipelines are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lockstep" / "bench-serving"


def pins(name: str) -> Path:
    """The file of pinned versions of an environment; `serve` is the image's."""
    return SERVED if name == "serve" else PEERS / "requirements" / f"{name}.txt"


def environment(name: str) -> Path:
    """The folder of a ready environment, made if it is not there. Raises `CalledProcessError` when uv fails."""
    content = pins(name).read_bytes() + sys.version.encode()
    folder = cache() / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    if not folder.is_dir():
        _make(name, folder)
    return folder


def _make(name: str, folder: Path) -> None:
    print(f"making the environment {folder}", file=sys.stderr)
    beside = folder.with_name(f".{folder.name}-{os.getpid()}")
    uv = str(Path(sys.executable).with_name("uv"))
    found = os.environ | {"VIRTUAL_ENV": str(beside)}
    if "PIP_INDEX_URL" in os.environ:
        found.setdefault("UV_DEFAULT_INDEX", os.environ["PIP_INDEX_URL"])
    try:
        # Relocatable: scripts find the interpreter beside them after the folder has its final name.
        subprocess.run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(beside)], check=True)
        command = [uv, "pip", "sync", "--quiet", "--compile-bytecode", str(pins(name))]
        subprocess.run(command, check=True, env=found)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
