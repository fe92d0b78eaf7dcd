"""Gaps of rates: between prediction and outcome in each tenth of the rows, between a group and everybody else.

A gap is a difference of two ratios of sums. Its interval is that of a single model: whole blocks are resampled, days
as overlapping weeks, and it is estimate ± t · standard error, as everywhere; but never shorter than ± 3 / n, n the rows
that a rate is of, for where none of n rows (or each) is positive no resample shows how far off that may be (the rule of
three). Never the largest minus the smallest: that grows with the number of groups even where all are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import numpy.typing as npt

from lockstep.comparison.result import Exam
from lockstep.gates.scores import CHALLENGER
from lockstep.statistics.blocks import Blocks
from lockstep.statistics.intervals import FEWEST_BLOCKS, FEWEST_ROWS, FEWEST_WORTH, LEVEL, Interval, t_quantile
from lockstep.statistics.slices import names_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Gaps = list[tuple[str, Interval]]

TENTHS = 10
RULE_OF_THREE = 3.0
_DEFINED = 0.95
"""The share of resamples in which a gap must be defined; the same as for metrics."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A ratio of sums: `part` over `whole`, each (n,). `rows` (n,) says which must be enough: 30 in each group."""

    part: Floats
    whole: Floats
    rows: npt.NDArray[np.bool_]
    what: str


def calibration(exam: Exam) -> Gaps:
    """Mean prediction minus observed share in each tenth of the rows, by predicted probability; with several classes,
    of the likeliest one. Rows of equal probability stay together, so there may be fewer tenths.
    """
    p, y = exam.predictions[CHALLENGER], exam.y
    if p.ndim == 2:
        p, y = p.max(axis=1), (p.argmax(axis=1) == y).astype(float)
    cuts = np.unique(np.sort(p)[np.arange(TENTHS) * len(p) // TENTHS]) if len(p) else np.zeros(0)
    tenths = np.searchsorted(cuts, p, side="right") - 1
    names = [_tenth(p[tenths == at]) for at in range(len(cuts))]
    everyone = np.ones(len(p), bool)
    rate = Rate(part=p - y, whole=np.ones(len(p)), rows=everyone, what="rows")
    return _gaps(rate, names, tenths, exam.blocks, against_rest=False)


def _tenth(p: Floats) -> str:
    return f"the tenth predicted {p.min():.2f} to {p.max():.2f}"


def fairness(exam: Exam, rate: str, column: str) -> Gaps:
    """The rate of each value of a column minus that of all other rows. Values of which too few rows count say so."""
    names, ids = names_of(exam.slices[column])
    return _gaps(RATES[rate](exam), names, ids, exam.blocks, against_rest=True)


def _tpr(exam: Exam) -> Rate:
    positive = exam.y == 1
    return Rate(part=(_called(exam) & positive) * 1.0, whole=positive * 1.0, rows=positive, what="positives")


def _fpr(exam: Exam) -> Rate:
    negative = exam.y != 1
    return Rate(part=(_called(exam) & negative) * 1.0, whole=negative * 1.0, rows=negative, what="negatives")


def _calibration_gap(exam: Exam) -> Rate:
    off = exam.predictions[CHALLENGER] - exam.y
    return Rate(part=off, whole=np.ones(len(off)), rows=exam.y == 1, what="positives")


def _called(exam: Exam) -> npt.NDArray[np.bool_]:
    return np.asarray(exam.predictions[CHALLENGER] >= exam.thresholds[CHALLENGER])


RATES = {"tpr": _tpr, "fpr": _fpr, "calibration_gap": _calibration_gap}


def _gaps(rate: Rate, names: list[str], groups: Ints, blocks: Blocks, *, against_rest: bool) -> Gaps:
    """The gap of each group of rows, groups (n,) being places in `names`."""
    blocks = blocks.weekly()
    tables = [_by_block(values, groups, len(names), blocks) for values in (rate.part, rate.whole)]
    totals = [table.sum(axis=0)[None] for table in tables]
    values = _ratios(*totals, against_rest=against_rest)[0]
    whole = totals[1][0]
    least = np.minimum(whole, whole.sum() - whole) if against_rest else whole
    notes = _too_few(rate, groups, len(names), blocks, against_rest=against_rest)
    if not any(note == "" for note in notes):
        spreads: Floats = np.full(len(names), np.nan)
    else:
        spreads = _spreads(tables, blocks, against_rest=against_rest)
    return [
        (name, _interval(float(value), float(spread), float(rows), note, blocks))
        for name, value, spread, rows, note in zip(names, values, spreads, least, notes, strict=True)
    ]


def _by_block(values: Floats, groups: Ints, count: int, blocks: Blocks) -> Floats:
    """Sums by block and group, (units, groups)."""
    cells = blocks.ids * count + groups
    sums = np.bincount(cells, weights=values, minlength=blocks.units * count)
    return np.asarray(sums, float).reshape(blocks.units, count)


def _ratios(part: Floats, whole: Floats, *, against_rest: bool) -> Floats:
    """Part over whole of each group, (c, groups); minus the same of the rest."""
    with np.errstate(invalid="ignore", divide="ignore"):
        own = part / whole
        if not against_rest:
            return np.asarray(own)
        total, of = part.sum(axis=1, keepdims=True), whole.sum(axis=1, keepdims=True)
        return np.asarray(own - (total - part) / (of - whole))


def _spreads(tables: list[Floats], blocks: Blocks, *, against_rest: bool) -> Floats:
    """Bootstrap SD of each gap; nan where it is undefined in over 1 in 20 resamples."""
    chunks = [
        _ratios(*(np.asarray(weights @ table) for table in tables), against_rest=against_rest)
        for weights in blocks.weights()
    ]
    sample = np.concatenate(chunks)
    defined = np.isfinite(sample)
    mean = np.where(defined, sample, 0).sum(axis=0) / np.maximum(1, defined.sum(axis=0))
    squares = np.where(defined, (sample - mean) ** 2, 0).sum(axis=0)
    sd = np.sqrt(squares / np.maximum(1, defined.sum(axis=0) - 1))
    return np.asarray(np.where(defined.mean(axis=0) < _DEFINED, np.nan, sd))


def _too_few(rate: Rate, groups: Ints, count: int, blocks: Blocks, *, against_rest: bool) -> list[str]:
    """For each group why nothing can be said of it, or nothing."""
    if blocks.count < FEWEST_BLOCKS or blocks.worth < FEWEST_WORTH:
        return [f"too few to say: {blocks.count} {blocks.kind}s, fewer than {FEWEST_BLOCKS}"] * count
    rows = np.bincount(groups[rate.rows], minlength=count)
    fewest = np.minimum(rows, rows.sum() - rows) if against_rest else rows
    present = np.zeros((blocks.units, count), bool)
    present[blocks.ids[rate.rows], groups[rate.rows]] = True
    return [
        _short(int(least), rate.what, FEWEST_ROWS) or _short(int(units), "blocks with any", FEWEST_BLOCKS)
        for least, units in zip(fewest, present.sum(axis=0), strict=True)
    ]


def _short(found: int, what: str, fewest: int) -> str:
    return f"too few to say: {found} {what}, fewer than {fewest}" if found < fewest else ""


def _interval(value: float, sd: float, rows: float, note: str, blocks: Blocks) -> Interval:
    empty = Interval(value=value if np.isfinite(value) else None, blocks=blocks.count, kind=blocks.kind, note=note)
    if note or empty.value is None:
        return replace(empty, note=note or "not defined")
    if not np.isfinite(sd):
        return replace(empty, note="too few to say: not defined in many resamples")
    degrees = blocks.worth - 1
    t = t_quantile(1 - (1 - LEVEL) / 2, degrees)
    error = max(sd * sqrt(blocks.worth / degrees), RULE_OF_THREE / rows / t)
    return replace(empty, low=value - t * error, high=value + t * error, error=error, degrees=degrees)
