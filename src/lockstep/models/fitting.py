"""From training rows to the files of a model: encode, train, export, and insist that the graph is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lockstep.errors import InputError
from lockstep.models import estimators, export, training
from lockstep.models.encoding import Encoding, learn
from lockstep.models.model import Learned, Model, open_graph
from lockstep.models.plainly import plainly
from lockstep.rows import splits
from lockstep.rows.contract import to_columns, to_target
from lockstep.rows.prepared import KEY
from lockstep.spec import Category, Spec


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model's files before they are written; `provenance` has one column, the sorted key hashes of its rows."""

    graph: bytes
    linear: bytes
    learned: Learned
    provenance: pd.DataFrame
    record: dict[str, Any]


def fit(spec: Spec, rows: pd.DataFrame, progress: Callable[[str], None]) -> Fitted:
    """Train on prepared rows.

    Raises `InputError` for what the spec or the data got wrong, `Refused` for a model that must not be served.
    """
    with plainly(progress):
        return _fit(spec, rows, progress)


def _fit(spec: Spec, rows: pd.DataFrame, progress: Callable[[str], None]) -> Fitted:
    columns = to_columns(rows, spec.contract)
    encoding = learn(spec.contract, columns)
    _insist_on_few_labels(spec, encoding)
    classes = _classes(spec, rows)
    y = to_target(rows, spec.contract.target, classes)
    style = estimators.style_of(spec.train.estimator)
    plain = encoding.encode(columns, "indicators")
    x = plain if style == "indicators" else encoding.encode(columns, style)
    data = training.Data(x=x, y=y, task=spec.contract.target.task, folds=_folds(spec, rows))
    trained = training.train(spec.train, spec.evaluate, data, encoding, progress)
    learned = Learned(
        contract=spec.contract,
        encoding=encoding,
        style=style,
        classes=tuple(classes),
        dummy=_dummy(y, data.task, len(classes)),
        threshold=trained.threshold,
        calibration=trained.calibration,
        estimator=spec.train.estimator,
    )
    progress("converting to ONNX and comparing")
    graph = export.to_graph(trained.estimator, x.shape[1], spec.train.estimator)
    model = Model(learned, open_graph(graph), style, trained.calibration)
    rows_compared = export.sample(len(x))
    export.insist_on_spread(model.predict_matrix(x[rows_compared]), y[rows_compared], data.task)
    parity = export.insist_on_parity(trained.estimator, trained.calibration, model, x, y, spec.evaluate.primary)
    progress("fitting the linear baseline")
    baseline = estimators.fit(estimators.linear(data.task, encoding), plain, y)
    return Fitted(
        graph=graph,
        linear=export.to_graph(baseline, plain.shape[1], "the linear baseline"),
        learned=learned,
        provenance=pd.DataFrame({"key": np.sort(rows[KEY].to_numpy())}),
        record={
            "rows": len(rows),
            "parity": parity,
            "params": _as_json(trained.params),
            "trials": [trial | {"params": _as_json(trial["params"])} for trial in trained.trials],
        },
    )


def _as_json(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters as strict JSON: `.nan` and `.inf` of params.yaml as text."""
    return {
        name: str(value) if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in params.items()
    }


def _folds(spec: Spec, rows: pd.DataFrame) -> list[splits.Fold]:
    choosing = spec.contract.target.task == "binary" and not isinstance(spec.evaluate.threshold, float)
    if not (spec.train.search or spec.train.calibrate or choosing):
        return []
    return splits.folds(rows, rows[KEY].to_numpy(), spec.contract, spec.split, spec.train.folds)


def _classes(spec: Spec, rows: pd.DataFrame) -> list[str]:
    target = spec.contract.target
    return sorted(set(rows[target.column].astype("str"))) if target.task == "multiclass" else []


def _dummy(y: np.ndarray[Any, Any], task: str, classes: int) -> tuple[float, ...]:
    if task == "multiclass":
        return tuple(float(count) / len(y) for count in np.bincount(y.astype(int), minlength=classes))
    return (float(y.mean()),)


def _insist_on_few_labels(spec: Spec, encoding: Encoding) -> None:
    for feature in encoding.features:
        column = spec.contract.columns[feature.column]
        if isinstance(column, Category) and len(feature.labels) > column.max_values:
            raise InputError(
                f"category column `{feature.column}` has {len(feature.labels):,} distinct labels in the training rows; "
                f"{column.max_values:,} are allowed (params.yaml: contract.columns.{feature.column}). An identifier is "
                "no feature: say `feature: false`. If it is a category, raise its `max_values`, or group rare labels."
            )
