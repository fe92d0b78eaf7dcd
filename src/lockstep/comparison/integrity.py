"""The exam must not change with the pupil: what became of the rows that the base held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lockstep.comparison.challenger import Challenger
from lockstep.comparison.champion import Loaded
from lockstep.comparison.frames import among, places, read_columns
from lockstep.comparison.lost import Found, contrast
from lockstep.rows.contract import admit, outcomes
from lockstep.rows.prepared import KEY
from lockstep.rows.splits import Hashes, key_hashes, time_bounds
from lockstep.spec import Contract, Spec, Target, TimeSplit

Mask = npt.NDArray[np.bool_]


def look(
    spec: Spec,
    challenger: Challenger,
    champion: Loaded,
    holdout: pd.DataFrame,
    at: npt.NDArray[np.int64],
    learned: Mask,
) -> Found:
    """What became of them. `at` (n,) says where each row of this branch's `holdout` stands in the base's, or -1;
    `learned` (n,) which of them do not count, because a model has learned from them.
    """
    target, time = spec.contract.target, spec.contract.time
    theirs = champion.holdout([KEY, target.column, *([time] if time else [])])
    keys, joined = theirs[KEY].to_numpy(), at >= 0
    lost = ~among(keys, np.sort(holdout[KEY].to_numpy()))
    before, due = _before(spec, theirs), _due(spec, theirs)
    trained = lost & among(keys, challenger.provenance)
    refused = lost & due & ~trained
    if refused.any():
        refused &= among(keys, np.sort(quarantined(challenger.quarantine, spec.contract)))
    missed = lost & due & ~refused
    added = ~learned & _added(spec, champion, theirs, holdout, at)
    return Found(
        by_time=isinstance(spec.split, TimeSplit),
        held_out=len(holdout),
        due=int(due.sum()),
        joined=int(joined.sum()),
        labels_differ=_differ(theirs.iloc[at[joined]], holdout[joined], target),
        moved=int((lost & before).sum()),
        outside=int((lost & ~before & ~due).sum()),
        refused=int(refused.sum()),
        relearned=int((missed & trained).sum()),
        gone=int((missed & ~trained).sum()),
        added=int(added.sum()),
        redated=_redated(spec, theirs.iloc[at[joined]], holdout[joined]),
        trained=int(trained.sum()),
        trained_differ=_trained_differ(challenger, theirs[trained], target),
        missed_are=contrast(theirs[missed], theirs[due], target),
        refused_are=contrast(theirs[refused], theirs[due], target),
    )


def _trained_differ(challenger: Challenger, rows: pd.DataFrame, target: Target) -> int:
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


def _redated(spec: Spec, before: pd.DataFrame, now: pd.DataFrame) -> int:
    """How many rows lie on another day."""
    then, here = _times(spec, before), _times(spec, now)
    if then is None or here is None:
        return 0
    return int((then.astype("datetime64[D]") != here.astype("datetime64[D]")).sum())


def _due(spec: Spec, rows: pd.DataFrame) -> Mask:
    """Which rows of the base's holdout belong in this branch's: by the time that the base has, and all without one."""
    ingest, times = spec.ingest, _times(spec, rows)
    if times is None or ingest.start is None or ingest.until is None:
        return np.ones(len(rows), bool)
    outside = (times < np.datetime64(pd.Timestamp(ingest.start))) | (times >= np.datetime64(pd.Timestamp(ingest.until)))
    return np.asarray(~outside & ~_before(spec, rows), bool)


def _before(spec: Spec, rows: pd.DataFrame) -> Mask:
    """Which rows lie before this branch's holdout: its window has moved over them."""
    times = _times(spec, rows)
    if not isinstance(spec.split, TimeSplit) or times is None:
        return np.zeros(len(rows), bool)
    assert spec.ingest.until is not None
    return np.asarray(times < time_bounds(spec.split, spec.contract, spec.ingest.until)[0], bool)


def _added(
    spec: Spec, champion: Loaded, theirs: pd.DataFrame, holdout: pd.DataFrame, at: npt.NDArray[np.int64]
) -> Mask:
    """Which rows of this branch's `holdout` (n,) the base, by their time, would have held out and did not; and those
    that it held out at a time before this branch's holdout.
    """
    times = _times(spec, holdout)
    if not isinstance(spec.split, TimeSplit) or times is None:
        return np.zeros(len(holdout), bool)
    start, end = _span(spec.split, spec.contract, champion.files.until, theirs)
    came = at >= 0
    came[came] = _before(spec, theirs)[at[came]]
    return np.asarray(came | ((at < 0) & (times >= start) & (times < end)), bool)


def _span(split: TimeSplit, contract: Contract, until: str, theirs: pd.DataFrame) -> tuple[Any, Any]:
    """From when until when the base holds out; where it does not say, what its rows cover."""
    if until:
        return time_bounds(split, contract, until)[0], np.datetime64(pd.Timestamp(until))
    assert contract.time is not None
    return theirs[contract.time].min().to_datetime64(), theirs[contract.time].max().to_datetime64()


def _times(spec: Spec, rows: pd.DataFrame) -> npt.NDArray[np.datetime64] | None:
    """The rows' moments (n,); None where the rows have no time that can be read as one."""
    time = spec.contract.time
    if time is None or time not in rows or not pd.api.types.is_datetime64_any_dtype(rows[time].dtype):
        return None
    return rows[time].to_numpy(dtype="datetime64[us]")


def quarantined(path: Path, contract: Contract) -> Hashes:
    """Key hashes of the rows in quarantine, as far as their text still gives a key of the contract's types."""
    text = read_columns(path, [*contract.key, contract.target.column])
    if not len(text):
        return np.empty(0, np.uint64)
    columns = {name: contract.columns[name] for name in contract.key}
    typed = admit(text, contract.model_copy(update={"columns": columns}), "the quarantine").rows
    return key_hashes(typed[typed[contract.key].notna().all(axis=1).to_numpy()], contract.key)
