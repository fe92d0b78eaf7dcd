"""The estimator that the spec names, made ready for this contract: seeded, single-threaded, with the steps it needs."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from lockstep.errors import InputError
from lockstep.models.encoding import Encoding, Slot, Style
from lockstep.spec import Task, Train

READS_MISSING = ("HistGradientBoosting", "LGBM", "XGB")
"""Estimators that read NaN themselves and whose ONNX graphs do so too. Forests read NaN, but their graphs read it
differently (seen: 15 % of rows wrong), so they get the imputing steps like everybody else."""

TREES = ("RandomForest", "ExtraTree", "DecisionTree", "GradientBoosting", "Bagging")
"""Estimators that cut one feature at a time: scaling changes nothing for them but the rounding, which moves values
across a cut (seen: 0.4 % of rows wrong in float32)."""

SHUFFLES = ("early_stopping", "n_iter_no_change")
"""Parameters that make an estimator hold out rows of its own, shuffled: a look into the future on a time split."""


OURS = {"early_stopping": False}
"""What the spec may override: scikit-learn's "auto" shuffles."""

THEIRS: dict[str, dict[str, Any]] = {
    "lightgbm": {"n_jobs": 1, "deterministic": True, "force_row_wise": True, "verbose": -1},
    "xgboost": {"n_jobs": 1},
}
"""By library: the order of a sum's terms, and so its last bits, must not depend on the number of threads."""


def style_of(estimator: str) -> Style:
    """The encoding that an estimator, named by import path, reads."""
    return "codes" if estimator.rpartition(".")[2].startswith(READS_MISSING) else "indicators"


def build(train: Train, params: dict[str, Any], encoding: Encoding) -> Any:
    """An unfitted estimator for encoded matrices: the named one, behind imputing, scaling and one-hot if it needs them.

    Raises `InputError` when the class or a parameter is refused.
    """
    made = _instance(train, params)
    if style_of(train.estimator) == "codes":
        return made
    return prepared(made, encoding, scaled=not type(made).__name__.startswith(TREES))


def linear(task: Task, encoding: Encoding) -> Any:
    """The linear baseline: ridge or logistic regression on the same columns, with scikit-learn's usual penalty."""
    from sklearn.linear_model import LogisticRegression, Ridge

    return prepared(Ridge() if task == "regression" else LogisticRegression(max_iter=200), encoding)


def prepared(estimator: Any, encoding: Encoding, scaled: bool = True) -> Any:
    """The estimator behind the steps that the contract asks for: numbers imputed by the median and scaled, labels
    one-hot (unknown: all zeros; missing: a column of its own), flags of missing numbers as they are."""
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    slots = encoding.slots("indicators")
    one_hot = OneHotEncoder(
        categories=[np.arange(slot.codes, dtype=np.float32) for slot in slots if slot.kind == "label"],
        handle_unknown="ignore",
        dtype=np.float32,
    )
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    steps = [
        ("number", make_pipeline(imputer, StandardScaler()) if scaled else imputer),
        ("flag", "passthrough"),
        ("label", one_hot),
    ]
    used = [(kind, step, _positions(slots, kind)) for kind, step in steps if _positions(slots, kind)]
    return make_pipeline(ColumnTransformer(used), estimator)


def fit(estimator: Any, x: Any, y: Any, early: tuple[Any, Any] | None = None) -> Any:
    """Fit, and return the estimator. `early` holds later rows for early stopping, which take no part in the fit.

    Raises `InputError` with the library's own words when it refuses a parameter's value.
    """
    try:
        return estimator.fit(x, y, **({"X_val": early[0], "y_val": early[1]} if early else {}))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{type(_last(estimator)).__name__} refused to learn: {error}\n"
            "Correct train.params in params.yaml if it names a parameter."
        ) from error


def predict(estimator: Any, x: Any, task: Task) -> Any:
    """Probability of the positive class (n,), of each class (n, k), or the value (n,); float64."""
    if task == "regression":
        return estimator.predict(x).astype("float64").reshape(len(x))
    probabilities = estimator.predict_proba(x).astype("float64")
    return probabilities[:, 1] if task == "binary" else probabilities


def stops_early(train: Train) -> bool:
    """Whether the spec asks for early stopping, for which the last fold is held apart."""
    return train.params.get("early_stopping") is True


def _positions(slots: list[Slot], kind: str) -> list[int]:
    return [position for position, slot in enumerate(slots) if slot.kind == kind]


def _last(estimator: Any) -> Any:
    return estimator[-1] if hasattr(estimator, "steps") else estimator


def _instance(train: Train, params: dict[str, Any]) -> Any:
    kind, asked = class_of(train.estimator), {**train.params, **params}
    _refuse_shuffling(train.estimator, asked)
    known = inspect.signature(kind.__init__).parameters
    given: dict[str, Any] = {name: value for name, value in OURS.items() if name in known}
    if "random_state" in known or "kwargs" in known:
        given["random_state"] = train.seed
    given |= THEIRS.get(train.estimator.partition(".")[0], {})
    try:
        return kind(**{**given, **asked})
    except (TypeError, ValueError) as error:
        raise InputError(f"{train.estimator} refused its parameters (params.yaml: train.params): {error}") from error


def class_of(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"train.estimator {path!r} cannot be imported: {error}. Name a class by its import path, such as "
            "sklearn.ensemble.HistGradientBoostingClassifier, and install its package."
        ) from error


def _refuse_shuffling(path: str, params: dict[str, Any]) -> None:
    ordered = path.rpartition(".")[2].startswith("HistGradientBoosting")
    for name in SHUFFLES:
        if params.get(name) not in (None, False) and not (
            ordered and (name == "n_iter_no_change" or params[name] is True)
        ):
            raise InputError(
                f"train.params.{name} = {params[name]!r} makes {path} hold out shuffled rows. Leave it away; "
                "HistGradientBoosting with `early_stopping: true` is stopped on the latest training rows instead."
            )
