"""A service for tests: small models of each task, and ways to ask it, in this process and in one of its own.

folder = a_model(tmp_path, "binary")             model.onnx, contract.json, golden.json
asked = Asked(folder)                            its ASGI application, without a socket
asked.post("/predict", rows)                     Reply(status, headers, body)
with process(folder, "lockstep") as url: …       `python -m lockstep.serving`; "bentoml": `bentoml serve`
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from conftest import ROOT
from lockstep.evaluation import golden
from lockstep.models.fitting import fit
from lockstep.models.model import load
from lockstep.serving.app import App
from lockstep.serving.service import Service
from lockstep.serving.settings import Settings
from small import a_spec, a_table, prepare

COLUMNS: dict[str, dict[str, Any]] = {
    "customer": {"type": "integer", "feature": False},
    "since": {"type": "datetime", "parts": ["weekday", "hour"], "max": "2030-01-01"},
    "city": {"type": "category"},
    "device": {"type": "category", "missing": "allowed"},
    "age": {"type": "number", "unit": "year", "min": -20, "max": 200, "about": "at the last birthday"},
    "income": {"type": "number", "missing": "allowed"},
    "visits": {"type": "integer", "min": 0},
    "email": {"type": "category", "private": True, "missing": "allowed"},
}

ROW: dict[str, Any] = {
    "since": "2024-03-01T10:00:00", "city": "Kiel", "device": "phone", "age": 44.5, "income": 30, "visits": 4,
}  # fmt: skip


def a_model(
    folder: Path, task: str = "binary", columns: Mapping[str, Any] | None = None, rows: int = 1500, **train: Any
) -> Path:
    """A small trained model as evaluate leaves it; `columns` are declared otherwise, or besides."""
    contract = {"columns": {**COLUMNS, **(columns or {})}}
    spec = a_spec(task, contract=contract, **({"train": train} if train else {}))
    training, holdout, _ = prepare(spec, a_table(rows))
    fitted = fit(spec, training, lambda _: None)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(fitted.graph)
    (folder / "contract.json").write_text(fitted.learned.to_json(), encoding="utf-8")
    (folder / "golden.json").write_text(json.dumps(golden(load(folder), holdout)), encoding="utf-8")
    return folder


def golden_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    return content


def said(answer: Mapping[str, Any]) -> Any:
    """What golden.json records of an answer."""
    if "probabilities" in answer:
        return list(answer["probabilities"].values())
    return answer.get("probability", answer.get("value"))


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Asked:
    """The application of a folder's model."""

    def __init__(self, folder: Path, log: Path | None = None, **told: Any) -> None:
        self.service = Service(Settings(model=folder, log=log, **told))
        self.inner: list[str] = []
        self.app = App(self._inner, self.service)

    async def _inner(self, scope: Any, receive: Any, send: Any) -> None:
        self.inner.append(scope.get("path", scope["type"]))
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"inner"})
            return
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    def post(self, path: str, content: Any, **headers: str) -> Reply:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask("POST", path, [body], **headers)

    def get(self, path: str, method: str = "GET") -> Reply:
        return self.ask(method, path, [])

    def ask(self, method: str, path: str, parts: Sequence[bytes | None], **headers: str) -> Reply:
        """One request whose body comes in parts; None: the caller goes away."""
        given = {"content_type": "application/json", **headers} if method == "POST" else headers
        head = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in given.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": head}
        return asyncio.run(self._ask(scope, list(parts)))

    async def _ask(self, scope: dict[str, Any], parts: list[bytes | None]) -> Reply:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not parts:
                return {"type": "http.request", "body": b"", "more_body": False}
            part = parts.pop(0)
            if part is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        if not sent:
            return Reply(0, {}, b"")
        headers = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], headers, b"".join(message["body"] for message in sent[1:]))

    def metric(self, line: str) -> float:
        """A sample's value by its name and labels, as the text has them."""
        text = self.get("/metrics").body.decode()
        found = [each.rpartition(" ")[2] for each in text.splitlines() if each.rpartition(" ")[0] == line]
        assert found, f"{line} is not in {text}"
        return float(found[0])


def a_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


COMMANDS = {
    "lockstep": ["-m", "lockstep.serving"],
    "bentoml": ["-m", "bentoml", "serve", "lockstep.service:service"],
}


@dataclass(frozen=True)
class Running:
    """A service in a process of its own, with what it says."""

    url: str
    process: subprocess.Popen[bytes]
    stderr: Path

    @property
    def words(self) -> str:
        return self.stderr.read_text(encoding="utf-8", errors="replace")


@contextmanager
def process(
    folder: Path, kind: str, home: Path, *, options: Sequence[str] = (), ready: bool = True, **environ: str
) -> Iterator[Running]:
    """A real service, ready."""
    port = a_port()
    told = {"LOCKSTEP_MODEL": str(folder), "LOCKSTEP_PORT": str(port), "LOCKSTEP_HOST": "127.0.0.1"}
    world = {**os.environ, "BENTOML_HOME": str(home), "PYTHONPATH": str(ROOT / "src"), **told, **environ}
    command = [sys.executable, *options, *COMMANDS[kind]]
    command += ["--port", str(port), "--host", "127.0.0.1"] if kind == "bentoml" else []
    home.mkdir(exist_ok=True)
    words = home / "words"
    with words.open("wb") as stderr:
        started = subprocess.Popen(command, env=world, cwd=home, stdout=stderr, stderr=stderr)
    running = Running(f"http://127.0.0.1:{port}", started, words)
    try:
        if ready:
            _wait(running)
        yield running
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _wait(running: Running) -> None:
    for _ in range(600):
        assert running.process.poll() is None, running.words
        try:
            if httpx.get(f"{running.url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(running.words)
