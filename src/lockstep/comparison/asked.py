"""By which metrics and slices models are compared: this branch's lists and the base's, so that nothing falls silent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lockstep.revision import Revision
from lockstep.spec import Spec
from lockstep.statistics.metrics import METRICS, metrics_for


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Ids of metrics, names of columns to slice by, and a sentence about each that only one of the revisions lists.

    Private columns are not among them: reports show the values of slices.
    """

    metrics: tuple[str, ...]
    slices: tuple[str, ...]
    notes: tuple[str, ...] = ()


def asked(spec: Spec, base: Revision | None) -> Asked:
    """What this branch asks, and after that what only its base asks, as far as this branch's rows can answer.

    Raises `InputError` when the base's params.yaml cannot be read.
    """
    ours = [name for name in spec.evaluate.slices if not _is_private(spec, name)]
    if base is None:
        return Asked(metrics=tuple(spec.evaluate.metrics), slices=tuple(ours))
    values = base.values()
    metrics, slices = _listed(values, "metrics"), _listed(values, "slices")
    known = [id for id in metrics if id in metrics_for(spec.contract.target.task)]
    there = [name for name in slices if name in spec.contract.columns and not _is_private(spec, name)]
    return Asked(
        metrics=tuple(dict.fromkeys([*spec.evaluate.metrics, *known])),
        slices=tuple(dict.fromkeys([*ours, *there])),
        notes=(*_about_metrics(spec, known), *_about_slices(spec, slices)),
    )


def _listed(values: Mapping[str, Any], key: str) -> list[str]:
    section = values.get("evaluate")
    found = section.get(key) if isinstance(section, dict) else None
    return [str(name) for name in found] if isinstance(found, list) else []


def _about_metrics(spec: Spec, theirs: list[str]) -> Iterator[str]:
    for id in theirs:
        if id not in spec.evaluate.metrics:
            yield f"This branch no longer lists {METRICS[id].title}; the base does, so it is judged all the same."


def _about_slices(spec: Spec, theirs: list[str]) -> Iterator[str]:
    for name in theirs:
        if name not in spec.contract.columns:
            yield f"The base slices by `{name}`, a column that this branch's rows lack: those slices are not judged."
        elif _is_private(spec, name):
            yield f"The base slices by `{name}`, which is private here: those slices are not judged."
        elif name not in spec.evaluate.slices:
            yield f"This branch no longer slices by `{name}`; the base does, so its slices are judged all the same."
    for name in spec.evaluate.slices:
        if name not in theirs:
            yield f"The base does not slice by `{name}`: its slices are judged here for the first time."


def _is_private(spec: Spec, name: str) -> bool:
    column = spec.contract.columns.get(name)
    return column is not None and column.private
