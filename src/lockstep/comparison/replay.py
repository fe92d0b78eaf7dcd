"""Golden rows: does today's code still give the answers that a model gave when it was made?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lockstep.comparison.champion import Loaded
from lockstep.models.encoding import from_rows
from lockstep.models.model import Model, as_float32

NOISE = 1e-6
"""How far a golden prediction may move: absolutely for probabilities, else relative to the largest of them."""


def replay(loaded: Loaded) -> Iterator[str]:
    """A sentence when today's code does not give the recorded answers."""
    rows, expected = loaded.golden["rows"], np.asarray(loaded.golden["predictions"], np.float64)
    answered = _answers(loaded.model, rows)
    of = f"the golden rows of {loaded.files.champion.short}"
    if isinstance(answered, str):
        yield f"The encoding changed: today's code cannot answer {of} ({answered})."
    elif answered.shape != expected.shape:
        yield f"The encoding changed: today's code gives {of} answers of another shape."
    else:
        scale = np.abs(expected).max() if loaded.model.learned.task == "regression" else 1.0
        distance = np.abs(answered - expected).reshape(len(expected), -1).max(axis=1)
        moved = ~(distance <= NOISE * scale)
        if moved.any():
            yield (
                f"The encoding changed: today's code answers {moved.sum()} of {of} otherwise than when they were made, "
                f"by up to {distance.max():.2g}."
            )


def _answers(model: Model, rows: list[dict[str, object]]) -> npt.NDArray[np.float64] | str:
    """Predictions for rows as a caller sends them, or why there are none."""
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    try:
        return np.asarray(as_float32(model.predict(from_rows(rows, model.learned.contract))), np.float64)
    except (
        failures.Fail,
        failures.InvalidArgument,
        failures.RuntimeException,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        return " ".join(str(error).split())[:200]
