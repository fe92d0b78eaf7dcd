"""From a model to an image that was tried and is in the registry: build, try, push.

What lies under our tag in the registry is never asked for: whoever may push there can put anything under it.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lockstep.errors import OutsideError
from lockstep.lock.scratch import terminable
from lockstep.release import engines, image, memory, outside, registry, smoke
from lockstep.release.engines import Engine
from lockstep.release.wanted import Wanted

Progress = Callable[[str], None]


def holds(wanted: Wanted, digest: str) -> bool:
    """Has the registry this very image, and is it called by the wanted identity and version?

    One with another version was made for a number that another release took: answers would name the wrong one.

    Raises `OutsideError` when the registry cannot be asked, `InputError` when `wanted.registry` is no image's address.
    """
    found = registry.find(wanted.registry, digest)
    return found is not None and (found.identity, found.version) == (wanted.identity, wanted.version)


def ship(root: Path, model: Path, wanted: Wanted, *, push: bool, progress: Progress = lambda sentence: None) -> str:
    """Build the image, try it hardened and, with `push`, send it to the registry; its digest there (`sha256:…`).

    `model` is a folder that holds model.onnx, contract.json and golden.json with the lock's hashes (the caller has
    checked them); nothing else of it is read. Without `push` nothing is sent, and the digest is "".
    After a failure or a kill the same call goes on with what was built here; what was sent is remembered (`memory`).
    Raises `Refused` when the try-out fails (nothing was pushed then), `OutsideError` when an engine, a package index or
    the registry failed, `InputError` when no container engine can be used.
    """
    engine = engines.chosen()
    with terminable(), _alone(wanted, progress):
        _built(engine, root, model, wanted, progress)
        tried = smoke.try_out(engine, image.name_of(wanted), model, wanted)
        progress(
            f"tried it hardened: ready after {tried.ready:.1f} s, {tried.golden} golden rows equal to the bit, "
            f"{tried.questions} questions answered as they must be"
        )
        return _sent(engine, root, wanted, progress) if push else ""


@contextmanager
def _alone(wanted: Wanted, progress: Progress) -> Iterator[None]:
    """One at a time builds an image here: the engine's store is one for all clones, where it has one name."""
    path = Path(tempfile.gettempdir(), f"lockstep-{os.getuid()}-{wanted.tag}.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OutsideError(f"{path} cannot be opened, which says who builds this image: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"another call on this machine is at the image of {wanted}: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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
    if size is None:
        raise OutsideError(f"the image of {wanted} was removed while it was built: run again")
    progress(f"built in {time.monotonic() - began:.0f} s: {size / 1e6:.0f} MB, {image.name_of(wanted)}")


def _sent(engine: Engine, root: Path, wanted: Wanted, progress: Progress) -> str:
    """The digest under which the registry has it, as the registry says."""
    began = time.monotonic()
    digest = registry.send(engine, image.name_of(wanted), wanted.registry, wanted.tag)
    if not holds(wanted, digest):
        raise OutsideError(f"{wanted.registry} does not have the image that was pushed under {wanted.tag}: run again")
    memory.remember(root, wanted, digest)
    progress(f"pushed in {time.monotonic() - began:.0f} s: {wanted.registry}@{digest}")
    outside.run(engine.drop(image.name_of(wanted)), "tidying up", timeout=engines.LOOK)
    return digest
