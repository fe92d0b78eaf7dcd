"""The exam must not change with the pupil: what became of the rows that the base held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from lockstep.comparison.challenger import Challenger
from lockstep.comparison.champion import Loaded
from lockstep.comparison.frames import among, places, read_columns
from lockstep.rows.contract import admit, outcomes
from lockstep.rows.prepared import KEY
from lockstep.rows.splits import Hashes, key_hashes, time_bounds
from lockstep.spec import Contract, Spec, Target, TimeSplit

MOST_RELABELLED = 0.001
"""A larger share of outcomes that differ, and the question changed."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Rows of the base's holdout, counted: see `result.Rows`. `relearned` are those that this branch now trains on, and
    `relearned_differ` those of them whose outcome differs.
    """

    joined: int
    labels_differ: int = 0
    moved: int = 0
    refused: int = 0
    gone: int = 0
    relearned: int = 0
    relearned_differ: int = 0

    def counts(self) -> dict[str, int]:
        """What `result.Rows` tells of it."""
        return {name: count for name, count in asdict(self).items() if not name.startswith("relearned")}

    def why(self) -> Iterator[str]:
        """Sentences when outcomes changed."""
        pairs = (self.labels_differ, self.joined, "both revisions hold out"), (
            self.relearned_differ, self.relearned, "the base held out and this branch trains on",
        )  # fmt: skip
        for differ, rows, which in pairs:
            if differ > MOST_RELABELLED * rows:
                yield (
                    f"The question changed: {differ:,} of the {rows:,} rows that {which} ({100 * differ / rows:.2g} %) "
                    "have another outcome than in the base."
                )


def look(
    spec: Spec, challenger: Challenger, champion: Loaded, holdout: pd.DataFrame, at: npt.NDArray[np.int64]
) -> Found:
    """What became of them. `at` (n,) says where each row of this branch's `holdout` stands in the base's, or -1."""
    target, time = spec.contract.target, spec.contract.time
    theirs = champion.holdout([KEY, target.column, *([time] if time else [])])
    joined = at >= 0
    lost = theirs[~among(theirs[KEY].to_numpy(), np.sort(holdout[KEY].to_numpy()))]
    keys = lost[KEY].to_numpy()
    learned = among(keys, challenger.provenance)
    moved = learned | _between(spec, lost)
    refused = ~moved
    if refused.any():
        refused &= among(keys, np.sort(quarantined(challenger.quarantine, spec.contract)))
    relearned = lost[learned]
    return Found(
        joined=int(joined.sum()),
        labels_differ=_differ(theirs.iloc[at[joined]], holdout[joined], target),
        moved=int(moved.sum()),
        refused=int(refused.sum()),
        gone=int((~moved & ~refused & _inside(spec, lost)).sum()),
        relearned=len(relearned),
        relearned_differ=_relearned_differ(challenger, relearned, target),
    )


def _relearned_differ(challenger: Challenger, rows: pd.DataFrame, target: Target) -> int:
    if not len(rows):
        return 0
    training = read_columns(challenger.training, [KEY, target.column])
    at = places(rows[KEY].to_numpy(), training[KEY].to_numpy())
    return _differ(rows[at >= 0], training.iloc[at[at >= 0]], target)


def _differ(before: pd.DataFrame, now: pd.DataFrame, target: Target) -> int:
    """How many outcomes differ, row by row; numbers that only their last digits tell apart do not."""
    then, here = outcomes(before, target).to_numpy(), outcomes(now, target).to_numpy()
    if target.task == "regression":
        return int((~np.isclose(then.astype(float), here.astype(float), rtol=1e-9, atol=0)).sum())
    return int((then != here).sum())


def _inside(spec: Spec, rows: pd.DataFrame) -> Mask:
    """Which rows lie in this branch's window; all of them without a time column."""
    ingest, time = spec.ingest, spec.contract.time
    if time is None or time not in rows or ingest.start is None or ingest.until is None:
        return np.ones(len(rows), bool)
    inside: Mask = ((rows[time] >= pd.Timestamp(ingest.start)) & (rows[time] < pd.Timestamp(ingest.until))).to_numpy()
    return inside


def _between(spec: Spec, rows: pd.DataFrame) -> Mask:
    """Which rows now lie in the gap before the holdout, which no file holds."""
    if not isinstance(spec.split, TimeSplit):
        return np.zeros(len(rows), bool)
    assert spec.ingest.until is not None
    assert spec.contract.time is not None
    start, end = time_bounds(spec.split, spec.contract, spec.ingest.until)
    times = rows[spec.contract.time].to_numpy(dtype="datetime64[us]")
    return (times >= end) & (times < start)


def quarantined(path: Path, contract: Contract) -> Hashes:
    """Key hashes of the rows in quarantine, as far as their text still gives a key of the contract's types."""
    text = read_columns(path, [*contract.key, contract.target.column])
    if not len(text):
        return np.empty(0, np.uint64)
    columns = {name: contract.columns[name] for name in contract.key}
    typed = admit(text, contract.model_copy(update={"columns": columns}), "the quarantine").rows
    return key_hashes(typed[typed[contract.key].notna().all(axis=1).to_numpy()], contract.key)
