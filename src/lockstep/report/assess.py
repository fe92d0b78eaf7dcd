"""From a work tree and its base to what a report says: compare, find out what changed, judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lockstep.comparison.compare import compare
from lockstep.errors import InputError
from lockstep.gates.judge import Evidence, judge, released_tags
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
    values: Mapping[str, Any] = base.values() if base else {}
    progress("comparing champion and challenger")
    comparison = compare(root, spec, base, seeds=seeds, released=released_tags(spec, values), progress=progress)
    progress("looking at what changed")
    change = changes(root, spec, base, comparison.champion_folder)
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


def _listed(gates: Any) -> list[Any]:
    return gates if isinstance(gates, list) else [] if gates is None else [gates]


def _summary(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{SUMMARY} cannot be read: {error}. `make repro` writes it") from None
    return found if isinstance(found, dict) else {}
