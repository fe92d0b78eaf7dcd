"""What another seed alone does: the challenger refitted, in memory, and scored on the comparison rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lockstep.comparison.result import Exam, Seeds
from lockstep.comparison.scoring import Pupil, sit
from lockstep.errors import InputError
from lockstep.rows.prepared import read_rows
from lockstep.running import repository
from lockstep.spec import Spec
from lockstep.statistics.intervals import t_quantile
from lockstep.statistics.metrics import METRICS

FEWEST = 2

Progress = Callable[[str], None]


def insist_on_several(number: int) -> None:
    """Raises `InputError` for fewer seeds than have a spread; 0 is none asked for."""
    if number < 0 or 0 < number < FEWEST:
        raise InputError(f"a spread needs at least {FEWEST} seeds, not {number}")


def spread(
    root: Path,
    spec: Spec,
    training: Path,
    rows: pd.DataFrame,
    number: int,
    difference: float | None,
    progress: Progress,
) -> Seeds:
    """The primary metric on the comparison `rows` with each of the `number` seeds after the spec's own.

    `within`: is the `difference` to the champion no more than `reach` of these values? Raises `InputError` for fewer
    than two seeds, and what training raises.
    """
    insist_on_several(number)
    repository.on_path(root)
    learned_from = read_rows(training)
    metric = METRICS[spec.evaluate.primary]
    values = []
    for step in range(1, number + 1):
        progress(f"refitting with seed {spec.train.seed + step} ({step} of {number})")
        exam = _refitted(spec, learned_from, rows, (spec.train.seed + step) % 2**32)
        values.append(metric(exam.y, exam.predictions["challenger"], exam.thresholds["challenger"]))
    far = reach(values)
    return Seeds(
        metric=metric.id,
        values=tuple(values),
        spread=float(np.std(values, ddof=1)),
        within=difference is not None and abs(difference) <= far,
        reach=far,
    )


def reach(values: Sequence[float]) -> float:
    """How far apart two fits lie, in 95 of 100 cases, when only their seeds differ: each has its own.

    The spread of their difference is √2 that of one, and `values` (n,) know that with n − 1 degrees of freedom.

    >>> round(reach([0.70, 0.71, 0.72]), 4)
    0.0608
    """
    return float(t_quantile(0.975, len(values) - 1) * np.sqrt(2) * np.std(values, ddof=1))


def _refitted(spec: Spec, training: pd.DataFrame, rows: pd.DataFrame, seed: int) -> Exam:
    from lockstep.models.fitting import fit
    from lockstep.models.model import Model, open_graph

    seeded = spec.model_copy(update={"train": spec.train.model_copy(update={"seed": seed})})
    made = fit(seeded, training, lambda _: None)
    model = Model(made.learned, open_graph(made.graph), made.learned.style, made.learned.calibration)
    return sit(spec, rows, {"challenger": Pupil(model=model, rows=rows)}, ())
