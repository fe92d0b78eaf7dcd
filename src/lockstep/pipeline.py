"""What dvc.yaml must say: derived from each stage's declaration, from what it imports, and from the spec.

DVC reruns a stage when something that dvc.yaml lists has changed, and does not know about anything else. So the lists
are not written by hand but computed here; dvcyaml.py compares and mends the file.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import InputError
from lockstep.running import repository, versions
from lockstep.running.listing import SPEC, has, lookup
from lockstep.running.stage import Kind, Stage
from lockstep.sources import imports
from lockstep.spec import Ingest, Spec
from lockstep.spec.estimator_traits import export_needs

MODULES: Mapping[str, str] = {name: f"lockstep.stages.{name}" for name in ("ingest", "prepare", "train", "evaluate")}
"""The stages in order, and the module that each one runs."""

SECTIONS: Mapping[Kind, str] = {
    "out": "outs", "directory": "outs", "document": "outs", "metric": "metrics", "plot": "plots",
}  # fmt: skip
FLAGS: Mapping[Kind, Mapping[str, bool]] = {
    "out": {}, "directory": {"persist": True}, "document": {"cache": False}, "metric": {"cache": False},
    "plot": {"cache": False},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One stage as dvc.yaml must have it: each list in the order in which a new file would hold it."""

    name: str
    about: str
    cmd: str
    reads: tuple[str, ...]
    code: tuple[str, ...]
    params: tuple[str, ...]
    versions: tuple[str, ...]
    outputs: Mapping[str, Mapping[str, Mapping[str, bool]]]
    """By section (`outs`, `metrics`, `plots`), then path: its flags."""
    problems: tuple[str, ...] = field(default=())
    """What no rewriting of dvc.yaml can mend."""


def entries(root: Path, modules: Mapping[str, str] = MODULES) -> Iterator[Entry]:
    """Each stage as dvc.yaml must have it. Reads params.yaml, versions.toml and the modules' sources."""
    spec, known = read_values(root / SPEC), versions.read(root)
    repository.on_path(root)
    for module in modules.values():
        yield _entry(module, spec, known, root)


def read_values(path: Path) -> dict[str, Any]:
    """params.yaml as bare values; whether they make sense is for `lockstep.spec` to say."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path.name} cannot be read: {error}") from None
    return values if isinstance(values, dict) else {}


def _entry(module: str, spec: Mapping[str, Any], known: Mapping[str, str], root: Path) -> Entry:
    loaded = importlib.import_module(module)
    stage: Stage = loaded.STAGE
    own, foreign = _named_code(stage, spec)
    reach = imports.closure([module, *own], root)
    tracked = versions.distributions(reach.packages | foreign, known)
    params = ("python", *([versions.LOCKSTEP] if reach.installed else []), *sorted(tracked))
    return Entry(
        name=stage.name,
        about=stage.description or _about(loaded.__doc__, stage.name),
        cmd=f"python -m {module}",
        reads=(*stage.reads.values(), *_incoming(stage, spec)),
        code=reach.files,
        params=tuple(path for path in stage.spec if has(spec, path)),
        versions=params,
        outputs=_outputs(stage),
        problems=tuple(_unlocked(stage, spec, known, root)),
    )


def _about(docstring: str | None, name: str) -> str:
    """The first line of a module's docstring, without the stage's name before it."""
    return (docstring or "").strip().partition("\n")[0].removeprefix(f"{name}: ").rstrip(".")


def covers(stage: Stage, path: str) -> bool:
    """Does the stage read the spec's `path`, itself or within a section?"""
    return any(path == own or path.startswith(own + ".") for own in stage.spec)


def _named_code(stage: Stage, spec: Mapping[str, Any]) -> tuple[list[str], set[str]]:
    """Code that the spec names, which no import statement shows: the modules of it, and packages from outside."""
    own, foreign = [], set[str]()
    if covers(stage, "ingest.source") and (source := lookup(spec, "ingest.source")):
        own.append(str(source).partition(":")[0])
    if covers(stage, "train.estimator") and (estimator := lookup(spec, "train.estimator")):
        own.append(str(estimator).rpartition(".")[0])
        foreign |= set(export_needs(str(estimator)))
    if covers(stage, "ingest.files"):
        foreign |= {package for url in _urls(spec) for package in _filesystem(url)}
    return own, foreign


def _urls(spec: Mapping[str, Any]) -> list[str]:
    files = lookup(spec, "ingest.files") or []
    return [str(name) for name in ([files] if isinstance(files, str) else files) if "://" in str(name)]


def _filesystem(url: str) -> Iterator[str]:
    """The package that fsspec uses for a URL: s3fs for s3://."""
    from fsspec.registry import known_implementations

    protocol = url.partition("://")[0].split("::")[0]
    if protocol in known_implementations:
        yield known_implementations[protocol]["class"].partition(".")[0]


def _incoming(stage: Stage, spec: Mapping[str, Any]) -> Iterable[str]:
    """Files and URLs that the spec names as the source of rows."""
    if not covers(stage, "ingest.files") or lookup(spec, "ingest.files") is None:
        return ()
    return stage.incoming(Spec.partial({"ingest": Ingest.model_validate(spec["ingest"])}, ["ingest"], ""))


def _outputs(stage: Stage) -> Mapping[str, Mapping[str, Mapping[str, bool]]]:
    sections: dict[str, dict[str, Mapping[str, bool]]] = {}
    for output in stage.writes.values():
        sections.setdefault(SECTIONS[output.kind], {})[output.path] = FLAGS[output.kind]
    return sections


def _unlocked(stage: Stage, spec: Mapping[str, Any], known: Mapping[str, str], root: Path) -> Iterator[str]:
    """An estimator whose library no requirement locks: its upgrade would rerun nothing."""
    estimator = lookup(spec, "train.estimator")
    if not covers(stage, "train.estimator") or not estimator:
        return
    for top in (str(estimator).partition(".")[0], *export_needs(str(estimator))):
        if imports.is_outside(top, root) and not versions.distributions([top], known):
            yield (
                f"{SPEC}: train.estimator `{estimator}` needs `{top}`, which {versions.LOCK} does not lock: "
                f"name its distribution in requirements/pipeline.in, then `make lock` and `lockstep check --fix`"
            )
