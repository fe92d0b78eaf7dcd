"""Which columns hold values in which partitions: a column that is gone from one of them was forgotten or renamed."""

from __future__ import annotations

from dataclasses import dataclass, field

from lockstep.rows.contract import Admitted

FEWEST = 10
"""Rows that a partition must have for its silence to say something."""

BY_CHANCE = 0.001
"""A column often missing elsewhere may be missing in all rows of a small partition; rarer than this, it vanished."""


@dataclass
class Presence:
    """Counts, per partition, its rows and the ones in which each column holds a value."""

    _rows: dict[str, int] = field(default_factory=dict)
    _held: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, partition: str, admitted: Admitted) -> None:
        """Remember one partition; what could not be typed is a value too."""
        wrong = admitted.reasons["rule"].value_counts()
        self._rows[partition] = self._rows.get(partition, 0) + len(admitted.rows)
        for name in admitted.rows.columns:
            held = int(admitted.rows[name].notna().sum()) + int(wrong.get(f"{name}:type", 0))
            of_column = self._held.setdefault(str(name), {})
            of_column[partition] = of_column.get(partition, 0) + held

    def vanished(self) -> dict[str, dict[str, int]]:
        """By column, the partitions (with their rows) in which it holds no value although it does in others."""
        found = {name: self._silent(held) for name, held in self._held.items() if any(held.values())}
        return {name: silent for name, silent in found.items() if silent}

    def _silent(self, held: dict[str, int]) -> dict[str, int]:
        silent = [name for name, count in held.items() if not count]
        spoken = sum(self._rows[name] for name in held if name not in silent)
        missing = 1 - sum(held.values()) / spoken
        return {
            name: self._rows[name]
            for name in silent
            if self._rows[name] >= FEWEST and missing ** self._rows[name] < BY_CHANCE
        }
