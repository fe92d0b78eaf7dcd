"""Size of the image and start to ready, beside the naive bento of the same model upon the same base."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.serving import contestants, rows
from benchmarks.serving.environments import PEERS, environment, pins
from benchmarks.serving.fitted import fitted
from benchmarks.serving.rates import QUICK, Effort
from benchmarks.serving.servers import Server, running
from benchmarks.serving.table import Row, Table
from benchmarks.workplace import ROOT
from lockstep.release import engines, image
from lockstep.release.engines import Engine
from lockstep.release.wanted import Wanted
from lockstep.serving.fingerprint import of_folder

MOST_MEGABYTES, MOST_SECONDS = 400.0, 4.0
NEEDED = ("buildah", "podman", "skopeo", "docker-registry", "mmdebstrap")

NAIVE = "localhost/naive:bench"
NAIVE_ENTRY = """\
import bentoml
from bentoml_sklearn import FlightDelays as service

service.image = bentoml.images.Image(base_image={base!r}, distro="none", python_version={python!r})
"""
NAIVE_BENTO = """\
service: "packed:service"
name: naive
include: [packed.py, bentoml_sklearn.py, flight.py, pipeline.py, model.joblib]
python: {requirements_txt: requirements.txt, lock_packages: false}
envs: [{name: FITTED, value: /home/bentoml/bento/src}, {name: PYTHONPATH, value: /home/bentoml/bento/src}]
"""
HARDENED = (
    *("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--memory", "1g"),
    *("--tmpfs", "/tmp:rw,mode=1777", "--env", "BENTOML_HOME=/tmp/bentoml"),
)


def measure(effort: Effort, folder: Path) -> list[Table]:
    """Build both, start both by turns. Without container engines there is nothing to measure, which is said."""
    lacking = [program for program in NEEDED if not shutil.which(program)]
    if lacking or os.geteuid() != 0:
        why = f"not measured: needs {', '.join(lacking) or 'root'}"
        return [Table(title="Images", heads=("",), rows=(Row(name=why, values=("",)),))]
    folder.mkdir(parents=True)
    with _containers() as (build_image, run_image):
        engine = engines.chosen()
        wanted = _wanted(build_image, run_image)
        print("building both images", file=sys.stderr)
        image.build(engine, ROOT, contestants.MODEL, wanted, _made(folder / "ours"))
        _build_naive(engine, build_image, _made(folder / "naive"))
        servers = {
            image.name_of(wanted): _container("lockstep's image", image.name_of(wanted), "LOCKSTEP_PORT", {}),
            NAIVE: _container("naive bento, scikit-learn", NAIVE, "PORT", {"ask": lambda row: {"flight": row}}),
        }
        starts: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(2 if effort == QUICK else 5):
            for name, server in servers.items():
                starts[name].append(_start(server, folder / f"run-{number}"))
        sizes = {name: engines.field(engine, name, ".Size") / 1e6 for name in servers}
    return [_table(servers, sizes, starts)]


def _table(servers: Mapping[str, Server], sizes: Mapping[str, float], starts: Mapping[str, list[float]]) -> Table:
    def row(name: str, server: Server, asked: bool) -> Row:
        size, start = sizes[name], statistics.median(starts[name])
        return Row(
            name=server.name,
            values=(
                f"{size:.0f}",
                f"{start:.2f}",
                f"at most {MOST_MEGABYTES:g} MB, {MOST_SECONDS:g} s" if asked else "",
            ),
            holds=not asked or (size <= MOST_MEGABYTES and start <= MOST_SECONDS),
        )

    (ours, one), (naive, other) = servers.items()
    return Table(
        title="Images, upon the same base of Debian packages",
        heads=("MB", "ready s", "asked"),
        rows=(row(ours, one, True), row(naive, other, False)),
    )


@contextlib.contextmanager
def _containers() -> Iterator[tuple[str, str]]:
    """The test suite's engines and base images: state of their own, nothing of this machine's."""
    sys.path.insert(0, str(ROOT / "tests"))
    import containers

    before = dict(os.environ)
    # Paths in the options of an overlay mount have to be short.
    home = Path(tempfile.mkdtemp(prefix="lockstep-containers-"))
    home.chmod(0o755)
    # The fixture itself would need pytest; a test holds that these are there.
    made = containers.Containers(home, containers._configuration(home))  # noqa: SLF001
    try:
        os.environ.update(made.environment)
        containers._base_images(made)  # noqa: SLF001
        yield made.build_image, made.run_image
    finally:
        os.environ.clear()
        os.environ.update(before)
        containers._clean(made)  # noqa: SLF001


def _wanted(build_image: str, run_image: str) -> Wanted:
    return Wanted(
        name="flight-delays", version="v1.0.0", identity="0" * 64, model=of_folder(contestants.MODEL), commit="0" * 40,
        lock="0" * 64, data={}, registry="", build_image=build_image, run_image=run_image, log=1.0,
    )  # fmt: skip


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _build_naive(engine: Engine, base: str, folder: Path) -> None:
    """`bentoml build` and `bentoml containerize`, as the handbook has it, but upon the lean base: BentoML's own would
    add compilers, and be twice as large."""
    context = _made(folder / "context")
    for source in (*(PEERS / f"{name}.py" for name in ("bentoml_sklearn", "flight", "pipeline")), fitted_model()):
        shutil.copy(source, context)
    packages = pins("bentoml_sklearn").read_text().splitlines(keepends=True)
    # Only our own fitting reads parquet.
    (context / "requirements.txt").write_text("".join(line for line in packages if not line.startswith("pyarrow")))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    (context / "packed.py").write_text(NAIVE_ENTRY.format(base=base, python=version))
    (context / "bentofile.yaml").write_text(NAIVE_BENTO)
    bentoml = str(environment("bentoml_sklearn") / "bin" / "bentoml")
    found = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    found |= {"BENTOML_HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "true", "FITTED": str(context)}
    for command in (
        [bentoml, "build", "--version", "1", str(context)],
        [bentoml, "containerize", "naive:1", "--image-tag", NAIVE, *engine.containerize()],
    ):
        done = subprocess.run(command, cwd=context, env=found, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        found |= engines.for_builds()


def fitted_model() -> Path:
    """The pickle that a naive bento holds."""
    return fitted("bentoml_sklearn") / "model.joblib"


def _container(name: str, what: str, port_variable: str, asked: Mapping[str, object]) -> Server:
    server = Server(
        name=name,
        command=lambda port: [
            *("podman", "run", "--rm", "--pull", "never", "--network", "host", *HARDENED),
            *("--env", f"{port_variable}={port}", what),
        ],
        environment={},
    )
    return replace(server, **asked)  # type: ignore[arg-type]


def _start(server: Server, home: Path) -> float:
    """Seconds from `podman run` to ready, and right answers then."""
    with running(server, home / server.name.split()[0]) as up:
        rows.insist_on_right_answers(up)
        return up.seconds
