"""The model behind a lock: proven, found, mended, kept. Always a real DVC; the forgeries are real ones, well sealed."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from lockstep.errors import Refused
from lockstep.lock import fresh, seal, verify
from lockstep.revision import git
from release_world import World, made, released, world  # noqa: F401

AGAIN = "making the model again"


def outs(world: World) -> dict[str, str]:
    return {path: md5 for entry in fresh.read_lock(world.root).values() for path, md5 in entry.outs.items()}


def trusting(world: World) -> None:
    world.write(params_yaml=(world.root / "params.yaml").read_text() + "release: {trust_pull_requests: true}\n")
    world.commit()


def test_a_forged_model_with_lock_seal_and_objects_that_agree_is_refused_by_name(world: World) -> None:
    world.release()
    before = world.state()
    world.forge()
    assert verify.verify(world.root).is_true
    with pytest.raises(Refused) as refused:
        world.release()
    assert "train: model/model.onnx came out otherwise than dvc.lock says" in str(refused.value)
    assert "evaluate: it read another model/model.onnx than dvc.lock says" in str(refused.value)
    assert refused.value.code == 3
    assert world.state()[:4] == before[:4]


def test_it_is_released_where_the_spec_trusts_pull_requests(world: World) -> None:
    """What `trust_pull_requests` means."""
    trusting(world)
    md5 = world.forge()
    world.release()
    (folder,) = (world.root / ".dvc/tmp/lockstep/release").iterdir()
    assert hashlib.md5((folder / "model.onnx").read_bytes()).hexdigest() == md5


def test_an_honest_model_is_made_again_and_goes_to_the_remote(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(world.root / ".dvc/cache/files/md5")
    world.release()
    said = capfd.readouterr().err
    assert f"{AGAIN} to prove the lock: ingest, train, evaluate" in said
    assert "nobody has the raw rows that the lock names: the source is asked for them" in said
    kept = {path.name for path in world.objects.rglob("*") if path.is_file()}
    assert {md5[2:] for path, md5 in outs(world).items() if path != "reports/metrics.json"} <= kept


def test_raw_rows_are_the_lock_s_where_they_are_somewhere(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """The source says something else today, and is not asked."""
    world.write(source_txt="another day\n")
    world.commit()
    world.release()
    assert f"{AGAIN} to prove the lock: train, evaluate" in capfd.readouterr().err


def test_a_source_that_says_something_else_is_no_proof(world: World) -> None:
    shutil.rmtree(world.root / ".dvc/cache/files/md5")
    world.write(source_txt="another day\n")
    world.commit()
    with pytest.raises(Refused, match="ingest: data/raw came out otherwise than dvc.lock says: the source may have"):
        world.release()


def test_another_clone_without_bytes_gets_them_from_the_remote_by_hash(
    released: World, capfd: pytest.CaptureFixture[str]
) -> None:
    trusting(released)
    released.write(service_txt="2\n")
    released.commit()
    other = released.clone()
    assert other.release().version == "v1.0.1"
    assert AGAIN not in capfd.readouterr().err.partition("v1.0.0: ")[2]
    assert (other.root / ".dvc/cache").is_dir()


def test_a_released_model_in_its_image_is_not_made_again(released: World, capfd: pytest.CaptureFixture[str]) -> None:
    released.change("worse", code_txt="2\n")
    released.release()
    git(released.root, "checkout", "--quiet", "HEAD~1", "--", ".")
    released.commit("back")
    capfd.readouterr()
    other = released.clone()
    assert other.release().version == "v1.0.0"
    said = capfd.readouterr().err
    assert AGAIN not in said
    assert "is released again, since the tag toy@v1.0.0 names it" in said
    assert not (other.root / ".dvc/cache/files").exists()


def test_a_released_model_whose_image_is_gone_is_proven_and_built_anew(released: World) -> None:
    released.change("worse", code_txt="2\n")
    released.release()
    released.registry.path.write_text("{}")
    git(released.root, "checkout", "--quiet", "HEAD~1", "--", ".")
    released.commit("back")
    outcome = released.release()
    assert released.registry.images() == {outcome.digest: "v1.0.0"}


@pytest.mark.parametrize("trusts", [True, False])
@pytest.mark.parametrize("path", ["model/model.onnx", "model/golden.json"])
def test_a_damaged_copy_in_the_cache_is_replaced_and_never_shipped(world: World, path: str, trusts: bool) -> None:
    if trusts:
        trusting(world)
    world.release()
    world.write(service_txt="2\n")
    world.commit()
    kept, right = world.damage(path), outs(world)[path]
    assert world.release().version == "v1.0.1"
    assert hashlib.md5(kept.read_bytes()).hexdigest() == right
    (folder,) = (world.root / ".dvc/tmp/lockstep/release").iterdir()
    assert hashlib.md5((folder / Path(path).name).read_bytes()).hexdigest() == right


def test_a_damaged_copy_that_no_remote_has_is_made_again(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    trusting(world)
    kept = world.damage("model/model.onnx")
    world.release()
    assert AGAIN in capfd.readouterr().err
    assert hashlib.md5(kept.read_bytes()).hexdigest() == outs(world)["model/model.onnx"]


def test_what_was_proven_here_is_not_proof_of_another_lock(world: World) -> None:
    world.release(image_only=True)
    world.forge()
    with pytest.raises(Refused, match="came out otherwise"):
        world.release()


def test_a_forged_seal_alone_is_found_without_running_anything(world: World) -> None:
    world.forge()
    seal.write(world.root, dict.fromkeys(fresh.read_lock(world.root), "0" * 64))
    world.commit()
    with pytest.raises(Refused, match="the lock is not true: .*dvc.lock.seal"):
        world.release()


def test_without_a_remote_it_says_that_nothing_keeps_the_model(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    (world.root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    world.commit()
    world.release()
    assert "no remote is configured" in capfd.readouterr().err
