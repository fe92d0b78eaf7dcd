"""Containers of a test session's own: engines with private state, base images made from Debian's packages, a registry
on loopback, and a line to it that can break. Import what you need in a test module:

    from containers import containers, faulty_registry, registry  # noqa: F401  (fixtures)

Tests that use them belong to `pytest.mark.xdist_group("containers")`: one worker then makes the base images once.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conftest import require, wait_for

PROGRAMS = ("buildah", "podman", "skopeo", "docker-registry", "mmdebstrap", "uv")
CERTIFICATES = ("/etc/ssl/certs", "/usr/local/share/ca-certificates")
UNWANTED = ("man", "doc", "locale", "info", "doc-base")


@dataclass(frozen=True)
class Containers:
    """Engines whose state lies below `home`: `environment` leads them there. The images are in their store already."""

    home: Path
    environment: dict[str, str]
    build_image: str = "localhost/lockstep-base:build"
    run_image: str = "localhost/lockstep-base:run"

    def run(self, *command: str, **more: str) -> str:
        """A program's output; it must end well."""
        done = subprocess.run(
            command, env=os.environ | self.environment | more, text=True, capture_output=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def use(self, patch: pytest.MonkeyPatch) -> Containers:
        """Let what this process starts use them."""
        for name, value in self.environment.items():
            patch.setenv(name, value)
        return self


_MADE: list[Containers] = []


@pytest.fixture(scope="session")
def containers(request: pytest.FixtureRequest) -> Containers:
    """Once a process, however many modules import it, as it takes 40 s to make the base images; removed at its end."""
    for program in PROGRAMS:
        require(shutil.which(program), program)
    require(os.geteuid() == 0, "root, for a store of containers in a folder of its own")
    if not _MADE:
        # Not below pytest's folder: paths in the options of an overlay mount have to be short.
        home = Path(tempfile.mkdtemp(prefix="lockstep-containers-"))
        home.chmod(0o755)
        _MADE.append(Containers(home, _configuration(home)))
        request.config.add_cleanup(lambda: _clean(_MADE.pop()))
        _base_images(_MADE[0])
    return _MADE[0]


def _clean(made: Containers) -> None:
    with suppress(AssertionError):
        made.run("podman", "rm", "--all", "--force", "--time", "0")
    _remove(made.home)


def _configuration(home: Path) -> dict[str, str]:
    volumes = [f'"{path}:{path}:ro"' for path in CERTIFICATES if Path(path).is_dir()]
    engine = f"""
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
num_locks = 64
tmp_dir = "{home}/tmp"
volume_path = "{home}/volumes"
"""
    limits = 'default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]\n'
    files = {
        "storage.conf": f'[storage]\ndriver = "overlay"\ngraphroot = "{home}/graph"\nrunroot = "{home}/run"\n',
        "registries.conf": "unqualified-search-registries = []\n",
        "containers.conf": f"[containers]\n{limits}{engine}",
        # Packages come from where this machine gets them, and nothing of how gets into an image.
        "build.conf": f'[containers]\nnetns = "host"\n{limits}volumes = [{", ".join(_uv(home) + volumes)}]\n{engine}',
        "policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
        "auth.json": "{}\n",
    }
    for name, text in files.items():
        (home / name).write_text(text)
    return {
        "CONTAINERS_STORAGE_CONF": f"{home}/storage.conf",
        "CONTAINERS_REGISTRIES_CONF": f"{home}/registries.conf",
        "CONTAINERS_CONF": f"{home}/containers.conf",
        "LOCKSTEP_BUILD_CONTAINERS_CONF": f"{home}/build.conf",
        "REGISTRY_AUTH_FILE": f"{home}/auth.json",
    }


def _uv(home: Path) -> list[str]:
    (home / "uv.toml").write_text("native-tls = true\n")
    return [f'"{home}/uv.toml:/etc/uv/uv.toml:ro"']


def _base_images(containers: Containers) -> None:
    tar = Path(os.environ.get("LOCKSTEP_TEST_BASE_TAR") or containers.home / "base.tar")
    if not tar.exists():
        without = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNWANTED]
        include = "--include=python3,ca-certificates,libgomp1"
        containers.run("mmdebstrap", "--quiet", "--variant=minbase", *without, include, "bookworm", str(tar))
    containers.run("podman", "import", "--quiet", str(tar), containers.run_image)
    made = containers.run("buildah", "from", containers.run_image).strip()
    containers.run("buildah", "copy", made, str(shutil.which("uv")), "/usr/local/bin/uv")
    containers.run("buildah", "commit", "--quiet", made, containers.build_image)
    containers.run("buildah", "rm", made)
    if tar.is_relative_to(containers.home):
        tar.unlink()


def _remove(home: Path) -> None:
    """The folder, and first what is mounted below it."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if Path(mount).is_relative_to(home)), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(home)


@dataclass
class Registry:
    """A registry on loopback. `image` is an address in it, without a tag."""

    port: int
    folder: Path

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.port}/team/flight-delays"

    def digests(self) -> list[str]:
        """Of the images that it holds whole: their manifests."""
        links = self.folder.glob("docker/registry/v2/repositories/team/flight-delays/_manifests/revisions/sha256/*")
        return sorted(f"sha256:{link.name}" for link in links)

    def blobs(self) -> set[str]:
        """Names of all that it stores."""
        return {path.name for path in self.folder.glob("docker/registry/v2/blobs/sha256/*/*")}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty one for each test."""
    with serve_registry(tmp_path / "registry") as served:
        yield served


@contextmanager
def serve_registry(folder: Path) -> Iterator[Registry]:
    """A registry that keeps its images in `folder`."""
    require(shutil.which("docker-registry"), "docker-registry")
    folder.mkdir()
    found = Registry(port=free_port(), folder=folder)
    config = folder.with_suffix(".yml")
    config.write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '127.0.0.1:{found.port}'}}\n"
    )
    # It takes variables of this beginning for settings of its own, those of the engines too.
    settled = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    with config.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], env=settled, stdout=log, stderr=log)
    try:
        wait_for(lambda: _answers(found.port))
        yield found
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    """A port of loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Faulty(Registry):
    """A line to a registry that breaks once `lets_through` bytes were sent to it, and stays down until `mend`."""

    behind: Registry = field(kw_only=True)
    lets_through: int = 1_000_000
    passed: int = 0
    down: bool = False
    _open: list[socket.socket] = field(default_factory=list)

    def mend(self) -> None:
        """From now on everything gets through."""
        self.down, self.lets_through = False, 1 << 60

    def serve(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            if self.down:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.behind.port))
            self._open += [near, far]
            threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.passed += len(data) * counted
                if self.passed > self.lets_through:
                    self.cut()
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Break every connection; new ones are not answered."""
        self.down = True
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)


@pytest.fixture
def faulty_registry(registry: Registry) -> Iterator[Faulty]:
    """The same registry as `registry`, by a line that breaks in the middle of a push."""
    listening = socket.create_server(("127.0.0.1", 0))
    line = Faulty(port=listening.getsockname()[1], folder=registry.folder, behind=registry)
    threading.Thread(target=line.serve, args=(listening,), daemon=True).start()
    yield line
    line.cut()
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
