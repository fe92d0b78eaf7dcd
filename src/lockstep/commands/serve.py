"""`lockstep serve`: the model of this folder, served as the image serves it."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import click

from lockstep.errors import InputError
from lockstep.running.console import say
from lockstep.spec import Spec, read_spec

PATH = click.Path(path_type=Path)


@click.command()
@click.option("--model", type=PATH, default=Path("model"), show_default=True, help="The folder of the model.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Who may ask: 0.0.0.0 is everybody.")
@click.option("--port", type=click.IntRange(0, 65535), default=3000, show_default=True)
@click.option("--log", type=PATH, help="The folder of the prediction log. Unless given, nothing is logged.")
def serve(model: Path, host: str, port: int, log: Path | None) -> None:
    """Answer rows over HTTP until Ctrl-C: POST /predict, and a page that says what may be sent, at /."""
    if importlib.util.find_spec("bentoml") is None:
        raise InputError("what serves is not installed here: `make serve`, or `pip install 'lockstep-ml[serve]'`")
    environment = os.environ | told(read_spec(Path("params.yaml")), model, host, port, log)
    say(f"http://{host}:{port} shows what may be sent; Ctrl-C ends it")
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-m", "lockstep.serving"], environment)  # noqa: S606  (no shell)


def told(spec: Spec, model: Path, host: str, port: int, log: Path | None) -> dict[str, str]:
    """What the service reads of its environment; see `lockstep.serving.settings`."""
    return {
        "LOCKSTEP_MODEL": str(model),
        "LOCKSTEP_NAME": spec.project.name,
        "LOCKSTEP_LOG_SAMPLE": f"{spec.serve.log:g}",
        "LOCKSTEP_HOST": host,
        "LOCKSTEP_PORT": str(port),
        "LOCKSTEP_LOG": str(log or ""),
    }
