"""Evaluation of the served artifact: the graph and its contract, on rows it has not learned from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lockstep.errors import InputError
from lockstep.models.encoding import from_rows
from lockstep.models.model import Model, as_float32
from lockstep.rows.contract import labels_of, to_columns, to_target
from lockstep.rows.prepared import KEY
from lockstep.rows.roles import feature_columns
from lockstep.spec import Category, Contract, GroupSplit, Spec, Task
from lockstep.statistics import curves
from lockstep.statistics.blocks import Blocks, blocks_of
from lockstep.statistics.intervals import Interval, own_intervals
from lockstep.statistics.slices import Slices, slices_of

Floats = npt.NDArray[np.float64]

GOLDEN_ROWS = 24
REFERENCE_ROWS = 10_000
"""Rows kept of each side for comparing later data with."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All that evaluate writes. `span` says from when to when the holdout reaches; `documents` become JSON files, by
    output name; `reference` becomes a parquet file.
    """

    metrics: dict[str, Interval]
    baselines: dict[str, dict[str, Interval]]
    slices: list[Slices]
    blocks: Blocks
    span: str
    summary: dict[str, Any]
    model: Model
    documents: dict[str, Any]
    reference: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Exam:
    """The holdout as metrics read it: y (n,), p (n,) or (n, classes) by model, and the blocks."""

    y: Floats
    model: Floats
    linear: Floats
    dummy: Floats
    blocks: Blocks
    unseen: int | None

    def says(self) -> dict[str, Any]:
        """How many blocks of which kind it holds and, with several classes, rows of one that training never saw."""
        weekly = self.blocks.weekly()
        unseen = {} if self.unseen is None else {"unseen_class": self.unseen}
        return {"blocks": weekly.count, "block": weekly.kind, **unseen}


def evaluate(
    spec: Spec, model: Model, linear: Model, *, training: pd.DataFrame, holdout: pd.DataFrame, summary: dict[str, Any]
) -> Evaluation:
    """Score model and baselines on the holdout, with intervals, slices, curves, golden rows and a reference."""
    exam = sit(spec, model, linear, holdout)
    ids, threshold = spec.evaluate.metrics, model.learned.cut
    metrics = own_intervals(ids, exam.y, exam.model, exam.blocks, threshold=threshold)
    baselines = {
        name: own_intervals(ids, exam.y, p, exam.blocks, threshold=threshold)
        for name, p in (("dummy", exam.dummy), ("linear", exam.linear))
    }
    sliced = {name: _slice_values(holdout[name]) for name in spec.evaluate.slices}
    slices = slices_of(ids, exam.y, exam.model, exam.blocks, sliced, threshold=threshold)
    documents = {
        "golden": golden(model, holdout),
        "metrics": {
            "metrics": {name: _ends(interval) for name, interval in metrics.items()},
            "baselines": {
                name: {id: interval.document()["value"] for id, interval in found.items()}
                for name, found in baselines.items()
            },
            "threshold": None if model.learned.threshold is None else float(f"{model.learned.threshold:.4g}"),
            "data": {**summary["rows"], **exam.says(), "unknown": unknown(model, holdout)},
            "quarantine": summary["quarantine"],
            "findings": summary["findings"],
        },
        "slices": {each.column: each.document() for each in slices},
        **draw(exam, model.learned.task),
    }
    return Evaluation(
        metrics=metrics,
        baselines=baselines,
        slices=slices,
        blocks=exam.blocks,
        span=span(model.learned.contract, holdout),
        summary=summary,
        model=model,
        documents=documents,
        reference=reference(model, training, holdout),
    )


def _ends(interval: Interval) -> dict[str, Any]:
    """Value, low and high, and why they are missing; the number of blocks stands once, under `data`."""
    return {name: part for name, part in interval.document().items() if name != "blocks"}


def sit(spec: Spec, model: Model, linear: Model, holdout: pd.DataFrame) -> Exam:
    """Let model and baselines answer the holdout."""
    contract = model.learned.contract
    columns = to_columns(holdout, contract)
    y = to_target(holdout, contract.target, list(model.learned.classes))
    predicted = [model.predict(columns), linear.predict(columns), model.learned.dummy_predictions(len(holdout))]
    unseen = int((y < 0).sum()) if model.learned.task == "multiclass" else None
    if unseen:  # a class of their own, to which every model gives probability zero
        predicted = [np.column_stack([p, np.zeros(len(p))]) for p in predicted]
        y = np.where(y < 0, len(model.learned.classes), y)
    groups = holdout[spec.split.column].astype("str") if isinstance(spec.split, GroupSplit) else None
    time = contract.time
    # Groups first: under a group split it is groups that the model will meet anew.
    blocks = (
        blocks_of(len(holdout), groups=groups)
        if groups is not None
        else blocks_of(len(holdout), times=holdout[time].to_numpy() if time else None)
    )
    return Exam(y=y, model=predicted[0], linear=predicted[1], dummy=predicted[2], blocks=blocks, unseen=unseen)


def unknown(model: Model, holdout: pd.DataFrame) -> dict[str, float]:
    """By category column: the share of the holdout's rows whose label training never saw, for which the model has
    nothing to go by."""
    columns = to_columns(holdout, model.learned.contract)
    counts = model.learned.encoding.unknown(columns)
    return {name: float(f"{count / len(holdout):.4g}") for name, count in counts.items()}


def span(contract: Contract, holdout: pd.DataFrame) -> str:
    """From which day to which the holdout reaches, in brackets, or nothing without a time column."""
    if contract.time is None:
        return ""
    times = holdout[contract.time]
    return f" ({times.min():%Y-%m-%d} to {times.max():%Y-%m-%d})"


def draw(exam: Exam, task: Task) -> dict[str, Any]:
    """Points of the curves, by output name; those that a task does not have are empty."""
    if task == "regression":
        return {"calibration": curves.predicted_against_observed(exam.y, exam.model), "roc": [], "precision_recall": []}
    if task == "multiclass":
        # How often the likeliest class is right, at the confidence it is named with.
        confidence, right = exam.model.max(axis=1), (exam.model.argmax(axis=1) == exam.y).astype(float)
        return {"calibration": curves.calibration(right, confidence), "roc": [], "precision_recall": []}
    return {
        "calibration": curves.calibration(exam.y, exam.model),
        "roc": curves.roc(exam.y, exam.model),
        "precision_recall": curves.precision_recall(exam.y, exam.model),
    }


def golden(model: Model, holdout: pd.DataFrame) -> dict[str, Any]:
    """Rows as a caller would send them, and what the model answers; no private columns.

    Real rows of the holdout (those with the smallest key hashes), then one with labels never seen and one with all
    that may be missing missing. The predictions are made from the rows' JSON, as the service will make them.
    """
    contract = model.learned.contract
    rows = to_rows(holdout[_served(model, holdout)].nsmallest(GOLDEN_ROWS, KEY), contract)
    if not rows:
        raise InputError(
            "every row of the holdout has a label that training never saw, in a column with `unknown: refused`: a "
            "service would answer none of them. Say `unknown: served`, or train on more of the window"
        )
    public = {name: column for name, column in feature_columns(contract).items() if not column.private}
    free = [name for name, column in public.items() if isinstance(column, Category) and _takes_any(column)]
    optional = [name for name, column in public.items() if column.missing == "allowed"]
    rows += [{**rows[0], **dict.fromkeys(free, "never seen")}, {**rows[0], **dict.fromkeys(optional)}]
    sent = json.loads(json.dumps(rows))
    predictions = model.predict(from_rows(sent, contract))
    return {"rows": rows, "predictions": as_float32(predictions)}


def _takes_any(column: Category) -> bool:
    return column.allowed is None and column.unknown == "served"


def _served(model: Model, holdout: pd.DataFrame) -> pd.Series[bool]:
    """Which rows a service would answer: not those with a label that training never saw, where that is refused."""
    served = pd.Series(True, index=holdout.index)
    columns = model.learned.contract.columns
    for feature in model.learned.encoding.features:
        column = columns[feature.column]
        if isinstance(column, Category) and column.unknown == "refused" and not column.private:
            served &= holdout[feature.column].isna() | holdout[feature.column].isin(feature.labels)
    return served


def to_rows(rows: pd.DataFrame, contract: Contract) -> list[dict[str, Any]]:
    """Prepared rows as JSON values: what a caller of the service would send, without private columns."""
    columns = {name: column for name, column in feature_columns(contract).items() if not column.private}
    values = {name: [_json(value, column.type) for value in rows[name].tolist()] for name, column in columns.items()}
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _json(value: Any, kind: str) -> Any:
    if value is None or pd.isna(value):
        return None
    return value.isoformat() if kind == "datetime" else value


def _slice_values(values: pd.Series[Any]) -> npt.NDArray[Any]:
    if pd.api.types.is_bool_dtype(values.dtype):
        values = values.map({True: "true", False: "false"})
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.to_numpy(dtype="float64", na_value=np.nan)
    return labels_of(values)


def reference(model: Model, training: pd.DataFrame, holdout: pd.DataFrame) -> pd.DataFrame:
    """A sample of both sides with the model's predictions, no private columns: what later data is compared with.

    `_side` says which side a row is from, `_prediction` (`_prediction.CLASS` for several classes) what the model says.
    """
    contract = model.learned.contract
    parts = []
    for side, rows in (("training", training), ("holdout", holdout)):
        sample = rows.nsmallest(REFERENCE_ROWS, KEY).sort_values(KEY, ignore_index=True)
        parts.append(_public(sample, contract).assign(_side=side, **_predictions(model, sample)))
    return pd.concat(parts, ignore_index=True)


def _public(rows: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    shown = [name for name, column in contract.columns.items() if not column.private]
    return rows[[*shown, contract.target.column]]


def _predictions(model: Model, rows: pd.DataFrame) -> dict[str, Floats]:
    p = model.predict(to_columns(rows, model.learned.contract))
    names: Sequence[str] = [f"_prediction.{label}" for label in model.learned.classes] or ["_prediction"]
    return dict(zip(names, p.reshape(len(p), -1).T, strict=True))
