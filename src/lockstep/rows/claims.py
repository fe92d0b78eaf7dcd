"""Claims: which rows repeat the key of an earlier one, over all partitions that have passed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lockstep.rows.splits import Hashes

Mask = npt.NDArray[np.bool_]


@dataclass
class Claims:
    """Remembers the sorted hashes of the keys that were claimed."""

    _taken: Hashes = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    def repeated(self, keys: Hashes, claiming: Mask) -> Mask:
        """Which rows (n,) come after a row that claims their key, here or in an earlier call; the others now claim.

        A row that does not claim may repeat one that does, but never makes another a repetition.
        """
        again: Mask = _after_first(keys, claiming) | _contains(self._taken, keys)
        # Two sorted runs, which a stable sort merges in linear time.
        self._taken = np.sort(np.concatenate([self._taken, np.sort(keys[claiming & ~again])]), kind="stable")
        return again


def _after_first(keys: Hashes, claiming: Mask) -> Any:
    """Which rows come after the first one of their key that claims it."""
    codes = pd.factorize(keys)[0]
    positions = np.arange(len(keys))
    first = np.full(len(keys), len(keys))
    # Written backwards: of several rows with one key the first stays.
    first[codes[claiming][::-1]] = positions[claiming][::-1]
    return first[codes] < positions


def _contains(ordered: Hashes, keys: Hashes) -> Any:
    if not len(ordered):
        return np.zeros(len(keys), dtype=bool)
    places = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return ordered[places] == keys
