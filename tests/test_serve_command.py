"""`lockstep serve`: what it tells the service. The service itself: test_service."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from conftest import ROOT
from containers import free_port
from served import a_model


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the example's spec and a small model."""
    a_model(tmp_path / "model")
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("name: flight-delays", "name: my-own", 1), encoding="utf-8")
    return tmp_path


def test_it_serves_under_the_project_s_name_on_this_machine_alone_until_ctrl_c(project: Path) -> None:
    port = free_port()
    command = ["lockstep", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=5) as answer:
                    version = json.load(answer)
                break
            except OSError:
                time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
    assert version["name"] == "my-own"
    assert process.returncode == 0, said
    assert "interrupted" not in said
