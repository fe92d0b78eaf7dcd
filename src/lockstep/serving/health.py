"""Is the service ready? While its golden rows predict what they predicted when the model was made."""

from __future__ import annotations

import numpy as np

from lockstep.serving.predictor import Predictor

NOISE = 1e-6
"""How far a golden prediction may move on another processor: absolutely for probabilities, else relative to the
largest. The release's smoke test, on the machine that built the image, insists on every bit."""


class Health:
    """Replays golden rows, one at each look, all at the first."""

    def __init__(self, predictor: Predictor) -> None:
        golden = predictor.golden
        self.leaving = False
        """The service was told to stop: it answers what arrives, and wants no more."""
        self.mismatched: set[int] = set()
        self._predictor = predictor
        self._expected = np.asarray(golden.predictions, dtype=np.float64)
        self._noise = NOISE * (np.abs(self._expected).max() if predictor.learned.task == "regression" else 1.0)
        self._kept = [at for at, row in enumerate(golden.rows) if not predictor.checker.check([row])]
        self._next = 0
        for _ in self._kept:
            self.look()

    def look(self) -> str:
        """Why the service is not ready; "" when it is."""
        if self.leaving:
            return "the service is stopping"
        if not self._kept:
            return "the contract refuses every golden row, so nothing proves that the model predicts right"
        at = self._kept[self._next % len(self._kept)]
        self._next += 1
        self._replay(at)
        match sorted(self.mismatched):
            case []:
                return ""
            case [row]:
                return f"golden row {row} is not predicted as it was when the model was made"
            case rows:
                return f"{len(rows)} golden rows are not predicted as they were when the model was made"

    def _replay(self, at: int) -> None:
        said = np.asarray(self._predictor.predictions([self._predictor.golden.rows[at]])[0], dtype=np.float64)
        right = said.shape == self._expected[at].shape and bool(
            (np.abs(said - self._expected[at]) <= self._noise).all()
        )
        (self.mismatched.discard if right else self.mismatched.add)(at)
