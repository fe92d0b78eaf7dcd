"""The real chain on this machine: bento, image, a hardened try-out, a registry on loopback, and what must not pass."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import ROOT, wait_for
from containers import Containers, Faulty, Registry, containers, faulty_registry, serve_registry  # noqa: F401
from lockstep.errors import OutsideError, Refused
from lockstep.release import bento, chain, engines, image, memory, registry, reuse, smoke
from lockstep.release.wanted import Wanted
from lockstep.serving import fingerprint
from served import a_model, golden_of

pytestmark = [pytest.mark.xdist_group("containers"), pytest.mark.timeout(600)]

MOST_MEGABYTES = 400


@dataclass
class World:
    """A repository, a model, a registry, and the engines that they are shipped with."""

    containers: Containers
    root: Path
    model: Path
    registry: Registry
    said: list[str] = field(default_factory=list)

    def wanted(self, model: Path | None = None, **more: Any) -> Wanted:
        found = fingerprint.of_folder(model or self.model)
        known = {
            "name": "churn", "version": "v1.0.0", "model": found, "commit": "c" * 40, "lock": "d" * 64,
            "identity": hashlib.sha256(f"{found} {more}".encode()).hexdigest(), "data": {"data/raw": "e" * 32},
            "registry": self.registry.image, "build_image": self.containers.build_image,
            "run_image": self.containers.run_image, "log": 0.25,
        }  # fmt: skip
        return Wanted(**known | more)

    def ship(self, wanted: Wanted, model: Path | None = None, root: Path | None = None) -> str:
        self.said.clear()
        return chain.ship(root or self.root, model or self.model, wanted, push=True, progress=self.said.append)


@pytest.fixture(scope="module")
def world(containers: Containers) -> Iterator[World]:
    """One registry and one model for all of these tests; the image of the model is in it."""
    folder = Path(tempfile.mkdtemp(prefix="lockstep-image-test-"))
    with pytest.MonkeyPatch.context() as patch, serve_registry(folder / "registry") as served:
        containers.use(patch)
        patch.setattr(memory, "ROOM", str(folder / "memory"))
        yield World(containers, ROOT, a_model(folder / "model", rows=600), served)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def shipped(world: World) -> str:
    """The digest of the model's image, which was built, tried and pushed."""
    digest = world.ship(world.wanted())
    assert any("golden rows equal to the bit" in sentence for sentence in world.said)
    return digest


@pytest.fixture
def pulled(world: World, shipped: str) -> Iterator[str]:
    """The image as the registry has it, here by its digest."""
    name = f"{world.registry.image}@{shipped}"
    world.containers.run("podman", "pull", "--quiet", "--tls-verify=false", name)
    yield name
    world.containers.run("podman", "rmi", "--force", name)


def another(world: World, folder: Path, name: str, **values: Any) -> Path:
    """The same model with other values in one of its files."""
    made = shutil.copytree(world.model, folder)
    content = json.loads((made / name).read_text())
    (made / name).write_text(json.dumps(content | values))
    return Path(made)


def test_what_was_pushed_answers_to_the_bit_when_it_is_pulled_by_its_digest(world: World, pulled: str) -> None:
    tried = smoke.try_out(engines.chosen(), pulled, world.model, world.wanted())
    assert tried.golden == len(golden_of(world.model)["rows"])
    labels = engines.field(engines.chosen(), pulled, ".Config.Labels")
    assert labels | world.wanted().labels == labels
    assert "LOCKSTEP_LOG_SAMPLE=0.25" in engines.field(engines.chosen(), pulled, ".Config.Env")
    assert engines.field(engines.chosen(), pulled, ".Size") / 1e6 <= MOST_MEGABYTES


def test_the_image_holds_graph_contract_and_golden_rows_and_nothing_to_build_with(world: World, pulled: str) -> None:
    listing = world.containers.run(
        "podman", "run", "--rm", "--network", "none", "--entrypoint", "find", pulled, "/app", "/home", "-type", "f"
    ).splitlines()
    model = f"{image.HOME}/src/model/"
    assert {path.removeprefix(model) for path in listing if path.startswith(model)} == set(bento.SERVED)
    assert not [path for path in listing if re.search(r"\.(parquet|csv|pyi|pyx)$|/tests/", path)]
    assert not [path for path in listing if re.search(r"site-packages/(pandas|sklearn|scipy|dvc|pyarrow)/", path)]
    bytecode = [path for path in listing if path.endswith(".pyc")]
    assert any("/uvicorn/" in path for path in bytecode)
    assert len(bytecode) < 0.8 * len([path for path in listing if path.endswith(".py")])  # not of what nobody imports
    assert "/usr/local/bin/uv" not in world.containers.run(
        "podman", "run", "--rm", "--network", "none", "--entrypoint", "ls", pulled, "/usr/local/bin"
    )


def test_what_was_pushed_is_remembered_and_used_again_for_the_same_release_alone(
    world: World, shipped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, said = world.wanted(), list[str]()
    found = reuse.find(world.root, wanted, "", "", said.append)
    assert found is not None
    assert found.digest == shipped
    assert "this machine has built, tried and pushed it" in said[0]
    for other in ({"version": "v1.0.1"}, {"commit": "f" * 40}, {"identity": "0" * 64}):
        assert reuse.find(world.root, replace(wanted, **other), "", "", said.append) is None
    monkeypatch.setattr(memory, "ROOM", str(tmp_path))
    assert reuse.find(world.root, wanted, "", "", said.append) is None, "another machine"


def test_a_digest_of_another_identity_or_version_is_not_had(world: World, shipped: str) -> None:
    wanted = world.wanted()
    assert chain.holds(wanted, shipped)
    assert not chain.holds(replace(wanted, identity=wanted.identity[:32] + "0" * 32), shipped)
    assert not chain.holds(replace(wanted, version="v1.0.1"), shipped)
    assert not chain.holds(wanted, f"sha256:{'0' * 64}")


def test_an_image_that_somebody_put_under_the_tag_is_pushed_over(world: World, tmp_path: Path) -> None:
    changed = another(world, tmp_path / "changed", "contract.json", threshold=0.625)
    wanted = world.wanted(changed)
    foreign = registry.send(engines.chosen(), world.containers.run_image, wanted.registry, wanted.tag)
    digest = world.ship(wanted, changed)
    assert any("golden rows equal to the bit" in sentence for sentence in world.said)
    found = registry.find(wanted.registry, wanted.tag)
    assert found is not None
    assert found.digest == digest != foreign


def test_after_a_push_that_broke_off_the_same_call_completes_it_without_building(
    world: World, shipped: str, tmp_path: Path
) -> None:
    changed = another(world, tmp_path / "changed", "contract.json", threshold=0.375)
    import socket
    import threading

    listening = socket.create_server(("127.0.0.1", 0))
    line = Faulty(
        port=listening.getsockname()[1], folder=world.registry.folder, behind=world.registry, lets_through=100_000
    )
    threading.Thread(target=line.serve, args=(listening,), daemon=True).start()
    wanted = world.wanted(changed, registry=line.image)
    before, blobs = world.registry.digests(), world.registry.blobs()
    with pytest.raises(OutsideError, match="safe to repeat"):
        world.ship(wanted, changed)
    assert world.registry.digests() == before
    line.mend()
    digest = world.ship(wanted, changed)
    assert any("an earlier run has built" in sentence for sentence in world.said)
    assert chain.holds(wanted, digest)
    assert digest != shipped
    # The packages are a layer of their own: another model sends its own files, two descriptions, and no more.
    assert len(world.registry.blobs() - blobs) <= 4
    line.cut()
    listening.close()


def test_a_model_that_answers_otherwise_by_one_bit_is_refused_and_not_pushed(world: World, tmp_path: Path) -> None:
    first, *rest = golden_of(world.model)["predictions"]
    other = str(np.nextafter(np.float32(first), np.float32(1)))
    poisoned = another(world, tmp_path / "poisoned", "golden.json", predictions=[float(other), *rest])
    wanted = world.wanted(poisoned, version="v1.0.1")
    before = world.registry.digests()
    with pytest.raises(Refused, match=rf"golden row 0 is predicted .*, not {other}"):
        world.ship(wanted, poisoned)
    assert world.registry.digests() == before
    assert registry.find(wanted.registry, wanted.tag) is None


def test_a_service_that_breaks_is_refused_with_its_last_words(world: World, tmp_path: Path) -> None:
    for name in (bento.FILE, bento.REQUIREMENTS, "versions.toml", *bento.included(ROOT)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    main = tmp_path / "src/lockstep/serving/__main__.py"
    main.write_text("raise SystemExit('this service is broken')\n")
    wanted = world.wanted(version="v1.0.2-broken")
    before = world.registry.digests()
    with pytest.raises(Refused, match=r"this service is broken(.|\n)*lockstep-warm: the service ended with 1"):
        world.ship(wanted, root=tmp_path)
    assert world.registry.digests() == before


def test_a_container_that_ends_is_refused_with_its_last_words(world: World, pulled: str) -> None:
    made = world.containers.run("buildah", "from", pulled).strip()
    words = json.dumps([image.PYTHON, "-c", "raise SystemExit('out of luck')"])
    world.containers.run("buildah", "config", "--entrypoint", words, made)
    world.containers.run("buildah", "commit", "--rm", "--quiet", made, "localhost/ends")
    with pytest.raises(Refused, match=r"its container ended with 1(.|\n)*out of luck"):
        smoke.try_out(engines.chosen(), "localhost/ends", world.model, world.wanted())
    world.containers.run("podman", "rmi", "localhost/ends")


def test_an_image_that_would_be_root_is_not_even_started(world: World) -> None:
    with pytest.raises(Refused, match="its user is ``, not a number above 0"):
        smoke.try_out(engines.chosen(), world.containers.run_image, world.model, world.wanted())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_container_outlives_a_try_that_was_stopped(world: World, pulled: str, number: signal.Signals) -> None:
    script = (
        "import sys, pathlib\nfrom lockstep.release import engines, smoke, asker\n"
        "asker.__file__ = sys.argv[1]\n"
        "from test_image import stuck\nstuck(sys.argv[2], sys.argv[3])"
    )
    asleep = Path(tempfile.mkdtemp()) / "asleep.py"
    asleep.write_text(ASLEEP)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(asleep), pulled, str(world.model)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        wait_for(lambda: _is_asleep(world), 60)
        process.send_signal(number)
        process.wait(60)
        wait_for(lambda: not _containers(world), 60)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        shutil.rmtree(asleep.parent)


ASLEEP = """
import pathlib, socket, time
while True:
    try:
        socket.create_connection(("127.0.0.1", 3000)).close()
        break
    except OSError:
        time.sleep(0.1)
pathlib.Path("/log/asleep").touch()
time.sleep(600)
"""


def _is_asleep(world: World) -> bool:
    """The service runs, and who should ask it does not end."""
    listed = _containers(world).split()
    command = ["podman", "exec", *listed, "ls", "/log"]
    found = subprocess.run(command, env=os.environ | world.containers.environment, capture_output=True, text=True)
    return "asleep" in found.stdout


def stuck(name: str, model: str) -> None:
    """Try an image out with an asker that never ends."""
    made = Wanted(
        name="churn", version="v1.0.0", identity="", model="", commit="", lock="", data={}, registry="",
        build_image="", run_image="", log=1.0,
    )  # fmt: skip
    smoke.try_out(engines.chosen(), name, Path(model), made)


def _containers(world: World) -> str:
    return world.containers.run("podman", "ps", "--all", "--quiet", "--filter", "name=lockstep-try-").strip()


def test_a_registry_that_is_not_there_is_the_outside_s_failure(world: World) -> None:
    with pytest.raises(OutsideError, match="Is the registry up"):
        registry.find("127.0.0.1:9/team/name", "latest")


def test_a_registry_without_the_image_has_none(world: World) -> None:
    assert registry.find(f"127.0.0.1:{world.registry.port}/no/such", "latest") is None
    assert registry.find(world.registry.image, f"sha256:{'0' * 64}") is None


def test_without_skopeo_the_engine_looks_and_pushes(
    world: World, shipped: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in ("podman", "buildah", "runc", "conmon", "newuidmap"):
        if found := shutil.which(program):
            (tmp_path / program).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = registry.find(world.registry.image, world.wanted().tag)
    assert found is not None
    assert (found.digest, found.identity) == (shipped, world.wanted().identity)
    engine = engines.chosen()
    sent = registry.send(engine, world.containers.run_image, world.registry.image, "base")
    assert sent in world.registry.digests()


def test_nothing_is_left_of_what_only_a_build_needs(world: World, shipped: str) -> None:
    names = world.containers.run("podman", "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert not [name for name in names if "bento" in name or image.name_of(world.wanted()) == name]
    marked = world.containers.run("podman", "images", "--all", "--quiet", "--filter", f"label={image.ROOM}")
    assert not marked.strip()
