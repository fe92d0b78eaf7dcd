"""Drift: how far each column of what the challenger learned from lies from what the champion learned from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lockstep.report.change import Drift
from lockstep.report.spec_changes import cut
from lockstep.rows.roles import declared
from lockstep.spec import Contract

if TYPE_CHECKING:
    import pyarrow as pa

DRIFTED = 0.1
"""The distance from which a column is said to have drifted."""

CHANCE = 0.001
"""How often two samples of one table may be called drifted by chance alone."""

SIDE = "_side"

Floats = npt.NDArray[np.float64]
Kind = Literal["number", "label", "moment"]
KINDS: Mapping[str, Kind] = {
    "number": "number",
    "integer": "number",
    "boolean": "label",
    "category": "label",
    "datetime": "moment",
}


class Unlike(Exception):
    """A column whose values cannot be read as the contract now says."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What two samples of a column say: their distance, what chance alone gives, and each in words."""

    distance: float
    noise: float
    before: str
    after: str


def drifts(before: pa.Table, after: pa.Table, contract: Contract, private: frozenset[str]) -> list[Drift]:
    """Drift of each public column that both tables of training rows have, those that drifted first, then by distance.

    `private` names columns that are left out whatever `contract` says of them. A column whose values are of another
    type than the contract's, in one of the tables, is left out: its contract changed, which is said elsewhere.
    """
    columns = {name: column for name, column in declared(contract).items() if not column.private}
    both = [name for name in columns if name in before.column_names and name in after.column_names]
    found = [
        drift
        for name in both
        if name not in private
        for drift in _drift(name, KINDS[columns[name].type], _gaps(before[name]), _gaps(after[name]))
    ]
    return sorted(found, key=lambda drift: (not drift.drifted, -drift.distance))


def training_rows(path: Path) -> pa.Table:
    """The rows of a reference that the model has learned from.

    Raises `pyarrow.ArrowException`, `OSError` or `KeyError` for a file that is none.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    # `read_table` would import datasets, which takes a third of a second; errors of an open file name no path.
    with path.open("rb") as file, pq.ParquetFile(file) as parquet:
        table = parquet.read()
    return table.filter(pc.equal(table[SIDE], "training"))


def ks_distance(before: Floats, after: Floats) -> float:
    """Kolmogorov-Smirnov: the largest gap between the distribution functions of two samples, (n,) and (m,), in [0, 1];
    nan for an empty one.

    >>> ks_distance(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0]))
    0.5
    """
    if not len(before) or not len(after):
        return float("nan")
    before, after = np.sort(before), np.sort(after)
    points = np.concatenate([before, after])
    gaps = np.searchsorted(before, points, "right") / len(before) - np.searchsorted(after, points, "right") / len(after)
    return float(np.abs(gaps).max())


def total_variation(before: Floats, after: Floats) -> float:
    """Half the sum of the gaps between the shares of k labels, counted (k,) and (k,), in [0, 1]; nan without a count.

    >>> total_variation(np.array([3.0, 1.0, 0.0]), np.array([1.0, 2.0, 1.0]))
    0.5
    """
    if not before.sum() or not after.sum():
        return float("nan")
    return float(np.abs(before / before.sum() - after / after.sum()).sum() / 2)


def ks_noise(n: int, m: int) -> float:
    """The Kolmogorov-Smirnov distance that two samples of one distribution exceed with a chance of `CHANCE`.

    Asymptotic: sqrt(-ln(a / 2) / 2 · (1/n + 1/m)). Smirnov 1948.

    >>> round(ks_noise(10_000, 10_000), 4), round(ks_noise(50, 50), 2)
    (0.0276, 0.39)
    """
    return sqrt(-log(CHANCE / 2) / 2 * (1 / n + 1 / m)) if n and m else float("inf")


def variation_noise(before: Floats, after: Floats) -> float:
    """The total variation that two samples of one distribution over k labels exceed with at most a chance of `CHANCE`.

    At most the mean, ½·Σ sqrt(p(1−p)·(1/n+1/m)), by Jensen, plus McDiarmid's sqrt(ln(1/a) / 2 · (1/n+1/m)).

    >>> round(variation_noise(np.array([5000.0, 5000.0]), np.array([5000.0, 5000.0])), 4)
    0.0334
    """
    n, m = before.sum(), after.sum()
    if not n or not m:
        return float("inf")
    shares, size = (before + after) / (n + m), 1 / n + 1 / m
    return float(np.sqrt(shares * (1 - shares) * size).sum() / 2 + sqrt(-log(CHANCE) / 2 * size))


def _drift(name: str, kind: Kind, before: Any, after: Any) -> Iterator[Drift]:
    try:
        found = _COMPARE[kind](before, after)
    except Unlike:
        return
    if not len(before) or not len(after):
        return
    missing = (before.null_count / len(before), after.null_count / len(after))
    counts = [np.array([side.null_count, len(side) - side.null_count], dtype=float) for side in (before, after)]
    yield Drift(
        column=cut(name),
        kind=kind,
        distance=0.0 if np.isnan(found.distance) else found.distance,
        missing=missing,
        before=found.before,
        after=found.after,
        drifted=found.distance >= max(DRIFTED, found.noise)
        or total_variation(*counts) >= max(DRIFTED, variation_noise(*counts)),
    )


def _gaps(values: Any) -> Any:
    """Not a number is missing, as null is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.is_nan(values), None, values) if pa.types.is_floating(values.type) else values


def _numbers(before: Any, after: Any) -> Found:
    one, other = (_floats(side, "float64") for side in (before, after))
    return Found(
        distance=ks_distance(one, other),
        noise=ks_noise(len(one), len(other)),
        before=_quartiles(one),
        after=_quartiles(other),
    )


def _moments(before: Any, after: Any) -> Found:
    one, other = (_floats(side, "timestamp[us]") for side in (before, after))
    return Found(
        distance=ks_distance(one, other), noise=ks_noise(len(one), len(other)), before=_span(one), after=_span(other)
    )


def _labels(before: Any, after: Any) -> Found:
    counts = [_counts(side) for side in (before, after)]
    names = sorted(set().union(*counts))
    one, other = (np.array([count.get(name, 0) for name in names], dtype=float) for count in counts)
    if not one.sum() or not other.sum():
        words = [
            "" if not side.sum() else f"{len(count)} labels" for side, count in zip((one, other), counts, strict=True)
        ]
        return Found(distance=float("nan"), noise=float("inf"), before=words[0], after=words[1])
    shares = one / one.sum(), other / other.sum()
    most = _telling(*shares)
    words = [f"{cut(names[most], 40)} {100 * share[most]:.1f} %" for share in shares]
    return Found(
        distance=total_variation(one, other), noise=variation_noise(one, other), before=words[0], after=words[1]
    )


def _telling(before: Floats, after: Floats) -> int:
    """Which label to tell the shares of: the one that moved most, then the commonest. Of two, which move alike, the
    second: `true`, `yes`."""
    if len(before) == 2:
        return 1
    return int(np.lexsort((after, np.round(np.abs(before - after), 9)))[-1])


_COMPARE = {"number": _numbers, "moment": _moments, "label": _labels}


def _floats(values: Any, kind: str) -> Floats:
    """What is not missing, as float64, (n,); moments in microseconds."""
    import pyarrow as pa

    try:
        typed = values.drop_null().cast(kind)
        numbers = typed if kind == "float64" else typed.cast("int64")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Unlike from error
    return np.asarray(numbers.to_numpy(), dtype=np.float64)


def _counts(values: Any) -> dict[str, int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        counted = pc.value_counts(values.drop_null().cast("string"))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Unlike from error
    return {item["values"]: item["counts"] for item in counted.to_pylist()}


def _quartiles(values: Floats) -> str:
    if not len(values):
        return ""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], method="nearest")
    return f"median {_shown(middle)} ({_shown(low)} to {_shown(high)})"


def _shown(value: float) -> str:
    """Four digits are enough to tell two medians apart.

    >>> _shown(2004.0), _shown(0.123456), _shown(1234567.0)
    ('2004', '0.1235', '1,235,000')
    """
    rounded = float(f"{value:.4g}")
    shown = f"{rounded:,.0f}" if 10_000 <= abs(rounded) < 1e15 else f"{rounded:.4g}"
    return shown.replace("-", "−", 1) if rounded < 0 else shown


def _span(values: Floats) -> str:
    if not len(values):
        return ""
    first, last = (np.datetime64(int(value), "us").astype("datetime64[D]") for value in (values.min(), values.max()))
    return f"{first} to {last}"
