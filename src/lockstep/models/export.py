"""From a fitted estimator to an ONNX graph, and the proof that the graph says the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lockstep.errors import InputError, Refused
from lockstep.models import estimators
from lockstep.models.encoding import Matrix
from lockstep.models.model import Calibration, Model, open_graph
from lockstep.spec import Task
from lockstep.spec.estimator_traits import EXPORT_NEEDS, export_needs
from lockstep.statistics.metrics import METRICS

Floats = npt.NDArray[np.float64]

OPSET = {"": 17, "ai.onnx.ml": 3}
"""Pinned, so that an upgrade of onnx alone does not change a model."""

NUMBERS = ("tensor(float)", "tensor(double)")
"""The types, in ONNX's words, of an output that holds probabilities."""

PARITY_ROWS = 50_000
TOLERANCE = 1e-3
TOLERATED = 1e-3
METRIC_TOLERANCE = 1e-4
"""A prediction may differ by 1e-3 (for regression, of the target's standard deviation) on one row in a thousand, where
a value lies on a split's edge in float32; the primary metric by 1e-4."""

LEAST_SPREAD = 0.01
"""Predictions whose standard deviation is below this share of the target's explain less than 0.01 % of its variance."""


def to_graph(estimator: Any, width: int, path: str) -> bytes:
    """The estimator as a serialised ONNX graph reading (n, width) float32.

    Raises `InputError` when there is no conversion for it.
    """
    register_boosting(path)
    one = np.zeros((1, width), dtype=np.float32)
    try:
        graph = _converted(estimator, one)
        session = open_graph(graph)
        session.run(None, {session.get_inputs()[0].name: one})
    # Converters and the runtime end in whatever their code meets: KeyError, TypeError, AttributeError, their own.
    except Exception as error:
        raise _no_conversion(path, _reason(error.__cause__ or error)) from error
    if hasattr(estimator, "predict_proba") and session.get_outputs()[-1].type not in NUMBERS:
        raise _no_conversion(path, "its graph gives labels without probabilities")
    return graph


def _converted(estimator: Any, one: Matrix) -> bytes:
    from skl2onnx import to_onnx

    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else None
    graph = to_onnx(estimator, one, name="lockstep", options=options, target_opset=OPSET)
    # skl2onnx takes these from a set, whose order changes with the hash seed.
    opsets = sorted(graph.opset_import, key=lambda opset: opset.domain)
    del graph.opset_import[:]
    graph.opset_import.extend(opsets)
    return bytes(graph.SerializeToString(deterministic=True))


def _reason(error: BaseException) -> str:
    """The first line of an error, with its kind where the text alone says nothing (`KeyError: 'gblinear'`)."""
    first = next(iter(str(error).strip().splitlines()), "")
    return first if " " in first and not isinstance(error, KeyError) else f"{type(error).__name__}: {first}"


def _no_conversion(path: str, reason: str) -> InputError:
    return InputError(
        f"{path} cannot be converted to ONNX: {reason}\n"
        "Lockstep serves ONNX graphs only. Choose other parameters, or an estimator that skl2onnx converts, such as "
        "sklearn.ensemble.HistGradientBoostingClassifier or sklearn.linear_model.LogisticRegression."
    )


def sample(n: int) -> npt.NDArray[np.int64]:
    """Positions of the rows that graph and estimator are compared on: 50,000 spread evenly over n, or all."""
    return np.unique(np.linspace(0, n - 1, min(n, PARITY_ROWS)).astype(np.int64))


def insist_on_parity(
    estimator: Any, calibration: Calibration | None, model: Model, x: Matrix, y: Floats, primary: str
) -> dict[str, float]:
    """Compare graph and estimator on 50,000 rows spread over the training rows (or all).

    Returns what was found. Raises `Refused` when too many rows differ, or the primary metric does.
    """
    rows, task = sample(len(x)), model.learned.task
    expected = estimators.predict(estimator, x[rows], task)
    if calibration is not None:
        expected = calibration.apply(expected)
    actual = model.predict_matrix(x[rows])
    scale = float(y.std()) or 1.0 if task == "regression" else 1.0
    distance = np.abs(expected - actual).reshape(len(rows), -1).max(axis=1) / scale
    share = float((distance > TOLERANCE).mean())
    metric, threshold = METRICS[primary], model.learned.cut
    values = [metric(y[rows], p, threshold) for p in (expected, actual)]
    change = abs(values[0] - values[1]) / (abs(values[0]) or 1.0 if task == "regression" else 1.0)
    # Not "greater than": a graph that answers nan must fail too.
    if not (share <= TOLERATED and change <= METRIC_TOLERANCE):
        raise Refused(
            f"the ONNX graph does not say what {model.learned.estimator} says: {share:.2%} of {len(rows):,} training "
            f"rows differ by more than {TOLERANCE:g} (allowed: {TOLERATED:.1%}), {metric.title} {values[0]:.6f} became "
            f"{values[1]:.6f}. The conversion is wrong for this model, so it cannot be served; choose another "
            "estimator or other parameters."
        )
    return {"rows": len(rows), "median_difference": float(f"{np.median(distance):.1e}"), "share_different": share}


def insist_on_spread(predictions: Floats, y: Floats, task: Task) -> None:
    """Raises `Refused` when the model says nearly the same of every row, whatever its other numbers."""
    if task == "multiclass":
        spread = max(predictions[:, k].std() / ((y == k).std() or 1.0) for k in range(predictions.shape[1]))
    else:
        spread = predictions.std() / (y.std() or 1.0)
    if not spread >= LEAST_SPREAD:
        raise Refused(
            f"the model says nearly the same of every row: its predictions spread over {spread:.2%} of the target's "
            f"own standard deviation (at least {LEAST_SPREAD:.0%} is asked). It has learned nothing: "
            "are the features right, is the regularisation too strong, did calibration collapse it?"
        )


def register_boosting(path: str) -> None:
    """Teach skl2onnx the conversion of LightGBM or XGBoost, if `path` names one of them.

    Raises `InputError` when onnxmltools is not installed.
    """
    library = path.partition(".")[0]
    if library not in EXPORT_NEEDS:
        return
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    try:
        convert = _BOOSTING[library]()
    except ImportError as error:
        needed = " and ".join(export_needs(path))
        raise InputError(f"{path} needs the package {needed} to become ONNX ({error}): install it.") from error
    kind = estimators.class_of(path)
    classifies = hasattr(kind, "predict_proba")
    update_registered_converter(
        kind,
        path.replace(".", ""),
        calculate_linear_classifier_output_shapes if classifies else calculate_linear_regressor_output_shapes,
        convert,
        options={"zipmap": [True, False, "columns"], "nocl": [True, False]} if classifies else {"split": None},
    )


def _lightgbm() -> Any:
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    return convert_lightgbm


def _xgboost() -> Any:
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

    return convert_xgboost


_BOOSTING = {"lightgbm": _lightgbm, "xgboost": _xgboost}
