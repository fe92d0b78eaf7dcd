"""Which room of the house may import which: docs/architecture.md in executable form."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import grimp
import pytest

from conftest import ROOT

EDGE = {"lockstep.cli", "lockstep.upkeep", "lockstep.running.process"}
"""They start things. Nothing is built on them, except that a stage's module runs itself through `process`."""

SERVED = {"lockstep.models.encoding", "lockstep.models.model", "lockstep.service"}
"""What a service loads: it must start without the libraries of training."""

HOUSE = {"lockstep.pipeline", "lockstep.dvcyaml", "lockstep.revision", "lockstep.doctor"}
ROOMS = ("lock", "comparison", "gates", "report", "remotes", "github", "serving", "batch", "release", "commands")
"""They look at the pipeline from outside. Were a stage to import them, a change to the lint would rerun it."""

UNPICKLING = {"pickle", "cloudpickle", "dill", "joblib", "skops", "shelve", "marshal"}


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("lockstep", include_external_packages=True, cache_dir=None)


def stages() -> set[str]:
    return graph().find_children("lockstep.stages")


def commands() -> set[str]:
    return graph().find_children("lockstep.commands") | {"lockstep.commands"}


def nouns() -> set[str]:
    ours = {name for name in graph().modules if name.startswith("lockstep.")}
    return ours - stages() - EDGE - commands() - {"lockstep.stages"}


def reach(module: str) -> set[str]:
    """The top-level packages from outside that `module` imports, directly or not, inside functions too."""
    return {name.partition(".")[0] for name in graph().find_upstream_modules(module)} - {"lockstep"}


def test_nouns_know_nothing_of_stages_processes_or_commands() -> None:
    found = {
        (noun, imported)
        for noun in nouns()
        for imported in graph().find_modules_directly_imported_by(noun)
        if imported in EDGE | stages() | commands()
    }
    assert not found


def test_stages_do_not_know_each_other() -> None:
    found = {
        (stage, imported)
        for stage in stages()
        for imported in graph().find_upstream_modules(stage)
        if imported in stages() - {stage}
    }
    assert not found


def test_no_stage_depends_on_the_lint_that_looks_at_it() -> None:
    outside = HOUSE | {name for name in graph().modules if name.startswith(tuple(f"lockstep.{r}." for r in ROOMS))}
    found = {(stage, module) for stage in stages() for module in outside & graph().find_upstream_modules(stage)}
    assert not found


@pytest.mark.parametrize(
    "module", sorted(grimp.build_graph("lockstep", cache_dir=None).find_children("lockstep.statistics"))
)
def test_statistics_need_numpy_and_scipy_only(module: str) -> None:
    assert not reach(module) & {"pandas", "pyarrow", "sklearn", "onnx", "onnxruntime", "pydantic", "yaml", "dvc"}
    ours = {name for name in graph().find_upstream_modules(module) if name.startswith("lockstep.")}
    assert all(name.startswith("lockstep.statistics.") for name in ours - {"lockstep.statistics"})


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("lockstep.spec", {"numpy", "pandas", "sklearn", "dvc"}),
        ("lockstep.running", {"numpy", "pandas", "sklearn", "dvc"}),
        ("lockstep.sources", {"lockstep.rows.contract", "lockstep.rows.prepared", "lockstep.models.model"}),
        ("lockstep.rows", {"lockstep.models.model", "lockstep.models.encoding", "sklearn", "onnxruntime"}),
        ("lockstep.models", {"lockstep.evaluation", "lockstep.statistics.intervals", "dvc"}),
        ("lockstep.lock", {"lockstep.comparison.result", "lockstep.github.api", "pandas", "onnxruntime"}),
        ("lockstep.comparison", {"lockstep.gates.outcome", "lockstep.report.change", "lockstep.github.api"}),
        ("lockstep.gates", {"lockstep.report.verdict", "lockstep.github.api", "dvc"}),
        ("lockstep.github", {"lockstep.comparison.champion", "onnxruntime", "sklearn"}),
        ("lockstep.serving", {"lockstep.lock.entries", "lockstep.release.tags", "pandas", "sklearn", "dvc"}),
        ("lockstep.batch", {"lockstep.release.tags", "lockstep.evaluation", "sklearn", "dvc", "bentoml"}),
        ("lockstep.release", {"lockstep.comparison.champion", "lockstep.stages.train", "sklearn"}),
    ],
)
def test_a_room_does_not_reach_what_it_must_not_know(room: str, never: set[str]) -> None:
    reached = set().union(*(graph().find_upstream_modules(module) for module in graph().find_children(room)))
    assert not never & ({name.partition(".")[0] for name in reached} | reached)


@pytest.mark.parametrize("module", sorted(SERVED))
def test_what_is_served_loads_no_library_of_training(module: str) -> None:
    assert not reach(module) & {"pandas", "sklearn", "skl2onnx", "dvc", "pandera", "scipy"}


def test_errors_know_nobody() -> None:
    known = graph().find_modules_directly_imported_by("lockstep.errors")
    assert not {name for name in known if name.startswith("lockstep")}


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: path.stem)
def test_nothing_can_write_or_read_a_pickle(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not {name.partition(".")[0] for name in imported} & UNPICKLING
    assert not called & {"to_pickle", "read_pickle"}
    assert "allow_pickle=True" not in path.read_text(encoding="utf-8")
