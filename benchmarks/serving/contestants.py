"""Who is measured: ours, the peers, and the limit. Each is one worker and gets the row as it wants it."""

from __future__ import annotations

from benchmarks.serving.environments import PEERS, environment
from benchmarks.serving.fitted import fitted
from benchmarks.serving.servers import Server
from benchmarks.workplace import ROOT

OURS, OURS_IN_BENTOML = "lockstep", "lockstep under `bentoml serve`"
HAND, LIMIT = "FastAPI + ONNX, by hand", "bare ASGI + ONNX: the limit"
MLFLOW, FASTAPI, BENTOML = "mlflow models serve", "FastAPI + scikit-learn", "BentoML quickstart + scikit-learn"
SLOW = (MLFLOW, FASTAPI, BENTOML)
"""The peers that load the scikit-learn pipeline."""

MODEL = ROOT / "model"
UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


def everybody() -> list[Server]:
    """All of them, ours first."""
    return [ours(), ours_in_bentoml(), hand(), limit(), mlflow(), fastapi(), bentoml()]


def ours(name: str = OURS, module: str = "lockstep.serving", **variables: str) -> Server:
    """Our service as the image starts it, everything on; an empty variable counts as unset."""
    return Server(name=name, command=lambda port: [_tool("serve", "python"), "-m", module], environment=_own(variables))


def ours_in_bentoml() -> Server:
    """The same service as `bentoml serve` starts it."""
    return Server(
        name=OURS_IN_BENTOML,
        command=lambda port: [*_bentoml("serve"), "lockstep.service:service", "--port", str(port)],
        environment=_own({}),
    )


def hand() -> Server:
    """The frozen strong peer."""
    return _asgi(HAND, "fastapi_onnx", "fastapi_onnx", {"MODEL": str(MODEL)})


def limit() -> Server:
    """As little as can be done."""
    return _asgi(LIMIT, "fastapi_onnx", "bare_asgi", {"MODEL": str(MODEL)})


def fastapi() -> Server:
    """FastAPI as tutorials show it."""
    return _asgi(FASTAPI, "fastapi_sklearn", "fastapi_sklearn", {"FITTED": str(fitted("fastapi_sklearn"))})


def bentoml() -> Server:
    """BentoML as its quickstart shows it."""
    return Server(
        name=BENTOML,
        command=lambda port: [*_bentoml("bentoml_sklearn"), "bentoml_sklearn:FlightDelays", "--port", str(port)],
        environment={"FITTED": str(fitted("bentoml_sklearn")), "PYTHONPATH": str(PEERS)},
        ask=lambda row: {"flight": row},
    )


def mlflow() -> Server:
    """MLflow's own server of the pipeline that it saved."""
    model = fitted("mlflow") / "mlflow"
    home = environment("mlflow") / "bin"
    return Server(
        name=MLFLOW,
        command=lambda port: [
            *(str(home / "mlflow"), "models", "serve", "--model-uri", str(model), "--env-manager", "local"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ],
        environment={"PATH": f"{home}:/usr/bin:/bin"},
        path="/invocations",
        ready="/ping",
        ask=lambda row: {"dataframe_records": [row]},
        answer=lambda found: found["predictions"][0][1],
    )


def _own(variables: dict[str, str]) -> dict[str, str]:
    return {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "LOCKSTEP_MODEL": str(MODEL), "LOCKSTEP_LOG": "log", **variables}


def _asgi(name: str, home: str, module: str, variables: dict[str, str]) -> Server:
    return Server(
        name=name,
        command=lambda port: [_tool(home, "uvicorn"), f"{module}:app", "--port", str(port), *UVICORN],
        environment={"PYTHONPATH": str(PEERS), **variables},
    )


def _bentoml(home: str) -> list[str]:
    return [_tool(home, "bentoml"), "serve", "--host", "127.0.0.1"]


def _tool(home: str, name: str) -> str:
    return str(environment(home) / "bin" / name)
