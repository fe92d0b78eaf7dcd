"""The bento: BentoML's parcel of the service, with the model's three files and nothing else of the repository."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pathspec
import yaml

from lockstep.errors import InputError, Refused
from lockstep.lock.shortly import shortened
from lockstep.release import engines, outside
from lockstep.release.engines import Engine
from lockstep.release.wanted import Wanted
from lockstep.revision import git
from lockstep.running import repository, versions
from lockstep.running.quiet import QUIET

FILE = "bentofile.yaml"
REQUIREMENTS = "requirements/serve.txt"
MODEL = "model"
SERVED = ("model.onnx", "contract.json", "golden.json")
"""All that an image holds of a model: no reference, no provenance, no training rows."""

ENTRY = "packed"
ENTRY_TEXT = """\
'''The service, and the image on which its packages are installed.'''

import bentoml
from {module} import {name} as service

service.image = bentoml.images.Image(lock_python_packages=False, **{image!r})
"""

PACK, BUILD = 300.0, 1800.0
"""Seconds."""


def read(root: Path) -> dict[str, Any]:
    """bentofile.yaml, as it stands. Raises `InputError` when it is missing or not one."""
    try:
        content = yaml.safe_load((root / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{FILE} is missing: it names the service and the files that it needs") from None
    except yaml.YAMLError as error:
        raise InputError(f"{FILE} cannot be read: {error}") from None
    if not isinstance(content, dict) or not content.get("service") or not content.get("include"):
        raise InputError(f"{FILE} must name a `service`, and the files to `include`")
    return content


def included(root: Path) -> list[str]:
    """The files of the repository that the image holds, sorted; the model's own are not among them.

    Raises `InputError` when a file that bentofile.yaml names is not there, or is a link: it may lead anywhere.
    """
    content = read(root)
    patterns = [str(pattern).removeprefix("./") for pattern in content["include"]]
    unwanted = _matching(content.get("exclude") or [])
    files = [path for path in _files(root) if not unwanted.match_file(path)]
    found = {pattern: set(_matching([pattern]).match_files(files)) for pattern in patterns}
    for pattern, paths in found.items():
        if not paths and not _is_of_model(pattern):
            raise InputError(f"{FILE} includes `{pattern}`, and there is no such file")
    held = sorted(path for path in set().union(*found.values()) if not _is_of_model(path))
    if links := [path for path in held if (root / path).is_symlink()]:
        raise InputError(f"{FILE} includes {links[0]}, which is a link: the image holds files of the repository alone")
    return held


def insist_committed(root: Path) -> None:
    """Raise `InputError` unless all that goes into the image is git's, as files that git watches for changes."""
    files = [FILE, REQUIREMENTS, *included(root)]
    listed = git(root, "--literal-pathspecs", "ls-files", "--stage", "-v", "-z", "--", *files).split("\0")
    watched = {path for about, _, path in (line.partition("\t") for line in listed) if about.startswith("H 100")}
    if unknown := [path for path in files if path not in watched]:
        raise InputError(
            f"the image would hold {shortened(unknown)}, which no commit has, or which git was told not to watch "
            "(`git update-index --no-assume-unchanged --no-skip-worktree FILE`): commit it, or include it no more"
        )


def _matching(patterns: Iterable[Any]) -> pathspec.GitIgnoreSpec:
    return pathspec.GitIgnoreSpec.from_lines(map(str, patterns))


def _is_of_model(path: str) -> bool:
    return path.partition("/")[0] == MODEL


def _files(root: Path) -> Iterator[str]:
    """All that could be included: nothing hidden, nothing that tools leave."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name[0] != "." and not repository.is_litter(name)]
        for name in files:
            if not repository.is_litter(name):
                yield (Path(folder) / name).relative_to(root).as_posix()


def derived(root: Path, wanted: Wanted, files: list[str]) -> str:
    """bentofile.yaml for this build: the build image, the locked packages, and the files one by one."""
    content = read(root)
    envs = [each for each in content.get("envs") or [] if each.get("name") != "UV_REQUIRE_HASHES"]
    content |= {
        "service": f"{ENTRY}:service",
        "name": wanted.name,
        "include": [f"{ENTRY}.py", *files, *(f"{MODEL}/{name}" for name in SERVED)],
        "envs": [*envs, {"name": "UV_REQUIRE_HASHES", "value": "1"}],
        "python": {"requirements_txt": REQUIREMENTS, "lock_packages": False},
    }
    for name in ("exclude", "docker"):
        content.pop(name, None)
    return yaml.safe_dump(content, sort_keys=True, allow_unicode=True)


def entry(root: Path, wanted: Wanted) -> str:
    """A module that gives BentoML the service with the image on which its packages are installed.

    Named in bentofile.yaml, BentoML takes a base image for a bare Debian and installs compilers in it.
    """
    module, _, name = str(read(root)["service"]).partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), name]):
        raise InputError(f"{FILE}: `service` must be module:name, such as lockstep.service:service")
    image = {"base_image": wanted.build_image, "distro": "none", "python_version": python(root)}
    return ENTRY_TEXT.format(module=module, name=name, image=image)


def python(root: Path) -> str:
    """The minor version that versions.toml names: the image has the same."""
    return versions.read(root).get("python", versions.python())


def build(root: Path, model: Path, wanted: Wanted, home: Path) -> Path:
    """Pack the service of the tree at `root` with the model of a folder; the bento's folder, below `home`.

    Raises `InputError` when a file is missing, `Refused` when BentoML cannot load the service.
    """
    context = home / "context"
    files = included(root)
    for name in files:
        _copy(root / name, context / name)
    for name in SERVED:
        _copy(model / name, context / MODEL / name)
    _copy(root / REQUIREMENTS, context / REQUIREMENTS)
    (context / f"{ENTRY}.py").write_text(entry(root, wanted), encoding="utf-8")
    (context / FILE).write_text(derived(root, wanted, files), encoding="utf-8")
    version = wanted.identity[:32]
    command = [sys.executable, "-P", "-m", "bentoml", "build", "--version", version, str(context)]
    try:
        outside.run(command, "`bentoml build`", timeout=PACK, folder=context, environment=_environment(home))
    except outside.Failed as error:
        raise Refused(f"{error}\nThe service cannot be packed: `bentoml build` at the root says why") from None
    folder = home / "bentos" / wanted.name / version
    _settle(folder, root)
    return folder


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        raise InputError(f"{source} is missing, and the image needs it") from None


def _environment(home: Path) -> dict[str, str]:
    """A store of its own for BentoML, and the service's modules before any that are installed."""
    context = home / "context"
    return {**QUIET, "BENTOML_HOME": str(home), "PYTHONPATH": f"{context / 'src'}{os.pathsep}{context}"}


def _settle(folder: Path, root: Path) -> None:
    """What is installed is exactly what is locked, with its hashes; and no clock is left in the bento."""
    locked = (root / REQUIREMENTS).read_bytes()
    (folder / "env" / "python" / "requirements.txt").write_bytes(locked)
    (folder / "env" / "python" / "requirements.in").unlink(missing_ok=True)
    about = folder / "bento.yaml"
    text, changed = re.subn(r"(?m)^creation_time: .*$", "creation_time: '1970-01-01T00:00:00+00:00'", about.read_text())
    assert changed == 1, "BentoML writes its time elsewhere now"
    about.write_text(text)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def containerize(engine: Engine, bento: Path, home: Path, image: str) -> None:
    """Let BentoML make an image of the bento, upon the build image.

    Raises `OutsideError` when that fails: an image or a package cannot be fetched, a hash is not the locked one.
    """
    tag = f"{bento.parent.name}:{bento.name}"
    command = [sys.executable, "-P", "-m", "bentoml", "containerize", tag, "--image-tag", image]
    environment: Mapping[str, str] = {**QUIET, "BENTOML_HOME": str(home), **engines.for_builds()}
    outside.run([*command, *engine.containerize()], "building the image", timeout=BUILD, environment=environment)
