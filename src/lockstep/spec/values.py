"""The words and the plain values that several sections of `params.yaml` use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from lockstep.spec.durations import DURATION_PATTERN, MOMENT_PATTERN, check_duration, check_moment

Task = Literal["binary", "multiclass", "regression"]
Part = Literal["year", "quarter", "month", "week", "day", "day_of_year", "weekday", "hour", "minute"]
MetricId = Literal[
    "roc_auc",
    "average_precision",
    "roc_auc_ovr",
    "log_loss",
    "brier",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "f1_macro",
    "mae",
    "rmse",
    "r2",
]

METRICS_OF_TASK: dict[Task, tuple[MetricId, ...]] = {
    "binary": (
        "roc_auc", "average_precision", "log_loss", "brier",
        "accuracy", "balanced_accuracy", "precision", "recall", "f1",
    ),
    "multiclass": ("roc_auc_ovr", "log_loss", "brier", "accuracy", "f1_macro"),
    "regression": ("mae", "rmse", "r2"),
}  # fmt: skip
"""The names in `statistics.metrics.METRICS` (a test compares them); here, so that ingest depends on no metric."""

METRIC_RANGES: Mapping[MetricId, tuple[float, float]] = dict.fromkeys(
    (metric for metrics in METRICS_OF_TASK.values() for metric in metrics), (0.0, 1.0)
) | {
    "log_loss": (0.0, 13.815510557964274),
    "brier": (0.0, 2.0),
    "mae": (0.0, float("inf")),
    "rmse": (0.0, float("inf")),
    "r2": (float("-inf"), 1.0),
}
"""The ends of each metric's range. The same test compares them."""

LOWER_IS_BETTER: frozenset[MetricId] = frozenset({"log_loss", "brier", "mae", "rmse"})
"""Losses and errors. The same test compares them."""

FLOAT32_EXACT = 2**24
"""Integers up to this magnitude survive float32, which is what models are fed."""

Duration = Annotated[str, AfterValidator(check_duration), Field(json_schema_extra={"pattern": DURATION_PATTERN})]
Moment = Annotated[str, AfterValidator(check_moment), Field(json_schema_extra={"pattern": MOMENT_PATTERN})]
Share = Annotated[float, Field(gt=0, lt=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
