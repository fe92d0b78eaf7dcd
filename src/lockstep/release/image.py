"""The image: the run image, the packages that the service needs of them, the bento, and what it says of itself."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from lockstep.errors import InputError, Refused
from lockstep.lock.scratch import undisturbed
from lockstep.release import bento, engines, outside
from lockstep.release.engines import Engine
from lockstep.release.wanted import Wanted
from lockstep.running.quiet import QUIET
from lockstep.serving import warm

USER = "10001:10001"
"""A number, so that Kubernetes can see that it is not root."""

ROOM = "lockstep.room=yes"
"""A label of what is there only while an image is built."""

APP, HOME = "/app", "/home/bentoml/bento"
PYTHON = f"{APP}/.venv/bin/python"
PORT = 3000

ENVIRONMENT: Mapping[str, str] = QUIET | {
    "BENTOML_HOME": "/tmp/bentoml",  # noqa: S108  (the container's, the only place where it may write)
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "PATH": f"{APP}/.venv/bin:/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": f"{HOME}/src/src:{HOME}/src",
    "PYTHONUNBUFFERED": "1",
}

RECIPE = """\
FROM {bento} AS bento
LABEL {room}
USER 0
COPY warm.py /lockstep-warm.py
RUN ["{python}", "-I", "/lockstep-warm.py", "{app}/.venv", "{home}/src"]

FROM {run_image}
COPY --from=bento --chown=0:0 {app} {app}
COPY --from=bento --chown=0:0 {home} {home}
ENV {environment}
LABEL {labels}
WORKDIR {home}/src
USER {user}
EXPOSE {port}
STOPSIGNAL SIGTERM
ENTRYPOINT ["{python}", "-m", "lockstep.serving"]
"""


def name_of(wanted: Wanted) -> str:
    """What the image is called on this machine."""
    return f"localhost/{wanted.name}:{wanted.tag}"


def is_here(engine: Engine, wanted: Wanted) -> bool:
    """Was this very image, with these labels, built before and not yet removed?"""
    labels = engines.field(engine, name_of(wanted), ".Config.Labels") or {}
    return all(labels.get(key) == value for key, value in wanted.labels.items())


def build(engine: Engine, root: Path, model: Path, wanted: Wanted, room: Path) -> None:
    """Build it from the tree at `root` and the model of a folder; `room` is an empty folder to work in.

    Raises `InputError`, `Refused` or `OutsideError`; see `lockstep.release.bento`.
    """
    parcel = f"localhost/{wanted.name}-bento:{wanted.tag}"
    packed = bento.build(root, model, wanted, room / "bento")
    try:
        bento.containerize(engine, packed, room / "bento", parcel)
        _finish(engine, parcel, wanted, room / "finish")
    finally:
        with undisturbed():
            _tidy(engine, parcel)


def _tidy(engine: Engine, parcel: str) -> None:
    """Remove what only the build needed. That it cannot be removed is no reason to fail."""
    for command in (engine.prune(ROOM), engine.drop(parcel)):
        with suppress(outside.Failed):
            outside.run(command, "tidying up", timeout=engines.LOOK)


def _finish(engine: Engine, parcel: str, wanted: Wanted, folder: Path) -> None:
    folder.mkdir()
    shutil.copyfile(warm.__file__, folder / "warm.py")
    (folder / "Containerfile").write_text(recipe(parcel, wanted), encoding="utf-8")
    try:
        outside.run(
            engine.build(name_of(wanted)), "finishing the image", timeout=bento.BUILD, folder=folder,
            environment=engines.for_builds(),
        )  # fmt: skip
    except outside.Failed as error:
        if warm.MARK in error.said:
            raise Refused(f"the image was not accepted, and nothing was pushed: {error}") from None
        raise


def recipe(parcel: str, wanted: Wanted) -> str:
    """The Containerfile that makes the image of BentoML's."""
    return RECIPE.format(
        bento=parcel, run_image=_plain(wanted.run_image), app=APP, home=HOME, python=PYTHON, user=USER, port=PORT,
        environment=_listed({**ENVIRONMENT, "LOCKSTEP_NAME": wanted.name, **wanted.environment}),
        labels=_listed(wanted.labels), room=ROOM,
    )  # fmt: skip


def _listed(values: Mapping[str, str]) -> str:
    return " \\\n    ".join(f"{_plain(key)}={_quoted(value)}" for key, value in sorted(values.items()))


def _plain(word: str) -> str:
    """A word that stands for nothing but itself. Raises `InputError` for any other."""
    if not re.fullmatch(r"[\w./:@+-]+", word, re.ASCII):
        raise InputError(f"`{word}` cannot be a part of an image's recipe")
    return word


def _quoted(value: str) -> str:
    """A value as a Containerfile takes it, whatever is in it. Raises `InputError` for one of several lines."""
    if not value.isprintable():
        raise InputError(f"{value!r} cannot be a label of an image")
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'
