"""From a model to an image that was tried and is in the registry: look, build, try, push."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lockstep.errors import OutsideError
from lockstep.lock.scratch import terminable
from lockstep.release import engines, image, outside, registry, smoke
from lockstep.release.engines import Engine
from lockstep.release.wanted import Shipped, Wanted

Progress = Callable[[str], None]


def find(wanted: Wanted) -> str | None:
    """The digest (`sha256:…`) of an image in the registry with the wanted identity and version, or None.

    One with another version was made for a number that another release took: answers would name the wrong one.

    Raises `OutsideError` when the registry cannot be asked, `InputError` when `wanted.registry` is no image's address.
    """
    found = registry.find(wanted.registry, wanted.tag)
    mine = found is not None and (found.identity, found.version) == (wanted.identity, wanted.version)
    return found.digest if found and mine else None


def ship(root: Path, model: Path, wanted: Wanted, *, push: bool, progress: Progress = lambda sentence: None) -> Shipped:
    """Look for the image; else build it, try it hardened and, with `push`, send it to the registry.

    `model` is a folder that holds model.onnx, contract.json and golden.json with the lock's hashes (the caller has
    checked them); nothing else of it is read. Without `push` nothing is looked up nor sent, and the digest is "".
    Every step looks before it does: after a failure or a kill the same call goes on.
    Raises `Refused` when the try-out fails (nothing was pushed then), `OutsideError` when an engine, a package index or
    the registry failed, `InputError` when no container engine can be used.
    """
    if push and (digest := find(wanted)):
        progress(f"the registry has the image of {wanted}: {digest}")
        return Shipped(digest=digest, reused=True)
    engine = engines.chosen()
    with terminable():
        _built(engine, root, model, wanted, progress)
        tried = smoke.try_out(engine, image.name_of(wanted), model, wanted)
        progress(
            f"tried it hardened: ready after {tried.ready:.1f} s, {tried.golden} golden rows equal to the bit, "
            f"{tried.questions} questions answered as they must be"
        )
        return Shipped(digest=_sent(engine, wanted, progress) if push else "", reused=False)


def _built(engine: Engine, root: Path, model: Path, wanted: Wanted, progress: Progress) -> None:
    """The image is on this machine: it was left by a call that could not push it, or is built."""
    if image.is_here(engine, wanted):
        progress(f"an earlier run has built the image of {wanted}; it is tried anew")
        return
    progress(f"building the image of {wanted} with {engine.name}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lockstep-image-") as room:
        image.build(engine, root, model, wanted, Path(room))
    size = engines.field(engine, image.name_of(wanted), ".Size")
    progress(f"built in {time.monotonic() - began:.0f} s: {size / 1e6:.0f} MB, {image.name_of(wanted)}")


def _sent(engine: Engine, wanted: Wanted, progress: Progress) -> str:
    """The digest under which the registry has it, as the registry says."""
    began = time.monotonic()
    digest = registry.send(engine, image.name_of(wanted), wanted.registry, wanted.tag)
    if find(wanted) != digest:
        raise OutsideError(f"{wanted.registry} does not have the image that was pushed under {wanted.tag}: run again")
    progress(f"pushed in {time.monotonic() - began:.0f} s: {wanted.registry}@{digest}")
    outside.run(engine.drop(image.name_of(wanted)), "tidying up", timeout=engines.LOOK)
    return digest
