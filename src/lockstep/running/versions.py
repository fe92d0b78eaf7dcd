"""`versions.toml`: the versions that the requirements lock, one key a distribution, so that stages can track them.

DVC reruns a stage when a key that the stage lists has another value. Which keys a stage lists is not a matter of
taste: the distributions it imports, and what those require.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from lockstep import __version__
from lockstep.errors import InputError

FILE = "versions.toml"
LOCK = "requirements/pipeline.txt"
LOCKSTEP = "lockstep-ml"
PLATFORM = "linux/amd64"
"""Where the locked bytes are made. Another platform may differ in the last bits, and CI's lock counts."""

OUT_OF_REACH = frozenset(
    {"click", "dvc", "grimp", "packaging", "rich", "ruamel-yaml", "tqdm"}
    | {"annotated-types", "mypy-extensions", "typeguard", "typing-extensions", "typing-inspect", "typing-inspection"}
)
"""Imported, but unable to reach an output: they draw the terminal, read dvc.yaml, import graphs and version strings,
or speak about types. Everything else that a stage imports counts."""

HEADER = f"""\
# Generated from {LOCK} by `lockstep check --fix`; do not edit.
# Each stage in dvc.yaml lists the keys its output depends on: another version of one of them reruns the stage.
"""


def python() -> str:
    """The Python minor version that runs, such as `3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def normal(name: str) -> str:
    """A distribution's name in the one spelling used as a key.

    >>> normal("ruamel.yaml"), normal("Typing_Extensions")
    ('ruamel-yaml', 'typing-extensions')
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def read(root: Path) -> dict[str, str]:
    """The recorded versions by distribution, and `python`, `platform`, `lockstep-ml`."""
    path = root / FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{FILE} is missing: run `lockstep check --fix`, which generates it from {LOCK}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{FILE} cannot be read ({error}): run `lockstep check --fix`, which generates it") from None
    return {key: str(value) for key, value in content.items()}


def wanted(root: Path) -> dict[str, str]:
    """What versions.toml must hold: Python, platform, Lockstep, and the lock as it applies to this Python."""
    versions = {"python": python(), "platform": PLATFORM, LOCKSTEP: __version__}
    return versions | dict(sorted(_locked(root / LOCK)))


def text(versions: Mapping[str, str]) -> str:
    """The file's content."""
    return HEADER + "".join(f'{name} = "{version}"\n' for name, version in versions.items())


def differences(root: Path) -> list[str]:
    """Sentences about what versions.toml says and the lock does not, or the other way round."""
    should = wanted(root)
    if not (root / FILE).exists():
        return [f"{FILE} is missing"]
    has = read(root)
    changed = [name for name in [*should, *has] if should.get(name) != has.get(name)]
    names = ", ".join(
        f"{name} {has.get(name, 'absent')} → {should.get(name, 'absent')}" for name in dict.fromkeys(changed)
    )
    return [f"{FILE} is not what {LOCK} and this Python give: {names}"] if names else []


def fix(root: Path) -> list[Path]:
    """Generate versions.toml; returns the files that changed."""
    path, content = root / FILE, text(wanted(root))
    if path.exists() and path.read_bytes() == content.encode():
        return []
    path.write_text(content, encoding="utf-8")
    return [path]


def mismatches(recorded: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Sentences about distributions of which another version runs than the one recorded."""
    running = {name: _running(name) for name in names if name in recorded and name != "platform"}
    return [
        f"{name} {version or 'is not installed'}{' runs' if version else ''}, {FILE} says {recorded[name]}"
        for name, version in running.items()
        if version != recorded[name]
    ]


def _running(name: str) -> str | None:
    if name in ("python", LOCKSTEP):
        return python() if name == "python" else __version__
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def distributions(packages: Iterable[str], known: Iterable[str]) -> set[str]:
    """The distributions in `known` that `packages` (import names) come from, and what those require in turn."""
    allowed = set(known)
    todo = [name for package in packages for name in _providers(package)]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name in allowed and name not in found and name not in OUT_OF_REACH:
            found.add(name)
            todo.extend(_requirements(name))
    return found


@cache
def _providers(package: str) -> tuple[str, ...]:
    # Reading the file list of every distribution takes 0.1 s, a hundred times the look-up of a name, and most
    # distributions are named like what they hold.
    alias = {"sklearn": "scikit-learn", "yaml": "pyyaml", "google": "protobuf"}.get(package, package)
    try:
        return (normal(importlib.metadata.distribution(alias).name),)
    except importlib.metadata.PackageNotFoundError:
        return tuple(normal(name) for name in _all_providers().get(package, ()))


@cache
def _all_providers() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


@cache
def _requirements(name: str) -> tuple[str, ...]:
    """Names of what a distribution requires; extras are left out, markers are not weighed (the lock does that)."""
    try:
        lines = importlib.metadata.requires(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(normal(re.match(r"[\w.-]+", line)[0]) for line in lines if "extra ==" not in line)  # type: ignore[index]


def _locked(path: Path) -> Iterator[tuple[str, str]]:
    from packaging.markers import Marker

    if not path.exists():
        raise InputError(f"{path.name} is missing in {path.parent}: `make lock` resolves it from pyproject.toml")
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)\s*(?:;(?P<marker>[^\\]+))?", line)
        if match and (not match["marker"] or Marker(match["marker"].strip()).evaluate()):
            yield normal(match["name"]), match["version"]
