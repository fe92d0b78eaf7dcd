"""The service in real processes: as BentoML serves it, and as the image does."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grimp
import httpx
import pytest
import yaml

from conftest import ROOT, require
from lockstep.serving.fingerprint import of_folder
from served import ROW, a_model, a_port, golden_of, process, said

FOREIGN = {"pandas", "sklearn", "dvc", "pyarrow", "scipy", "skl2onnx", "onnx", "lightgbm", "xgboost", "pandera"}
"""What trains and reports. None of it is in the image."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("model"))


def replayed(url: str, golden: dict[str, Any]) -> list[Any]:
    """What a service says of the golden rows, one by one and together, which must be the same."""
    with httpx.Client(base_url=url) as client:
        one_by_one = [said(client.post("/predict", json=row).json()) for row in golden["rows"]]
        together = [said(answer) for answer in client.post("/predict", json=golden["rows"]).json()]
    assert one_by_one == together
    return together


@pytest.mark.parametrize("kind", ["lockstep", "bentoml"])
def test_golden_rows_are_answered_to_the_bit_and_all_paths_are_ours(kind: str, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    told = {"LOCKSTEP_LOG": str(log), "LOCKSTEP_VERSION": "v1.2.0", "LOCKSTEP_NAME": "customers"}
    golden = golden_of(folder)
    with process(folder, kind, tmp_path / "home", **told) as running:
        url = running.url
        assert replayed(url, golden) == golden["predictions"]
        bad = httpx.post(f"{url}/predict", json=[{**ROW, "age": 900}])
        assert (bad.status_code, bad.json()["problems"][0]["rule"]) == (400, "at most 200")
        assert httpx.get(f"{url}/version").json()["fingerprint"] == of_folder(folder)
        assert httpx.get(f"{url}/docs.json").json()["info"]["title"] == "customers"
        assert httpx.get(f"{url}/static_content/swagger-ui.css").status_code == 200
        assert "googletagmanager" not in httpx.get(f"{url}/").text
        assert httpx.get(f"{url}/schema.json").status_code == 404
        assert 'lockstep_requests_total{path="/predict",status="200"}' in httpx.get(f"{url}/metrics").text
    logged = [json.loads(line) for path in log.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert len(logged) == 2 * len(golden["rows"])
    assert not list(log.glob("*.part"))


def test_the_worked_examples_golden_rows_are_answered_to_the_bit(tmp_path: Path) -> None:
    require((ROOT / "model/model.onnx").exists(), "the worked example's model: `make repro` makes it")
    golden = golden_of(ROOT / "model")
    with process(ROOT / "model", "lockstep", tmp_path / "home") as running:
        assert replayed(running.url, golden) == golden["predictions"]


def test_nothing_that_trains_is_in_the_process(folder: Path, tmp_path: Path) -> None:
    with process(folder, "lockstep", tmp_path / "home", options=["-X", "importtime"]) as running:
        assert httpx.post(f"{running.url}/predict", json=ROW).status_code == 200
        imported = set(re.findall(r"^import time: .*\| +(\S+)$", running.words, re.MULTILINE))
    assert {"bentoml", "onnxruntime", "lockstep.serving.app"} <= imported
    assert not FOREIGN & {name.partition(".")[0] for name in imported}
    modules = {name for name in imported if name.partition(".")[0] == "lockstep"}
    assert {f"src/{name.replace('.', '/')}" for name in modules} <= {
        path.removesuffix(".py").removesuffix("/__init__") for path in included()
    }


def included() -> list[str]:
    return list(yaml.safe_load((ROOT / "bentofile.yaml").read_text())["include"])


def test_the_bento_holds_what_the_service_imports_and_nothing_else() -> None:
    graph = grimp.build_graph("lockstep", cache_dir=None)
    roots = ("lockstep.service", "lockstep.serving.__main__")
    needed = {name for root in roots for name in (root, *graph.find_upstream_modules(root))}
    needed |= {name.rpartition(".")[0] for name in needed} | {"lockstep"}
    paths = {ROOT / "src" / name.replace(".", "/") for name in needed if name}
    files = {path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for path in paths}
    expected = {str(path.relative_to(ROOT)) for path in files}
    model = {"model/contract.json", "model/golden.json", "model/model.onnx"}
    assert included() == [*sorted(expected), *sorted(model)]


def test_loading_the_module_loads_no_model(tmp_path: Path) -> None:
    code = "import lockstep.service, sys; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0


def test_told_to_stop_it_is_not_ready_for_a_while_and_requests_finish(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    told = {"LOCKSTEP_LOG": str(log), "LOCKSTEP_NOTICE": "1"}
    with process(folder, "lockstep", tmp_path / "home", **told) as running:
        body = json.dumps(ROW).encode()
        with httpx.Client() as client, socket.create_connection(_address(running.url)) as slow:
            head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            slow.sendall(head + body[:5])
            client.post(f"{running.url}/predict", json=ROW)
            running.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert client.get(f"{running.url}/readyz").status_code == 503
            assert httpx.post(f"{running.url}/predict", json=ROW).headers["connection"] == "close"
            time.sleep(1.2)
            slow.sendall(body[5:])
            assert slow.recv(100).startswith(b"HTTP/1.1 200")
        assert running.process.wait(10) in (0, -signal.SIGTERM)
    assert sum(len(path.read_bytes().splitlines()) for path in log.glob("*.jsonl")) == 3


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def test_small_requests_are_answered_while_a_thousand_rows_are(folder: Path, tmp_path: Path) -> None:
    with process(folder, "lockstep", tmp_path / "home") as running:
        many, slowest, stop = json.dumps([ROW] * 1000).encode(), [], threading.Event()

        def large() -> None:
            with httpx.Client() as client:
                while not stop.is_set():
                    assert client.post(f"{running.url}/predict", content=many, headers=JSON).status_code == 200

        thread = threading.Thread(target=large)
        thread.start()
        with httpx.Client() as client:
            for _ in range(100):
                started = time.perf_counter()
                assert client.post(f"{running.url}/predict", json=ROW).status_code == 200
                slowest.append(time.perf_counter() - started)
        stop.set()
        thread.join()
    assert sorted(slowest)[50] < 0.1


JSON = {"content-type": "application/json"}


@contextmanager
def impatient(folder: Path, home: Path, **limits: float) -> Iterator[tuple[str, int]]:
    """A service whose limits are others, for tests that need not wait as long as callers may."""
    told = "; ".join(f"s.{name} = {value}" for name, value in limits.items())
    code = (
        f"import lockstep.serving.server as s, runpy; {told}; runpy.run_module('lockstep.serving', run_name='__main__')"
    )
    port = a_port()
    world = {"LOCKSTEP_MODEL": str(folder), "LOCKSTEP_PORT": str(port), "LOCKSTEP_HOST": "127.0.0.1"}
    with (home / "words").open("wb") as words:
        started = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **world}, stderr=words)
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        yield "127.0.0.1", port
    finally:
        started.terminate()
        started.wait(20)


def asked(connection: socket.socket, head: str, end: bytes = b"}") -> bytes:
    """The answer to what is sent on a connection of one's own."""
    connection.settimeout(10)
    connection.sendall(head.replace("\n", "\r\n").encode())
    answer = b""
    while not answer.endswith(end):
        part = connection.recv(10_000)
        if not part:
            break
        answer += part
    return answer


def cut_off(connection: socket.socket, within: float) -> bool:
    """Does the other side end the connection?"""
    connection.settimeout(within)
    try:
        while connection.recv(100_000):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def test_a_caller_that_sends_no_head_or_an_endless_one_is_cut_off(folder: Path, tmp_path: Path) -> None:
    with impatient(folder, tmp_path, HEAD_PATIENCE=0.5) as address:
        with socket.create_connection(address) as silent:
            silent.sendall(b"POST /predict HTTP/1.1\r\nhost: x")
            assert cut_off(silent, 10)
        with socket.create_connection(address) as later:
            assert b"true" in asked(later, "GET /livez HTTP/1.1\nhost: x\n\n")
            later.sendall(b"GET /livez HTTP/1.1\r\nhost: x")
            assert cut_off(later, 10)
        with socket.create_connection(address) as endless:
            endless.settimeout(10)
            answer = b""
            try:
                endless.sendall(
                    b"GET /livez HTTP/1.1\r\n" + b"".join(b"x-%d: %s\r\n" % (at, b"y" * 1000) for at in range(200))
                )
                answer = endless.recv(100)
            except ConnectionError:
                pass
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
        metrics = httpx.get(f"http://{address[0]}:{address[1]}/metrics").text
        assert 'lockstep_requests_total{path="(other)",status="400"} 1.0' in metrics
    assert "Invalid HTTP" not in (tmp_path / "words").read_text()


HOLDING = {
    "a body that a GET announces": ("GET /livez HTTP/1.1\nhost: x\ncontent-length: 1000\n\n", 0),
    "one that drips": ("GET /nope HTTP/1.1\nhost: x\ntransfer-encoding: chunked\n\n", 0.1),
    "one that nobody reads": ("POST /predict HTTP/1.1\nhost: x\ncontent-type: a/b\ncontent-length: 99999\n\n", 0.1),
    "an empty line now and then": ("GET /livez HTTP/1.1\nhost: x\n\n", 0.1),
}


@pytest.mark.parametrize("how", HOLDING)
def test_a_caller_that_was_answered_and_says_little_more_is_cut_off(how: str, folder: Path, tmp_path: Path) -> None:
    head, pause = HOLDING[how]
    with (
        impatient(folder, tmp_path, HEAD_PATIENCE=0.5, BODY_PATIENCE=0.5) as address,
        socket.create_connection(address) as holding,
    ):
        assert asked(holding, head).startswith(b"HTTP/1.1")
        end = time.monotonic() + 5
        try:
            while pause and time.monotonic() < end:
                holding.sendall(b"1\r\na\r\n" if "chunked" in head else b"\r\n" if "empty" in how else b"a")
                time.sleep(pause)
        except ConnectionError:
            pass
        assert cut_off(holding, 5 if not pause else 0.5)
        with socket.create_connection(address) as patient:
            for _ in range(3):
                assert b"true" in asked(patient, "GET /livez HTTP/1.1\nhost: x\n\n")
                time.sleep(0.8)


def test_a_caller_that_does_not_read_its_answers_is_cut_off(folder: Path, tmp_path: Path) -> None:
    body = json.dumps([ROW] * 1000)
    request = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    with impatient(folder, tmp_path, ANSWER_PATIENCE=0.5) as address, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(address)
        deaf.settimeout(3)
        with suppress(TimeoutError, ConnectionError):
            for _ in range(200):
                deaf.sendall(request)
        time.sleep(1)
        assert cut_off(deaf, 10)
        assert httpx.get(f"http://{address[0]}:{address[1]}/livez").status_code == 200


def test_idle_connections_make_room_and_probes_are_answered_however_many_there_are(
    folder: Path, tmp_path: Path
) -> None:
    probe = "GET /livez HTTP/1.1\nhost: x\n\n"
    with impatient(folder, tmp_path, MOST_CONNECTIONS=20) as address, ExitStack() as open_ones:

        def connected() -> socket.socket:
            return open_ones.enter_context(socket.create_connection(address))

        idle = [connected() for _ in range(60)]
        for each in idle:
            with suppress(ConnectionError):
                asked(each, probe)
        assert b"200 OK" in asked(connected(), "GET /version HTTP/1.1\nhost: x\n\n"), "an idle one makes room"
        for _ in range(20):  # each takes the place of an idle one; more at once would be turned away themselves
            connected().sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n")
        time.sleep(0.5)
        answer = asked(connected(), "GET /version HTTP/1.1\nhost: x\n\n")
        assert b"503 Service Unavailable" in answer
        assert b'"error":"there are too many connections' in answer
        assert b"retry-after: 3" in answer
        assert b"200 OK" in asked(connected(), probe)
        metrics = asked(connected(), "GET /metrics HTTP/1.1\nhost: x\nconnection: close\n\n", end=b"(never)")
        assert b'lockstep_requests_total{path="/version",status="503"} 1.0' in metrics


def test_ctrl_c_ends_a_service_without_a_complaint(folder: Path, tmp_path: Path) -> None:
    with process(folder, "lockstep", tmp_path / "home") as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(10) == 0
        assert "interrupted" not in running.words
        assert f"listening on {running.url.removeprefix('http://')}" in running.words


def test_a_port_that_is_taken_and_a_model_that_is_not_there_are_said_in_a_sentence(
    folder: Path, tmp_path: Path
) -> None:
    with process(tmp_path / "nothing", "lockstep", tmp_path / "one", ready=False) as running:
        assert running.process.wait(30) == 1
        assert "contract.json is missing" in running.words
        assert "Traceback" not in running.words
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        told = {"LOCKSTEP_PORT": str(taken.getsockname()[1])}
        with process(folder, "lockstep", tmp_path / "two", ready=False, **told) as running:
            assert running.process.wait(30) == 4
            assert "is the port taken" in running.words
            assert "listening on" not in running.words
    for name, value, word in (
        ("HOST", "nohost.invalid", "an address of this machine"),
        ("HOST", "192.0.2.1", "0.0.0.0"),
    ):
        with process(folder, "lockstep", tmp_path / "three", ready=False, **{f"LOCKSTEP_{name}": value}) as running:
            assert running.process.wait(30) == 1
            assert word in running.words
            assert "port taken" not in running.words
