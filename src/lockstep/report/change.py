"""Why the model changed: what differs between two revisions besides the model, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lockstep.release.tags import Released

LEAKAGE = "leakage"
"""The id of the finding that a column alone tells the outcome."""


@dataclass(frozen=True, kw_only=True)
class SpecChange:
    """One key of params.yaml: values as short text; "" for absent.

    With `items` the key is a list on both sides: `before` names the items that are gone, `after` those that came.
    """

    path: str
    before: str
    after: str
    items: bool = False


@dataclass(frozen=True, kw_only=True)
class ContractChange:
    """One difference of the contract, as a sentence; `breaking` for callers of the service. `short` names only what
    changed: "+ amount", "− amount", "amount", "the target".
    """

    text: str
    breaking: bool
    short: str = ""


@dataclass(frozen=True, kw_only=True)
class StageChange:
    """A stage that ran anew or was restored, and why, in phrases: "params: train.estimator". `causes` holds what of it
    lies outside the pipeline: paths by `code` and `data`.
    """

    name: str
    state: Literal["reran", "restored"]
    why: tuple[str, ...] = ()
    causes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataFinding:
    """What prepare found wrong with the data (`rows.checks`), and had not found at the base; `column` may be ""."""

    id: str
    column: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One column: what the challenger learned from against what the champion learned from.

    `distance` is in 0..1: the largest gap of the two distribution functions (Kolmogorov-Smirnov) for numbers and times,
    half the sum of the gaps of the shares (total variation) for labels, among the values that are there. `missing` is
    the share of rows without one. `drifted` where the distance, or the gap of those shares, is at least
    `drift.DRIFTED` and more than chance gives samples of this size. `before` and `after` are phrases.
    """

    column: str
    kind: Literal["number", "label", "moment"]
    distance: float
    missing: tuple[float, float]
    before: str
    after: str
    drifted: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """All of it. `rows` and `quarantine` hold (before, after) by name; before is None where the base has no record.

    `findings` are prepare's that are new; `exposed` names columns that the base declared to be known only after the
    outcome and that the model now reads; `unseen` counts private columns, whose drift nobody looks at.
    """

    spec: tuple[SpecChange, ...] = ()
    contract: tuple[ContractChange, ...] = ()
    stages: tuple[StageChange, ...] = ()
    rows: Mapping[str, tuple[int | None, int]] | None = None
    quarantine: Mapping[str, tuple[int | None, int]] | None = None
    drift: tuple[Drift, ...] = ()
    unseen: int = 0
    findings: tuple[DataFinding, ...] = ()
    exposed: tuple[str, ...] = ()
    versions: tuple[SpecChange, ...] = ()
    judges: tuple[str, ...] = ()
    """Changed files that take part in judging: workflows, requirements, Lockstep itself."""
    notes: tuple[str, ...] = ()
    rollback: Released | None = None
    """The release that this brings back, model, code, spec and lock."""

    @property
    def leaks(self) -> bool:
        """May a column that is new to the model give the outcome away?"""
        return bool(self.exposed) or any(found.id == LEAKAGE for found in self.findings)
