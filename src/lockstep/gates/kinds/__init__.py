"""The kinds of gates, each a module. A new one: a section in `spec/gate_sections.py`, a module, a line in `KINDS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lockstep.gates.evidence import Evidence
from lockstep.gates.finding import Found
from lockstep.gates.kinds import against, calibration, contract, cost, fairness, limit, quarantined
from lockstep.spec import (
    CalibrationGate,
    ContractGate,
    CostGate,
    FairnessGate,
    GateBase,
    MetricAgainst,
    MetricLimit,
    QuarantineGate,
)


class Kind(Protocol):
    """What a module must have to be a kind of gate."""

    def title(self, gate: Any) -> str:
        """What is judged, in a few words."""

    def asks(self, gate: Any) -> str:
        """What is asked of it."""

    def slack(self, gate: Any) -> float:
        """How much is allowed: of two gates on one subject, that with more is looser."""

    def find(self, gate: Any, evidence: Evidence) -> Found:
        """Look."""


KINDS: Mapping[type[GateBase], Kind] = {
    MetricLimit: limit,
    MetricAgainst: against,
    CostGate: cost,
    QuarantineGate: quarantined,
    CalibrationGate: calibration,
    FairnessGate: fairness,
    ContractGate: contract,
}
