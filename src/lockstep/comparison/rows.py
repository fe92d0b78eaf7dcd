"""Which rows are compared: held out by this branch, learned from by neither model, readable by both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lockstep.comparison import integrity
from lockstep.comparison.challenger import Challenger
from lockstep.comparison.champion import Loaded
from lockstep.comparison.frames import among, places
from lockstep.comparison.lost import Found
from lockstep.models.model import Model
from lockstep.rows.contract import to_columns
from lockstep.rows.prepared import KEY
from lockstep.spec import Column, Contract, Spec

MOST_EXCLUDED = 0.05
"""More of the holdout than this learned from, and what is left may not be like the rest."""

MOST_REVALUED = 0.001
"""More joined rows than this with another value of a column, and the column is not what the champion knew."""

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The comparison rows, n of them: `rows` as this branch has them, `read` as the champion reads them, in one order.

    `kept` is a mask over this branch's holdout, `counts` are those of `result.Rows`. `why` says what keeps the models
    from being compared; `notes` what a reader should know besides.
    """

    rows: pd.DataFrame
    read: pd.DataFrame
    kept: Mask
    counts: Mapping[str, int]
    why: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def choose(spec: Spec, challenger: Challenger, champion: Loaded, holdout: pd.DataFrame, others: Mask) -> Chosen:
    """The comparison rows among this branch's `holdout` (n,); `others` (n,) are rows that must not count besides."""
    keys = holdout[KEY].to_numpy()
    same = champion.files.md5s["holdout.parquet"] == challenger.md5s["holdout.parquet"]
    at = np.arange(len(keys)) if same else places(keys, champion.keys)
    learned = among(keys, champion.provenance) | others
    found = _untouched(len(keys)) if same else integrity.look(spec, challenger, champion, holdout, at, learned)
    changed = {} if same else _changed(spec.contract, champion, holdout, at)
    matched = at >= 0 if changed else np.ones(len(keys), bool)
    kept = ~learned & matched
    rows = holdout[kept].reset_index(drop=True)
    counts = {**found.counts(), "excluded": int(learned.sum()), "unmatched": int((~matched & ~learned).sum())}
    why = (*found.why(), *_too_many(counts["excluded"], len(keys)), *_none_left(rows, counts, len(keys)))
    return Chosen(
        rows=rows,
        read=_own_rows(champion, at[kept]) if changed else rows,
        kept=kept,
        counts=counts,
        why=why or tuple(found.untied()),
        notes=(*found.notes(), *_columns_note(changed, counts["unmatched"])),
    )


def _untouched(rows: int) -> Found:
    """What is found in two holdouts of the same bytes."""
    return Found(held_out=rows, due=rows, joined=rows)


def _too_many(excluded: int, rows: int) -> Iterator[str]:
    if excluded > MOST_EXCLUDED * rows:
        yield (
            f"Not comparable enough: {excluded:,} of the {rows:,} rows that this branch holds out "
            f"({100 * excluded / rows:.1f} %) are rows that a model it is compared with has learned from; at most "
            f"{100 * MOST_EXCLUDED:.0f} % may be left out."
        )


def _none_left(rows: pd.DataFrame, counts: Mapping[str, int], before: int) -> Iterator[str]:
    if not len(rows):
        yield (
            f"No row is left to compare on: of the {before:,} rows that this branch holds out, a model has learned "
            f"from {counts['excluded']:,}, and {counts['unmatched']:,} the champion cannot read."
        )


def redeclared(contract: Contract, model: Model) -> dict[str, str]:
    """The model's columns that this branch's `contract` declares otherwise than its own does, and how, as phrases."""
    theirs, found = model.learned.contract, {}
    for name in columns_of(model):
        before, now = theirs.columns[name], contract.columns.get(name)
        if now is None:
            found[name] = "is no longer declared"
        elif _kind(before.type) != _kind(now.type):
            found[name] = f"was {before.type} and is {now.type}"
        elif getattr(before, "unit", "") != getattr(now, "unit", ""):
            found[name] = f"was in {_unit(before)} and is in {_unit(now)}"
    return found


def columns_of(model: Model) -> list[str]:
    """The columns that a model reads."""
    return [feature.column for feature in model.learned.encoding.features]


def _unit(column: Column) -> str:
    return getattr(column, "unit", "") or "no unit"


def _changed(contract: Contract, champion: Loaded, holdout: pd.DataFrame, at: Places) -> dict[str, str]:
    """The champion's columns that are not what they were when it was made: declared otherwise, or with other values
    for the same keys.
    """
    found = redeclared(contract, champion.model)
    same = [name for name in columns_of(champion.model) if name not in found]
    joined = at >= 0
    if not joined.any() or not same:
        return found
    before, now = champion.holdout(same).iloc[at[joined]], holdout.loc[joined, same]
    return found | dict(_revalued(champion.model.learned.contract, before, now))


def _kind(type: str) -> str:
    """Numbers and whole numbers are read alike."""
    return "number" if type == "integer" else type


def _revalued(contract: Contract, before: pd.DataFrame, now: pd.DataFrame) -> Iterator[tuple[str, str]]:
    then, here = to_columns(before, contract), to_columns(now, contract)
    for name in then:
        share = float(np.mean(_differ(then[name], here[name])))
        if share > MOST_REVALUED:
            yield name, f"holds other values for {100 * share:.3g} % of the same keys"


def _differ(before: npt.NDArray[Any], now: npt.NDArray[Any]) -> Mask:
    """Where two columns as `encoding` reads them differ; two missing values do not, nor do numbers alike in float32."""
    if before.dtype.kind == "f":
        before, now = before.astype(np.float32), now.astype(np.float32)
    if before.dtype.kind == "O":
        return np.asarray(before != now, bool)
    return np.asarray((before != now) & ~((before != before) & (now != now)), bool)


def _own_rows(champion: Loaded, at: Places) -> pd.DataFrame:
    return champion.holdout(columns_of(champion.model)).iloc[at].reset_index(drop=True)


def _columns_note(changed: Mapping[str, str], unmatched: int) -> Iterator[str]:
    if changed:
        named = "; ".join(f"`{name}` {how}" for name, how in list(changed.items())[:5])
        more = f"; and {len(changed) - 5} more" if len(changed) > 5 else ""
        left = f" {unmatched:,} new rows that the base does not have are left out." if unmatched else ""
        yield f"Columns changed ({named}{more}), so the champion reads its own prepared rows, matched by key.{left}"
