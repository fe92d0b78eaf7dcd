"""Blocks: rows that depend on each other, and so are drawn together or not at all.

Rows of one day share their weather, rows of one customer their customer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from lockstep.statistics.totals import Floats, Ints

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["day", "week", "group", "row"]

RESAMPLES = 1000
SEED = 20130101
WEEK = 7

_WEIGHTS = 2_000_000  # weights held at once: 16 MB


@dataclass(frozen=True, kw_only=True, eq=False)
class Blocks:
    """Which rows belong together. `ids` (n,) are 0..units - 1, in time order; `count` is D, what an interval prints.

    Days are units of their own (D = units) or are drawn as overlapping weeks (D = units' weeks): `days` (units,) then
    says which calendar day each unit is, counted from the first.
    """

    ids: Ints
    units: int
    count: int
    kind: Kind
    days: Ints | None = None

    def take(self, rows: npt.NDArray[np.bool_]) -> Blocks:
        """The blocks of some rows: a mask (n,). Blocks left empty are gone."""
        present, ids = np.unique(self.ids[rows], return_inverse=True)
        if self.days is None:
            return Blocks(ids=ids, units=len(present), count=len(present), kind=self.kind)
        days = Blocks(ids=ids, units=len(present), count=len(present), kind="day", days=_from_first(self.days[present]))
        return days.weekly() if self.kind == "week" else days

    def weekly(self) -> Blocks:
        """Days as overlapping weeks, for the daily values of a single model, which are autocorrelated.

        D is the number of whole weeks, counted from the first day, that hold rows. Blocks other than days stay.
        """
        if self.kind != "day" or self.days is None:
            return self
        return replace(self, kind="week", count=len(np.unique(self.days[self.days < self._weeks * WEEK] // WEEK)))

    @cached_property
    def worth(self) -> float:
        """How many equal blocks would tell as much, if every row tells the same; weeks are worth D."""
        return self.worth_by(None)

    def worth_by(self, tells: Floats | None) -> float:
        """How many equal blocks would tell as much: (Σb)² / Σb², b the sum over a block's rows of what each `tells`.

        `tells` is (n,), in any unit. So well is a spread between blocks known: with a few positives a day, or groups
        much larger than others, D promises more than they hold. Source: Kish 1965, units of unequal weight; Bell and
        McCaffrey 2002, degrees of freedom of such a variance.
        """
        if self.kind == "week":
            return float(self.count)
        blocks = np.bincount(self.ids, weights=tells, minlength=self.units).astype(float)
        squares = float((blocks**2).sum())
        return float(blocks.sum() ** 2 / squares) if squares else 0.0

    @cached_property
    def _weeks(self) -> int:
        assert self.days is not None
        return (int(self.days[-1]) + 1) // WEEK if len(self.days) else 0

    def weights(self, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[Floats]:
        """How often each unit is in each resample, in chunks (c, units). The same numbers for the same blocks."""
        random = np.random.default_rng(seed)
        width = self.units if self.days is None else int(self.days[-1]) + WEEK
        chunk = max(1, min(256, _WEIGHTS // max(1, width)))
        for start in range(0, resamples, chunk):
            size = min(chunk, resamples - start)
            if self.kind == "week":
                yield self._weeks_drawn(random, size)
            else:
                yield _drawn(random, size, self.units, self.units)

    def _weeks_drawn(self, random: np.random.Generator, size: int) -> Floats:
        """Weeks begin on any day that leaves them whole; a day is in each week that began in the 7 days up to it."""
        assert self.days is not None
        span = int(self.days[-1]) + 1
        begun = np.zeros((size, span + WEEK))
        drawn = _drawn(random, size, self._weeks, span - WEEK + 1)
        begun[:, WEEK : span + 1] = np.cumsum(drawn, axis=1)
        begun[:, span + 1 :] = self._weeks
        return np.asarray(begun[:, self.days + WEEK] - begun[:, self.days], float)


def _drawn(random: np.random.Generator, size: int, number: int, of: int) -> Floats:
    """How often each of `of` things is drawn when `number` are, `size` times over: (size, of)."""
    things = random.integers(0, of, (size, number)) + of * np.arange(size)[:, None]
    return np.bincount(things.ravel(), minlength=size * of).reshape(size, of).astype(np.float64)


def _from_first(days: Ints) -> Ints:
    return days - days[0] if len(days) else days


def blocks_of(rows: int, *, times: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None) -> Blocks:
    """Blocks of `rows` rows: calendar days of `times` (datetime64), or values of `groups`, or each row by itself.

    Raises `ValueError` when a time is missing. Missing groups (None, NaN) are one group.

    >>> blocks_of(3, times=np.array(["2013-01-01T23", "2013-01-02T01", "2013-01-02T05"], "datetime64[h]")).ids
    array([0, 1, 1])
    """
    if times is not None:
        days = np.asarray(times).astype("datetime64[D]")
        if np.isnat(days).any():
            raise ValueError("a row without a time belongs to no day")
        present, ids = np.unique(days, return_inverse=True)
        since = _from_first(present.astype(np.int64))
        return Blocks(ids=ids, units=len(present), count=len(present), kind="day", days=since)
    if groups is not None:
        values, ids = np.unique(_labels(groups), return_inverse=True)
        return Blocks(ids=ids, units=len(values), count=len(values), kind="group")
    return Blocks(ids=np.arange(rows), units=rows, count=rows, kind="row")


def _labels(values: npt.ArrayLike) -> npt.NDArray[np.str_]:
    return np.array(["" if v is None or v != v else f"={v}" for v in np.asarray(values, object)], dtype=np.str_)
