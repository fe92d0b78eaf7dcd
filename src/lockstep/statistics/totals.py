"""Totals: statistics of single rows that may be added up, over all rows or over each block by itself.

The totals of all rows give a metric's estimate, exactly; those of each block, weighted, give its value in a resample,
so a bootstrap is a matrix product. Shapes of `y` and `p` are those of metrics.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Resampled = Callable[[Floats], Floats]

_TABLE = 2**21  # largest dense table of blocks x cells, in numbers: 16 MB


class Statistics(Protocol):
    """Statistics of single rows that may be added up."""

    def total(self) -> Floats:
        """Sum over all rows."""

    def over(self, ids: Ints, units: int) -> Resampled:
        """The function from weights (c, units) of the blocks `ids` (n,) to totals (c, …) of the weighted rows."""


class Summed:
    """A few numbers a row: `rows` is (n, k), totals are (k,)."""

    def __init__(self, *columns: npt.ArrayLike) -> None:
        self.columns = np.stack([np.asarray(column, float) for column in columns])

    def total(self) -> Floats:
        return np.asarray(self.columns.sum(axis=1))

    def over(self, ids: Ints, units: int) -> Resampled:
        blocks = np.stack([np.bincount(ids, weights=column, minlength=units) for column in self.columns])
        # Not BLAS: its sums differ in the last bits from one number of threads to another.
        return lambda weights: np.asarray(np.einsum("bd,kd->bk", weights, blocks))


class Counted:
    """A few cells a row, each counted: `cells` is (n, m), totals have the given shape."""

    def __init__(self, cells: Ints, shape: tuple[int, ...]) -> None:
        self.cells = cells if cells.ndim == 2 else cells[:, None]
        self.shape = shape
        self.size = int(np.prod(shape))

    def total(self) -> Floats:
        cells = self.cells.ravel()
        counts: Floats = np.bincount(cells, minlength=self.size).astype(np.float64)
        return counts.reshape(self.shape)

    def over(self, ids: Ints, units: int) -> Resampled:
        return self._by_table(ids, units) if units * self.size <= _TABLE else self._by_row(ids)

    def _by_table(self, ids: Ints, units: int) -> Resampled:
        at = ids[:, None] * self.size + self.cells
        table = np.bincount(at.ravel(), minlength=units * self.size).reshape(units, self.size).astype(np.float64)
        # Whole numbers: this product is exact, whatever the order of summing.
        return lambda weights: np.asarray(weights @ table).reshape(len(weights), *self.shape)

    def _by_row(self, ids: Ints) -> Resampled:
        cells, each = self.cells.ravel(), self.cells.shape[1]

        def resampled(weights: Floats) -> Floats:
            rows = (np.repeat(weight[ids], each) for weight in weights)
            counts = [np.bincount(cells, weights=row, minlength=self.size) for row in rows]
            return np.asarray(counts, dtype=np.float64).reshape(len(weights), *self.shape)

        return resampled


@dataclass(frozen=True)
class Scored:
    """Outcomes `y` and predictions `p`, the model's threshold, and how many bins rank metrics may use (None: exact)."""

    y: Floats
    p: Floats
    threshold: float = 0.5
    bins: int | None = None
