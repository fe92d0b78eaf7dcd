"""From a work tree and its base to what a report says: compare, find out what changed, judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lockstep.comparison.compare import compare
from lockstep.comparison.result import Comparison
from lockstep.errors import InputError
from lockstep.gates.judge import Evidence, judge, released_tags
from lockstep.release.earlier import brought_back
from lockstep.release.tags import Released
from lockstep.report.changes import changes
from lockstep.report.judged import Judged
from lockstep.report.origin import origin
from lockstep.report.verdict import conclude
from lockstep.revision import Revision
from lockstep.spec import Spec

MODEL, SUMMARY = "model", "data/prepared/summary.json"


def assess(
    root: Path, spec: Spec, base: Revision | None, *, seeds: int = 0, progress: Callable[[str], None] = lambda _: None
) -> Judged:
    """Compare the work tree's model with that of `base`, and judge it.

    Raises `InputError` when something needed is not there or damaged, `OutsideError` when a remote fails.
    """
    rollback = brought_back(root, spec.project.name, base)
    values = _values(base, rollback)
    progress("comparing champion and challenger")
    comparison = _compared(root, spec, base, values, rollback, seeds, progress)
    progress("looking at what changed")
    change = replace(changes(root, spec, base, comparison.champion_folder), rollback=rollback)
    progress("judging the gates")
    judgement = judge(
        Evidence(
            comparison=comparison,
            spec=spec,
            base_gates=_listed(values.get("gates")),
            base_values=values,
            model_folder=root / MODEL,
            champion_folder=comparison.champion_folder,
            summary=_summary(root / SUMMARY),
            contract_changes=change.contract,
        )
    )
    return Judged(
        comparison=comparison,
        judgement=judgement,
        change=change,
        verdict=conclude(comparison, judgement, change, spec),
        spec=spec,
        origin=origin(root, base),
    )


def _values(base: Revision | None, rollback: Released | None) -> Mapping[str, Any]:
    """The base's spec. One that cannot be read does not keep an earlier release from coming back."""
    try:
        return base.values() if base else {}
    except InputError:
        if rollback is None:
            raise
        return {}


def _compared(
    root: Path, spec: Spec, base: Revision | None, values: Mapping[str, Any], rollback: Released | None, seeds: int,
    progress: Callable[[str], None],
) -> Comparison:  # fmt: skip
    """As `compare`; but that the base's model is lost or broken does not keep an earlier one from coming back."""
    tags = released_tags(spec, values)
    try:
        return compare(root, spec, base, seeds=seeds, released=tags, progress=progress)
    except InputError as error:
        if rollback is None or base is None:
            raise
        alone = compare(root, spec, None, seeds=seeds, released=tags, progress=progress)
        return replace(alone, verdict="not comparable", why=(f"The base's model is not compared with: {error}",))


def _listed(gates: Any) -> list[Any]:
    return gates if isinstance(gates, list) else [] if gates is None else [gates]


def _summary(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{SUMMARY} cannot be read: {error}. `make repro` writes it") from None
    return found if isinstance(found, dict) else {}
