from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.serving import __main__ as command
from benchmarks.serving import contestants, environments, layers, load
from benchmarks.serving.servers import Running, Server, request, running
from benchmarks.serving.table import Row, Table

from conftest import ROOT, require
from flights import source
from lockstep.evaluation import golden
from lockstep.models import model
from lockstep.models.fitting import fit
from lockstep.spec.reader import read_spec
from small import prepare

FROZEN = "531553b1048524aa63c63890060fd27ddee3a59bc1e4534ff38c993cc18e3267"
"""SHA-256 of the strong peer. It changes with what we are measured against: say why in docs/measured.md."""


@pytest.fixture(scope="module")
def flights_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick model of a quarter's flights, by the worked example's own contract."""
    folder = tmp_path_factory.mktemp("model")
    spec = read_spec(ROOT / "params.yaml")
    spec = spec.model_copy(
        update={
            "ingest": spec.ingest.model_copy(update={"until": "2013-02-15"}),
            "split": spec.split.model_copy(update={"holdout": "1 week"}),
            "train": spec.train.model_copy(update={"params": {"max_iter": 5}}),
        }
    )
    training, holdout, _ = prepare(spec, source.load(pd.Timestamp("2013-01-01"), pd.Timestamp("2013-02-15")))
    fitted = fit(spec, training, lambda _: None)
    (folder / "model.onnx").write_bytes(fitted.graph)
    (folder / "contract.json").write_text(fitted.learned.to_json())
    (folder / "golden.json").write_text(json.dumps(golden(model.load(folder), holdout)))
    return folder


@pytest.fixture(scope="module")
def pair(flights_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    """Our service and the frozen peer, which has an environment of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(contestants, "MODEL", flights_model)
        try:
            homes = {"fastapi_onnx": environments.environment("fastapi_onnx"), "serve": Path(sys.prefix)}
        except (subprocess.CalledProcessError, FileNotFoundError):
            require(False, "uv, and a package index that it reaches")
        patch.setattr(contestants, "environment", homes.__getitem__)
        home = tmp_path_factory.mktemp("servers")
        with running(contestants.ours(), home / "1") as ours, running(contestants.hand(), home / "2") as hand:
            yield ours, hand


def ask(server: Running, content: Any) -> tuple[int, Any]:
    status, body = request(server.port, "POST", "/predict", json.dumps(content).encode())
    return status, json.loads(body)


def test_the_strong_peer_is_the_one_that_was_measured() -> None:
    content = (ROOT / "benchmarks" / "serving" / "peers" / "fastapi_onnx.py").read_bytes()
    assert hashlib.sha256(content).hexdigest() == FROZEN


def test_the_strong_peer_and_ours_answer_the_same_rows_alike(
    pair: tuple[Running, Running], flights_model: Path
) -> None:
    content = json.loads((flights_model / "golden.json").read_text())
    (_, ours), (_, hand) = (ask(server, content["rows"]) for server in pair)
    assert [one["label"] for one in ours] == [one["label"] for one in hand]
    assert {one["threshold"] for one in ours} == {one["threshold"] for one in hand}
    said = np.array([[one["probability"] for one in answers] for answers in (ours, hand)], np.float32)
    assert said[0].tobytes() == said[1].tobytes() == np.array(content["predictions"], np.float32).tobytes()
    for row, expected in zip(content["rows"], content["predictions"], strict=True):
        assert {np.float32(server.predict(row)) for server in pair} == {np.float32(expected)}


def test_the_strong_peer_and_ours_find_the_same_cells_bad(pair: tuple[Running, Running], flights_model: Path) -> None:
    good = json.loads((flights_model / "golden.json").read_text())["rows"][0]
    bad: list[dict[str, Any]] = [
        {"distance": -3, "humidity": 101, "scheduled_departure": "soon"},
        {"origin": "BOS", "seats": 0, "aircraft_year": 2001.5},
        {"carrier": None, "pressure": "high", "scheduled_arrival": 1441, "manufacturer": 7},
        {"wind_gust": True, "destination": "", "temperature": [1]},
    ]
    found = []
    for server in pair:
        status, answer = ask(server, [good | change for change in bad])
        assert status == 400
        found.append(sorted((problem["row"], problem["column"]) for problem in answer["problems"]))
    assert found[0] == found[1] == sorted((row, name) for row, change in enumerate(bad) for name in change)


def test_without_each_layer_that_is_measured_the_service_still_answers(
    flights_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contestants, "MODEL", flights_model)
    monkeypatch.setattr(contestants, "environment", lambda _: Path(sys.prefix))
    content = json.loads((flights_model / "golden.json").read_text())
    off = ",".join(layer for layer in layers.LAYERS if layer != "log")
    bare = contestants.ours("bare", "benchmarks.serving.layers_off", LAYERS_OFF=off, LOCKSTEP_LOG="")
    with running(bare, tmp_path) as server:
        assert [server.predict(row) for row in content["rows"]] == content["predictions"]
        assert (
            request(server.port, "POST", "/predict", json.dumps({**content["rows"][0], "distance": -1}).encode())[0]
            == 200
        )
        counted = request(server.port, "GET", "/metrics")[1].decode()
    assert 'lockstep_predictions_total{label="true"} 0.0' in counted


def test_what_the_images_borrow_of_the_container_tests_is_there() -> None:
    import containers

    assert {"Containers", "_configuration", "_base_images", "_clean"} <= set(vars(containers))


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    broken = Server(name="broken", command=lambda port: [sys.executable, "-c", "1 / 0"], environment={})
    with pytest.raises(RuntimeError, match="ZeroDivisionError"), running(broken, tmp_path):
        pass


class Failing(BaseHTTPRequestHandler):
    """Every other answer is a 500."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked += 1
        self.send_response(500 if self.asked % 2 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_the_load_counts_answers_that_are_errors(tmp_path: Path) -> None:
    require(shutil.which("wrk"), "wrk")
    (tmp_path / "body").write_text("{}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        seen = load.post(f"http://127.0.0.1:{server.server_port}/", tmp_path / "body", 1)
    finally:
        server.shutdown()
        server.server_close()
    assert seen.requests > 0
    assert abs(seen.errors - seen.requests / 2) <= load.CONNECTIONS


def test_a_missed_bound_is_told_and_ends_with_three(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def table(holds: bool) -> Any:
        return lambda effort, folder: [
            Table(title="t", heads=("s",), rows=(Row(name="n", values=("1",), holds=holds),))
        ]

    monkeypatch.setattr(load, "available", lambda: True)
    monkeypatch.setattr(command, "PARTS", {"good": table(True), "bad": table(False)})
    assert command.main(["--only", "good"]) == 0
    assert "MISSED" not in capsys.readouterr().out
    assert command.main([]) == 3
    assert capsys.readouterr().out.count("MISSED") == 1


def test_without_the_load_generator_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="apt-get install wrk"):
        command.main([])
