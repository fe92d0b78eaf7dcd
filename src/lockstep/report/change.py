"""Why the model changed: what differs between two revisions besides the model, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


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
    """One difference of the contract, as a sentence; `breaking` for callers of the service."""

    text: str
    breaking: bool


@dataclass(frozen=True, kw_only=True)
class StageChange:
    """A stage that ran anew or was restored, and why, in phrases: "params: train.estimator"."""

    name: str
    state: Literal["reran", "restored"]
    why: tuple[str, ...] = ()


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
    """All of it. `rows` and `quarantine` hold (before, after) by name; before is None where the base has no record."""

    spec: tuple[SpecChange, ...] = ()
    contract: tuple[ContractChange, ...] = ()
    stages: tuple[StageChange, ...] = ()
    rows: Mapping[str, tuple[int | None, int]] | None = None
    quarantine: Mapping[str, tuple[int | None, int]] | None = None
    drift: tuple[Drift, ...] = ()
    versions: tuple[SpecChange, ...] = ()
    judges: tuple[str, ...] = ()
    """Changed files that take part in judging: workflows, requirements, Lockstep itself."""
    notes: tuple[str, ...] = ()
