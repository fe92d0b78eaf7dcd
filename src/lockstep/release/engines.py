"""Container engines: which are here, and every command line that we give them.

The definitions of `docker` could not be run where this was written, which had none; their command lines are tested as
lists. Those of buildah, podman and skopeo are run by the tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import InputError, OutsideError
from lockstep.release import outside

CHOICE = "LOCKSTEP_ENGINE"
BUILD_CONF = "LOCKSTEP_BUILD_CONTAINERS_CONF"
"""A containers.conf for builds alone: a mirror's address or a proxy's certificates get into no image that way."""

LOOK = 60.0
LONGEST = 300
"""Seconds: for a small question, and that a container may run at most."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A way to build and run images: what builds, what runs, and how they are told to. Both see the same images."""

    name: str
    builder: str
    runner: str
    same_bytes: tuple[str, ...]
    """Options of a build after which two builds of the same are as equal as can be."""

    steps: tuple[str, ...] = ()
    """Options after which each step is a layer, so that a new model is pushed without the packages."""

    hardened: tuple[str, ...] = ()
    """What this runner needs besides, to be as strict as Kubernetes with a read-only root; and an end, should we die
    before the service heeds signals."""

    at_once: tuple[str, ...] = ()
    """Options that make a removal wait for nothing."""

    def build(self, image: str) -> list[str]:
        """Build the Containerfile of the current folder."""
        options = ("--file", "Containerfile", "--tag", image, *self.steps, *self.same_bytes)
        return [self.builder, "build", *options, "."]

    def containerize(self) -> list[str]:
        """Options for `bentoml containerize`, which calls the builder."""
        options = [option.removeprefix("--") for option in self.same_bytes if option.startswith("--timestamp")]
        return ["--backend", self.builder, *(word for option in options for word in ("--opt", option))]

    def run(self, image: str, name: str, environment: Mapping[str, str], *, memory: str, pids: int) -> list[str]:
        """Run hardened, in the foreground: nothing to write on but memory, no rights, no network but loopback."""
        told = [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]
        return [
            self.runner, "run", "--rm", "--name", name, "--pull", "never", "--network", "none", "--read-only",
            *self.hardened, "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", memory,
            "--pids-limit", str(pids), "--tmpfs", "/tmp:rw,size=64m,mode=1777",  # noqa: S108  (the container's)
            "--tmpfs", "/log:rw,size=64m,mode=1777", *told, image,
        ]  # fmt: skip

    def execute(self, name: str, *command: str) -> list[str]:
        """A program in a running container, which reads our standard input."""
        return [self.runner, "exec", "--interactive", name, *command]

    def remove(self, name: str) -> list[str]:
        """Stop a container and remove it; fine when it is gone."""
        return [self.runner, "rm", "--force", *self.at_once, name]

    def inspect(self, image: str, field: str) -> list[str]:
        """A field of an image that is here, as JSON, such as `.Config.Labels`."""
        return [self.runner, "image", "inspect", "--format", f"{{{{json {field}}}}}", image]

    def prune(self, label: str) -> list[str]:
        """Remove the images without a name that carry a label."""
        return [self.runner, "image", "prune", "--force", "--filter", f"label={label}"]

    def drop(self, image: str) -> list[str]:
        """Remove a name of an image, and the image with its last name."""
        return [self.runner, "rmi", image]


LAYERED = ("--layers", "--force-rm")
STRICT = ("--read-only-tmpfs=false", f"--timeout={LONGEST}")

ENGINES: Mapping[str, Engine] = {
    each.name: each
    for each in (
        Engine(
            name="buildah", builder="buildah", runner="podman", same_bytes=("--timestamp=0",), steps=LAYERED,
            hardened=STRICT, at_once=("--time", "0"),
        ),
        Engine(
            name="podman", builder="podman", runner="podman", same_bytes=("--timestamp=0",), steps=LAYERED,
            hardened=STRICT, at_once=("--time", "0"),
        ),
        Engine(
            name="docker", builder="docker", runner="docker", same_bytes=("--build-arg", "SOURCE_DATE_EPOCH=0"),
        ),
    )
}  # fmt: skip
"""In the order in which they are preferred."""


def chosen(environ: Mapping[str, str] = os.environ) -> Engine:
    """The engine to use: the one that LOCKSTEP_ENGINE names, else the first that is here and can limit memory.

    Raises `InputError` when there is none, and says why not.
    """
    wanted = environ.get(CHOICE, "").strip()
    if wanted and wanted not in ENGINES:
        raise InputError(f"{CHOICE}={wanted}: this must be one of {', '.join(ENGINES)}")
    reasons = []
    for engine in [ENGINES[wanted]] if wanted else ENGINES.values():
        why_not = _why_not(engine)
        if not why_not:
            return engine
        reasons.append(f"{engine.name}: {why_not}")
    raise InputError(f"no container engine can be used here ({'; '.join(reasons)}). Install buildah with podman")


def _why_not(engine: Engine) -> str:
    lacking = [program for program in {engine.builder, engine.runner} if not shutil.which(program)]
    if lacking:
        return f"{' and '.join(sorted(lacking))} is not installed"
    try:
        return "" if engine.runner != "podman" or _limits_memory() else "podman cannot limit memory for this user"
    except OutsideError as error:
        return str(error).splitlines()[0]


def _limits_memory() -> bool:
    command = ["podman", "info", "--format", "{{.Host.CgroupControllers}}"]
    return "memory" in outside.run(command, "asking podman", timeout=LOOK)


def for_builds(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for programs that build."""
    conf = environ.get(BUILD_CONF, "").strip()
    if conf and not Path(conf).is_file():
        raise InputError(f"{BUILD_CONF}={conf}: there is no such file")
    return {"CONTAINERS_CONF": conf} if conf else {}


def field(engine: Engine, image: str, name: str) -> Any:
    """A field of an image that is here; None when the image is not. Raises `OutsideError` when the engine fails."""
    try:
        return json.loads(outside.run(engine.inspect(image, name), f"looking at {image}", timeout=LOOK))
    except outside.Failed as error:
        if re.search(r"no such (image|object)|image not known", error.said, re.I):
            return None
        raise
