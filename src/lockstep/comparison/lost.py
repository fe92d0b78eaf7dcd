"""What may be said of an exam that two revisions share: how many of the base's held-out rows are still in it, and what
kind of rows the others are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from lockstep.rows.contract import outcomes
from lockstep.spec import Target
from lockstep.spec.messages import shown

MOST_RELABELLED = 0.001
"""A larger share of outcomes that differ, and the question changed."""

MOST_LOST = 0.001
"""A larger share of rows that ought to be held out and are not, and the exam changed."""

MOST_REFUSED = 0.05
"""As large a share may be in quarantine: that has a gate of its own."""

MOST_ADDED = 0.05
"""As large a share of the rows of the base's time may be new: outcomes arrive late."""

TOLD = ("due", "joined", "labels_differ", "moved", "refused", "relearned", "gone", "added")
"""What `result.Rows` tells of it."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Rows of the base's holdout, counted: those of `TOLD` as `result.Rows` says.

    `held_out` counts this branch's holdout, `outside` the base's that lies outside this branch's window, `redated` what
    both hold out on different days. `trained` are those that this branch trains on, for whatever reason, and
    `trained_differ` those of them whose outcome differs. `missed_are` and `refused_are` say what kind of rows they are.
    """

    held_out: int
    due: int
    joined: int
    by_time: bool = True
    labels_differ: int = 0
    moved: int = 0
    outside: int = 0
    refused: int = 0
    relearned: int = 0
    gone: int = 0
    added: int = 0
    redated: int = 0
    trained: int = 0
    trained_differ: int = 0
    missed_are: str = ""
    refused_are: str = ""

    def counts(self) -> dict[str, int]:
        """What `result.Rows` tells of it."""
        return {name: getattr(self, name) for name in TOLD}

    def why(self) -> Iterator[str]:
        """Sentences about what keeps the two exams from being one."""
        yield from self._relabelled()
        yield from self._missed()
        if self._too_many_refused:
            yield (
                f"Not comparable enough: {self._of_those_due(self.refused)} are in this branch's quarantine; at most "
                f"{100 * MOST_REFUSED:.0f} % may be.{self.refused_are}"
            )
        if self._too_many_added:
            share = percent(self.added, self.joined + self.added)
            yield (
                f"Not comparable enough: {self.added:,} rows ({share} of those that this branch holds out of the "
                f"base's holdout's time) are not among the base's; at most {100 * MOST_ADDED:.0f} % may be."
            )

    def untied(self) -> Iterator[str]:
        """A sentence when no row tells whether the two revisions mean the same."""
        if not self.joined and not self.trained:
            yield (
                "Not comparable enough: this branch neither holds out nor trains on any row of the base's holdout, so "
                "nothing shows that rows and outcomes mean the same in both."
            )

    def notes(self) -> Iterator[str]:
        """What a reader should know besides."""
        if self.outside:
            yield f"{_rows(self.outside)} of the base's holdout lie outside this branch's window."
        if self.redated:
            yield (
                f"{_rows(self.redated)} that both hold out lie on another day than in the base; intervals resample the "
                "days that this branch has."
            )
        if not self.joined and self.trained:
            yield (
                "The window moved past all that the base held out: whether outcomes mean the same was checked on the "
                f"{self.trained:,} of its rows that this branch trains on."
            )
        if self.refused and not self._too_many_refused:
            yield f"Rows that went from the base's holdout into quarantine: {self.refused:,}.{self.refused_are}"
        new = self.held_out - self.joined
        if self.added and not self._too_many_added:
            yield (
                f"{_rows(self.added)} of the time that the base held out are compared and are not among the base's: "
                "they came or got their outcome later, or were moved in time."
            )
        elif not self.by_time and new:
            yield f"Of the {self.held_out:,} rows that this branch holds out, {new:,} are not in the base's holdout."

    @property
    def _too_many_refused(self) -> bool:
        return self.refused > MOST_REFUSED * self.due

    @property
    def _too_many_added(self) -> bool:
        return self.added > MOST_ADDED * (self.joined + self.added)

    def _relabelled(self) -> Iterator[str]:
        pairs = (self.labels_differ, self.joined, "both revisions hold out"), (
            self.trained_differ, self.trained, "the base held out and this branch trains on",
        )  # fmt: skip
        for differ, rows, which in pairs:
            if differ > MOST_RELABELLED * rows:
                yield (
                    f"The question changed: {differ:,} of the {rows:,} rows that {which} ({percent(differ, rows)}) "
                    "have another outcome than in the base."
                )

    def _missed(self) -> Iterator[str]:
        missed = self.gone + self.relearned
        if missed > MOST_LOST * self.due:
            gone = (
                "have no outcome here, moved in time, got another key or are gone"
                if self.by_time
                else "have no outcome here, got another key or are gone"
            )
            causes = [(self.gone, gone), (self.relearned, "are training rows here")]
            said = "; ".join(f"{count:,} {how}" for count, how in causes if count)
            yield (
                f"The exam changed: {self._of_those_due(missed)} are not held out any more, though the window did not "
                f"move over them: {said}.{self.missed_are}"
            )

    def _of_those_due(self, count: int) -> str:
        return (
            f"{count:,} of the {self.due:,} rows that the base holds out and that belong in this branch's holdout too "
            f"({percent(count, self.due)})"
        )


def contrast(some: pd.DataFrame, rows: pd.DataFrame, target: Target) -> str:
    """A sentence, led by a space, on how the outcomes of some rows differ from those of all; nothing without any."""
    if not len(some) or not len(rows):
        return ""
    part, whole = outcomes(some, target), outcomes(rows, target)
    if target.task == "regression":
        return f" The mean of `{target.column}` is {part.mean():.4g} among them and {whole.mean():.4g} among all."
    here, all_ = part.value_counts(normalize=True), whole.value_counts(normalize=True)
    label = True if target.task == "binary" else here.sub(all_, fill_value=0).abs().idxmax()
    named = shown(target.positive) if target.task == "binary" else shown(label)
    shares = [f"{100 * float(found.get(label, 0.0)):.1f} %" for found in (here, all_)]
    return f" Of them {shares[0]} have `{target.column}` {named}, of all {shares[1]}."


def percent(part: int, whole: int) -> str:
    """A share in words, without an exponent.

    >>> percent(999, 1000), percent(1, 900)
    ('99.9 %', '0.11 %')
    """
    share = 100 * part / max(whole, 1)
    return f"{share:.1f} %" if share >= 1 else f"{share:.2f} %"


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"
