"""What a gate found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["holds", "broken", "cannot tell"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One judged gate, in words for people. `passes` is what counts: a gate that holds, or that cannot tell and says
    `unsure: pass`. `smallest_drop` is what this holdout would find with 80 % power, as text, where that means
    something.
    `origin` is `this change` or `base` (a gate of the base's spec that this branch changed or dropped).
    """

    id: str
    title: str
    asked: str
    found: str
    state: State
    passes: bool
    smallest_drop: str = ""
    note: str = ""
    origin: Literal["this change", "base"] = "this change"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a model costs to keep or to ask: "model size" in "MB", "one prediction" in "ms", champion and challenger
    measured in the same run. `champion` is None without one.
    """

    title: str
    unit: str
    challenger: float
    champion: float | None = None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """All gates. `loosened` names, in sentences, what this branch asks less of than its base. `costs` are measured
    whether a gate asks for them or not.

    `on_worse` is what the *base's* gates say of a model that is worse than the champion by the primary metric:
    `allowed` by one that holds, `refused` by those there are, or `unsaid`. A branch cannot allow it itself.
    """

    outcomes: tuple[Outcome, ...] = ()
    loosened: tuple[str, ...] = ()
    costs: tuple[Cost, ...] = ()
    on_worse: Literal["allowed", "refused", "unsaid"] = "unsaid"

    @property
    def passes(self) -> bool:
        """Does every gate pass, the base's among them?"""
        return all(outcome.passes for outcome in self.outcomes)
