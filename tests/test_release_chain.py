"""Releases through the real chain: bento, image, a hardened try-out, a registry on loopback that breaks in mid-push."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import release_world
from conftest import ROOT
from containers import Containers, Faulty, Registry, containers, faulty_registry, registry  # noqa: F401
from lockstep.errors import OutsideError, Refused
from lockstep.release import bento
from lockstep.revision import git
from release_world import World
from served import a_model

pytestmark = [pytest.mark.xdist_group("containers"), pytest.mark.timeout(900)]

PIPELINE = """
stages:
  train:
    cmd: mkdir -p model && cp given/model.onnx given/contract.json given/golden.json model/
    deps: [given/model.onnx, given/contract.json, given/golden.json]
    outs: [model/model.onnx, model/contract.json, model/golden.json]
"""
NAMES = ("model.onnx", "contract.json", "golden.json")


@pytest.fixture
def world(faulty_registry: Faulty, containers: Containers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project that serves itself: a model, the service's code, its requirements. The registry has to run by now: what
    leads the engines to their login, REGISTRY_AUTH_FILE, would be a setting of its own.
    """
    containers.use(monkeypatch)
    images = f"release: {{build_image: '{containers.build_image}', run_image: '{containers.run_image}'}}\n"
    files = {name: text for name, text in release_world.FILES.items() if not name.endswith(".txt")}
    files |= {"dvc.yaml": PIPELINE, "params.yaml": files["params.yaml"] + images}
    for name in (bento.FILE, bento.REQUIREMENTS, *bento.included(ROOT)):
        if not name.startswith("model/"):
            files[name] = (ROOT / name).read_text(encoding="utf-8")
    give(tmp_path / "work", tmp_path / "first", rounds=10)
    return release_world.build(tmp_path, files)


def give(root: Path, folder: Path, rounds: int) -> None:
    """Another model for the stage to take."""
    a_model(folder, rows=600, params={"max_iter": rounds})
    (root / "given").mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        shutil.copyfile(folder / name, root / "given" / name)


def test_releases_that_break_change_repeat_and_are_poisoned(
    world: World, faulty_registry: Faulty, tmp_path: Path
) -> None:
    address = faulty_registry.image
    with pytest.raises(OutsideError):
        world.release(registry=address)
    assert faulty_registry.down
    assert world.origin("tag") == ""
    assert faulty_registry.digests() == []

    faulty_registry.mend()
    first = world.release(registry=address)
    assert (first.version, faulty_registry.digests()) == ("v1.0.0", [first.digest])
    assert world.record()["digest"] == first.digest
    assert json.loads((world.root / first.sbom).read_text())["bomFormat"] == "CycloneDX"
    assert not world.release(registry=address).released

    give(world.root, tmp_path / "second", rounds=20)
    world.repro()
    world.commit("another model")
    second = world.release(registry=address)
    assert second.version == "v1.1.0"
    assert faulty_registry.digests() == sorted([first.digest, second.digest])

    golden = json.loads((world.root / "given/golden.json").read_text())
    golden["predictions"][0] = golden["predictions"][0] / 2 + 0.25
    (world.root / "given/golden.json").write_text(json.dumps(golden))
    world.repro()
    world.commit("golden rows that are not the model's")
    before = world.state()
    with pytest.raises(Refused):
        world.release(registry=address)
    assert world.state() == before
    assert faulty_registry.digests() == sorted([first.digest, second.digest])

    git(world.root, "checkout", "--quiet", "HEAD~2", "--", ".")
    world.commit("back to the first")
    back = world.release(registry=address)
    assert (back.version, back.digest) == ("v1.0.0", first.digest)
    assert len(faulty_registry.digests()) == 2
