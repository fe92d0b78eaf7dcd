"""Slices: how a model does on each value of a column, and what may be said after looking at many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lockstep.statistics.blocks import Blocks
from lockstep.statistics.intervals import Interval, own_intervals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lockstep.statistics.totals import Floats, Ints

MISSING = "(missing)"
MOST = 50


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The rows where a column has one value; `metrics` by id."""

    value: str
    rows: int
    metrics: dict[str, Interval]


@dataclass(frozen=True, kw_only=True)
class Slices:
    """A column's slices, sorted by value. Of more than `MOST` values the largest are kept: `left_out` counts the rest,
    `rows_left_out` their rows.
    """

    column: str
    slices: list[Slice]
    left_out: int
    rows_left_out: int

    def document(self) -> dict[str, object]:
        """As JSON holds it, by value; numbers rounded to what their intervals support."""
        found: dict[str, object] = {
            each.value: {"rows": each.rows, **{name: i.document() for name, i in each.metrics.items()}}
            for each in self.slices
        }
        return {"slices": found, "left_out": self.left_out, "rows_left_out": self.rows_left_out}


def names_of(values: npt.ArrayLike) -> tuple[list[str], Ints]:
    """The distinct values of a column (n,) as text, sorted, and each row's index (n,) among them.

    None, NaN and NaT are "(missing)"; whole numbers are written without a point and sort as numbers.

    >>> names_of(np.array([10.0, 2.0, np.nan]))
    (['2', '10', '(missing)'], array([1, 0, 2]))
    """
    column = np.asarray(values)
    if column.dtype.kind in "fiub":
        distinct, ids = np.unique(column.astype(float), return_inverse=True)  # numpy sorts NaN last, as one value
        return [MISSING if np.isnan(v) else f"{v:.0f}" if v == int(v) else repr(float(v)) for v in distinct], ids
    text = np.array([MISSING if v is None or v != v else str(v) for v in column.tolist()], dtype=np.str_)
    names, ids = np.unique(text, return_inverse=True)
    return names.tolist(), ids


def slices_of(
    metrics: Sequence[str],
    y: Floats,
    p: Floats,
    blocks: Blocks,
    columns: Mapping[str, npt.ArrayLike],
    *,
    threshold: float = 0.5,
    most: int = MOST,
) -> list[Slices]:
    """The metrics of the model on each value of each column (n,); `y` is (n,), `p` (n,) or (n, classes).

    A slice has its own blocks; one with too few blocks or rows keeps its estimates and says so in their notes.
    """
    return [_column(name, metrics, y, p, blocks, columns[name], threshold, most) for name in columns]


def _column(
    name: str,
    metrics: Sequence[str],
    y: Floats,
    p: Floats,
    blocks: Blocks,
    values: npt.ArrayLike,
    threshold: float,
    most: int,
) -> Slices:
    names, ids = names_of(values)
    rows = np.bincount(ids, minlength=len(names))
    kept = sorted(np.argsort(-rows, kind="stable")[:most].tolist())  # names are sorted, so ties keep the first name
    slices = []
    for index in kept:
        here = ids == index
        found = own_intervals(metrics, y[here], p[here], blocks.take(here), threshold=threshold)
        slices.append(Slice(value=names[index], rows=int(rows[index]), metrics=found))
    return Slices(
        column=name, slices=slices, left_out=len(names) - len(kept), rows_left_out=int(rows.sum() - rows[kept].sum())
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjustment: reject where the result is at most 0.05, and any false word has a chance of at most 0.05.

    None (too few to say) was not looked at: it stays None and is not counted. Source: Holm 1979.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    looked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(looked):
        largest = max(largest, min(1.0, p * (len(looked) - rank)))
        adjusted[index] = largest
    return adjusted
