"""What a comparison found: plain values, which gates judge and a report prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lockstep.spec import Task
from lockstep.statistics.blocks import Blocks
from lockstep.statistics.intervals import Interval

Floats = npt.NDArray[np.float64]

Word = Literal["better", "worse", "no difference shown", "identical"]
"""What may be said of a difference; `identical` is said of models with the same bytes."""

Verdict = Literal[Word, "too few to say", "not comparable", "first model"]
"""The headline's word: of the primary metric, or why there is none."""


@dataclass(frozen=True, kw_only=True)
class Exam:
    """The comparison rows, as metrics read them: every array is about the same n rows, in the same order.

    `predictions` by who answers: `challenger`, `linear`, `dummy`, and `champion` where there is one, and each released
    tag that a gate names; (n,) or (n, classes). `thresholds` likewise. `slices` holds the values (n,) of the columns
    that the spec slices by, as labels or numbers.
    """

    task: Task
    y: Floats
    predictions: Mapping[str, Floats]
    thresholds: Mapping[str, float]
    blocks: Blocks
    slices: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, kw_only=True)
class Champion:
    """Who the challenger is compared with. `source` is a phrase: "from DVC's cache", "from the remote `main`",
    "rebuilt from its own commit". `released` is the tag that this model was released under, if any.
    """

    revision: str
    subject: str
    md5: str
    source: str
    released: str = ""

    @property
    def short(self) -> str:
        """The first seven digits of its commit."""
        return self.revision[:7]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Which rows were compared, and what happened to the others.

    `excluded`: held out by this branch, but one of the models has trained on them. `due`: rows of the base's holdout
    that, by their time in the base, belong in this branch's holdout too. Of those this branch does not hold out
    `refused` (they are in its quarantine), `relearned` (it trains on them) and `gone` (here without an outcome, moved
    in time, or not at all). `moved`: the base's holdout that the window moved over, now training rows or in the gap.
    `joined`: rows of both holdouts, and `labels_differ` those of them whose outcomes differ. `added`: rows that are
    compared and that the base, by their time, would have held out and did not (time splits). `unmatched`: new rows that
    the champion's contract cannot be read from.
    """

    compared: int
    blocks: int
    kind: str
    span: str
    excluded: int = 0
    moved: int = 0
    gone: int = 0
    refused: int = 0
    unmatched: int = 0
    joined: int = 0
    labels_differ: int = 0
    due: int = 0
    relearned: int = 0
    added: int = 0


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric on the comparison rows. Values by who answers; None where it is not defined. `difference` is
    challenger minus champion, absent without one; `word` is empty then, and "too few to say" without an interval.
    """

    id: str
    title: str
    higher_is_better: bool
    primary: bool
    values: Mapping[str, float | None]
    difference: Interval | None = None
    word: str = ""


@dataclass(frozen=True, kw_only=True)
class SliceRow:
    """One value of a slice column, by one metric. `p` is Holm-adjusted over the slices of the metric."""

    column: str
    value: str
    rows: int
    metric: str
    challenger: float | None
    champion: float | None
    difference: Interval | None
    p: float | None
    word: str


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """What another seed alone does: the primary metric of the challenger refitted with each seed.

    `reach` is how far apart two fits that differ in nothing but their seeds come to lie in 95 of 100 cases.
    """

    metric: str
    values: tuple[float, ...]
    spread: float
    """Standard deviation of one fit."""
    within: bool
    """Is the difference to the champion inside `reach`, so that it reads "this fit, not necessarily this change"?"""
    reach: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that was found by scoring; `why` says in sentences why models are not comparable, or what casts doubt.

    `exam` holds the comparison rows; for a first model, and where models are not comparable, the challenger's own
    holdout without a champion. `looks` counts distinct models that this holdout has been shown, this one included.
    """

    verdict: Verdict
    why: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    champion: Champion | None = None
    rows: Rows | None = None
    metrics: tuple[MetricRow, ...] = ()
    slices: tuple[SliceRow, ...] = ()
    slices_left_out: int = 0
    looks: int = 1
    seeds: Seeds | None = None
    exam: Exam | None = field(default=None, repr=False, compare=False)
    champion_folder: Path | None = field(default=None, repr=False, compare=False)
    """Where the champion's files lie (names: `champion.FILES`), also when it cannot be compared with."""

    @property
    def primary(self) -> MetricRow | None:
        """The metric that decides the headline's word."""
        return next((row for row in self.metrics if row.primary), None)
