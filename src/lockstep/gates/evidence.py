"""What gates look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep.comparison.result import Comparison
from lockstep.gates import cost
from lockstep.gates.outcome import Cost
from lockstep.report.change import ContractChange
from lockstep.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A comparison, the model's files, and what prepare counted.

    `base_gates` and `base_values` are the gates and the whole of the base's params.yaml, as bare values.
    `model_folder` holds the challenger's files, `champion_folder` the champion's. `summary` is summary.json of prepare.
    """

    comparison: Comparison
    spec: Spec
    model_folder: Path
    summary: Mapping[str, Any]
    base_gates: Sequence[Any] = ()
    base_values: Mapping[str, Any] = field(default_factory=dict)
    champion_folder: Path | None = None
    contract_changes: tuple[ContractChange, ...] = ()

    @cached_property
    def costs(self) -> tuple[Cost, ...]:
        """Megabytes and milliseconds, measured when first asked for; the champion's only where the two are comparable,
        as another's files may not even be readable. Raises `InputError` when a file is missing or damaged.
        """
        comparable = self.comparison.verdict != "not comparable"
        return cost.measure(self.model_folder, self.champion_folder if comparable else None)
