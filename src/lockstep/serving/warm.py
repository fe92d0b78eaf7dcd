"""Run while the image is built: of the packages only what a service needs stays, with bytecode of what it imports.

The service runs once and is asked everything that it answers; Python itself then leaves bytecode of exactly the modules
that were used, which is written anew in a form that is the same in every build and is never checked against a source.
The standard library only: this file is copied into the build alone.
"""

from __future__ import annotations

import http.client
import json
import os
import py_compile
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FOLDERS = (
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnxruntime/quantization",
    "onnxruntime/datasets",
    "onnxruntime/backend",
    "numpy/f2py",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/random/lib",
    "numpy/typing/tests",
    "tornado/test",
    "uvloop/include",
    "pygments/lexers",
)
"""For those who build, convert or colour; a service that imported one of them would fail the try-out."""

FILES = ("onnxruntime/capi/libonnxruntime.so*",)
"""Patterns. Python's own module has the runtime built in; this second copy is for programs in C."""

KEPT_LEXERS = ("__init__.py", "_mapping.py", "python.py", "special.py")
NAMES = ("tests", "__pycache__")
SUFFIXES = (".pyi", ".pyx", ".pxd", ".c", ".h", ".a", ".bat", ".fish", ".csh", ".nu", ".ps1", ".xsh")
MARK = "lockstep-warm:"
"""Begins the line by which who builds knows that it was the service that failed."""

PATIENCE = 60.0


def trim(venv: Path) -> None:
    """Remove what a service has no use for."""
    for packages in venv.glob("lib/python*/site-packages"):
        for name in FOLDERS:
            _remove(packages / name, KEPT_LEXERS if name.startswith("pygments") else ())
        for path in [path for pattern in FILES for path in packages.glob(pattern)]:
            path.unlink()
        for folder, folders, files in os.walk(packages):
            for name in [name for name in folders if name in NAMES]:
                shutil.rmtree(Path(folder) / name)
                folders.remove(name)
            for name in files:
                if name.endswith(SUFFIXES):
                    (Path(folder) / name).unlink()
    for path in (venv / "bin").iterdir():
        if not path.name.startswith(("python", "bentoml")):
            path.unlink()


def _remove(folder: Path, kept: tuple[str, ...]) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def exercise(python: Path, home: Path) -> str:
    """Run the service and ask it everything; what went wrong, "" if nothing."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        told = {
            "LOCKSTEP_HOST": "127.0.0.1",
            "LOCKSTEP_PORT": str(port),
            "LOCKSTEP_LOG": folder,
            "BENTOML_HOME": folder,
        }
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ |= {"PYTHONPATH": f"{home / 'src'}{os.pathsep}{home}", "BENTOML_DO_NOT_TRACK": "true", **told}
        environ["ORT_DISABLE_TELEMETRY"] = "1"
        process = subprocess.Popen([python, "-m", "lockstep.serving"], cwd=home, env=environ)
        try:
            return _ask(process, port, json.loads((home / "model" / "golden.json").read_text(encoding="utf-8"))["rows"])
        finally:
            process.send_signal(signal.SIGINT)  # at once, where SIGTERM gives notice first
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port() -> int:
    """The build may share its network with others."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ask(process: subprocess.Popen[bytes], port: int, rows: list[object]) -> str:
    end = time.monotonic() + PATIENCE
    while not _answer(port, "GET", "/livez"):
        if process.poll() is not None:
            return f"the service ended with {process.returncode}"
        if time.monotonic() > end:
            return f"the service did not answer in {PATIENCE:g} seconds"
        time.sleep(0.05)
    for path in ("/readyz", "/contract", "/openapi.json", "/docs.json", "/metrics", "/version", "/", "/nothing"):
        _answer(port, "GET", path)
    for body in (rows, rows[0], {}, [{"no": []}], {key: [] for key in rows[0]} if isinstance(rows[0], dict) else []):
        _answer(port, "POST", "/predict", body)
    _answer(port, "POST", "/feedback", {"request": "warm", "row": 0, "outcome": 0})
    time.sleep(0.5)
    return ""


def _answer(port: int, method: str, path: str, body: object = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"content-type": "application/json"} if content else {})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return 0
    else:
        return answer.status
    finally:
        connection.close()


def settle(*folders: Path) -> int:
    """Write bytecode that was left anew, in a form that does not depend on when; how many there are."""
    found = sorted({source for folder in folders for source in _used(folder)})
    for source in found:
        py_compile.compile(
            str(source), doraise=True, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
    return len(found)


def _used(folder: Path) -> Iterator[Path]:
    for bytecode in folder.rglob("__pycache__/*.pyc"):
        source = bytecode.parent.parent / f"{bytecode.name.partition('.')[0]}.py"
        bytecode.unlink()
        if source.is_file():
            yield source


def main(venv: Path, home: Path) -> None:
    """Trim and warm an environment and the service in `home`. Ends with an error when the service does not run."""
    trim(venv)
    if trouble := exercise(venv / "bin" / "python", home):
        sys.exit(f"{MARK} {trouble}")
    settle(venv / "lib", home)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
