"""What is wrong with a table before any model sees it. A check is an id, a title and a function of the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from lockstep.errors import Refused
from lockstep.rows.contract import to_columns
from lockstep.rows.roles import feature_columns
from lockstep.spec import Contract

LEAK_WARNING, LEAK_REFUSAL = 0.85, 0.995
"""Areas under the ROC curve of a single column. On real flights the departure delay reaches 0.898."""

QUARANTINE_WARNING = 0.01
"""Share of rows."""

BINS = 64
SAMPLE = 50_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something a person should know: the check's id, how bad, about which column, in one sentence."""

    id: str
    level: Literal["warning", "refusal"]
    column: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the checks look at.

    `sample` holds up to 50,000 training rows, those with the smallest key hashes (so the sample does not depend on
    order), `outcomes` (n, k) their target as 0 and 1 (a column a class; for regression, above the median or not),
    `halves` (n,) a bit of each row's hash; `constant` the columns with one value in all rows; `ahead` counts rows whose
    moment in a column lies after the row's own time, out of `rows` in training and holdout; `repeated` rows whose key
    came before; `both_sides` keys that stand on both sides; `raw` and `quarantine` count rows, `rules` the broken ones;
    `vanished` names, by column, the partitions (and their rows) that hold no value of it.
    """

    contract: Contract
    sample: pd.DataFrame
    outcomes: npt.NDArray[np.float64]
    halves: npt.NDArray[np.bool_]
    constant: list[str]
    ahead: dict[str, int]
    rows: int
    repeated: int
    both_sides: int
    raw: int
    quarantine: int
    rules: dict[str, int]
    vanished: dict[str, dict[str, int]]


Check = Callable[[Evidence], Iterator[Finding]]


def duplicate_keys(evidence: Evidence) -> Iterator[Finding]:
    """The contract's key names each row once; a later row with the same key goes to quarantine."""
    if evidence.repeated:
        yield Finding(
            id="duplicate-key",
            level="warning",
            column="",
            message=f"{evidence.repeated:,} rows repeat the key of an earlier row and are in quarantine. "
            "If they are rows of their own, add the column that tells them apart to contract.key.",
        )


def rows_on_both_sides(evidence: Evidence) -> Iterator[Finding]:
    """No key stands on both the training and the holdout side."""
    if evidence.both_sides:
        yield Finding(
            id="both-sides",
            level="refusal",
            column="",
            message=f"{evidence.both_sides:,} keys stand in training and holdout: the holdout would flatter the model.",
        )


def full_quarantine(evidence: Evidence) -> Iterator[Finding]:
    """More than one row in a hundred breaks the contract."""
    if evidence.quarantine > QUARANTINE_WARNING * evidence.raw:
        worst = sorted(evidence.rules.items(), key=lambda item: (-item[1], item[0]))[:3]
        named = ", ".join(f"{rule} ({count:,})" for rule, count in worst)
        share = f"{evidence.quarantine:,} of {evidence.raw:,} rows ({evidence.quarantine / evidence.raw:.1%})"
        yield Finding(
            id="quarantine",
            level="warning",
            column="",
            message=f"{share} are in quarantine, mostly by {named}: is the source broken, or is the contract too "
            "strict?",
        )


def columns_that_vanish(evidence: Evidence) -> Iterator[Finding]:
    """A column that holds values in some partitions holds none in others."""
    for name, partitions in evidence.vanished.items():
        named = ", ".join(f"{partition} ({rows:,} rows)" for partition, rows in list(partitions.items())[:6])
        more = f" and {len(partitions) - 6} more" if len(partitions) > 6 else ""
        yield Finding(
            id="vanishes",
            level="warning",
            column=name,
            message=f"`{name}` holds no value in {named}{more}, though it does in other partitions: did the source "
            "forget or rename it there?",
        )


def constant_columns(evidence: Evidence) -> Iterator[Finding]:
    """A column with a single value tells a model nothing."""
    for name in feature_columns(evidence.contract):
        if name in evidence.constant:
            yield Finding(
                id="constant",
                level="warning",
                column=name,
                message=f"`{name}` has the same value in every row: is the source broken, or can the column go?",
            )


def columns_that_look_ahead(evidence: Evidence) -> Iterator[Finding]:
    """A moment after the row's own time is not known yet when the question is asked."""
    for name, count in evidence.ahead.items():
        if count and evidence.contract.columns[name].available is None:
            yield Finding(
                id="looks-ahead",
                level="warning",
                column=name,
                message=f"`{name}` lies after `{evidence.contract.time}` in {count:,} of {evidence.rows:,} rows. Say "
                "`available: after` if it is an outcome, or `available: before` if it is a plan known beforehand.",
            )


def leakage(evidence: Evidence) -> Iterator[Finding]:
    """A single column, or its being missing, that separates the target was probably written after the outcome."""
    columns = to_columns(evidence.sample, evidence.contract)
    for name, column in feature_columns(evidence.contract).items():
        if column.available == "before":
            continue
        areas = [separation(columns[name], outcome, evidence.halves) for outcome in evidence.outcomes.T]
        area = max(areas, default=0.5)
        if area >= LEAK_WARNING:
            yield Finding(
                id="leakage",
                level="refusal" if area >= LEAK_REFUSAL else "warning",
                column=name,
                message=f"`{name}` alone separates the target with an area under the ROC curve of {area:.3f}. Was it "
                "written after the outcome? Then say `available: after`; if known beforehand, `available: before`.",
            )


CHECKS: dict[str, Check] = {
    "duplicate-key": duplicate_keys,
    "both-sides": rows_on_both_sides,
    "quarantine": full_quarantine,
    "vanishes": columns_that_vanish,
    "constant": constant_columns,
    "looks-ahead": columns_that_look_ahead,
    "leakage": leakage,
}


def findings(evidence: Evidence) -> list[Finding]:
    """All that the checks find. Raises `Refused` when one of them refuses."""
    found = [finding for check in CHECKS.values() for finding in check(evidence)]
    refusals = [f"[{finding.id}] {finding.message}" for finding in found if finding.level == "refusal"]
    if refusals:
        raise Refused("\n".join(refusals))
    return found


def separation(values: npt.NDArray[Any], outcome: npt.NDArray[np.float64], halves: npt.NDArray[np.bool_]) -> float:
    """How well one column ranks the outcome: area under the ROC curve in [0.5, 1], nan with a single outcome.

    The values are cut into bins (labels as they are, missing a bin of its own); each half of the rows is scored by the
    mean outcome that the other half has in that bin, so that a column of unique labels does not separate by accident.
    """
    bins = _bins(values)
    scores = np.empty(len(bins))
    for half in (True, False):
        known, judged = halves == half, halves != half
        total = np.bincount(bins[known], weights=outcome[known], minlength=bins.max(initial=0) + 1)
        count = np.bincount(bins[known], minlength=len(total))
        prior = outcome[known].mean() if known.any() else 0.5
        scores[judged] = ((total + prior) / (count + 1))[bins[judged]]
    return area(scores, outcome)


def area(scores: npt.NDArray[np.float64], outcome: npt.NDArray[np.float64]) -> float:
    """Mann-Whitney form of the area under the ROC curve, ties counting half; nan with a single outcome.

    >>> import numpy as np
    >>> area(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0]))
    0.75
    """
    positives = outcome.sum()
    negatives = len(outcome) - positives
    if not positives or not negatives:
        return float("nan")
    _, rank, size = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(size) - (size - 1) / 2
    return float((middle[rank][outcome == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _bins(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if values.dtype == object:
        return pd.factorize(values, use_na_sentinel=True)[0].astype(np.int64) + 1
    numbers = (
        values.astype("datetime64[us]").astype(np.int64).astype(np.float64) if values.dtype.kind == "M" else values
    )
    missing = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
    cuts = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(numbers[~missing], cuts)) if not missing.all() else np.empty(0)
    return np.where(missing, 0, np.searchsorted(edges, numbers, side="right") + 1).astype(np.int64)
