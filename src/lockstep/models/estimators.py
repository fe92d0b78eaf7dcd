"""The estimator that the spec names, made ready for this contract: seeded, single-threaded, with the steps it needs."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from lockstep.errors import InputError
from lockstep.models.encoding import Encoding, Slot, Style
from lockstep.spec import Task, Train
from lockstep.spec.estimator_traits import keeps_rows, own_holdouts, without_probabilities

READS_MISSING = ("HistGradientBoosting", "LGBM", "XGB")
"""Estimators that read NaN themselves and whose ONNX graphs do so too. Forests read NaN, but their graphs read it
differently (seen: 15 % of rows wrong), so they get the imputing steps like everybody else."""

TREES = ("RandomForest", "ExtraTree", "DecisionTree", "GradientBoosting", "Bagging")
"""Estimators that cut one feature at a time: scaling changes nothing for them but the rounding, which moves values
across a cut (seen: 0.4 % of rows wrong in float32)."""

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
    sparse = _reads_sparse(estimator)
    one_hot = OneHotEncoder(
        categories=[np.arange(slot.codes, dtype=np.float32) for slot in slots if slot.kind == "label"],
        handle_unknown="ignore",
        sparse_output=sparse,
        dtype=np.float32,
    )
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    steps = [
        ("number", make_pipeline(imputer, StandardScaler()) if scaled else imputer),
        ("flag", "passthrough"),
        ("label", one_hot),
    ]
    used = [(kind, step, _positions(slots, kind)) for kind, step in steps if _positions(slots, kind)]
    return make_pipeline(ColumnTransformer(used, sparse_threshold=0.3 if sparse else 0.0), estimator)


def _reads_sparse(estimator: Any) -> bool:
    """Whether one-hot labels may stay sparse. Not where training rows end up in the graph, which has no such thing."""
    if keeps_rows(kind.__name__ for kind in type(estimator).__mro__) or not hasattr(estimator, "__sklearn_tags__"):
        return False
    return bool(estimator.__sklearn_tags__().input_tags.sparse)


def fit(estimator: Any, x: Any, y: Any, early: tuple[Any, Any] | None = None) -> Any:
    """Fit, and return the estimator. `early` holds later rows for early stopping, which take no part in the fit.

    Raises `InputError` with the library's own words when it refuses a parameter's value.
    """
    from sklearn.exceptions import ConvergenceWarning

    name = type(_last(estimator)).__name__
    with warnings.catch_warnings(record=True) as caught:
        try:
            fitted = estimator.fit(x, y, **({"X_val": early[0], "y_val": early[1]} if early else {}))
        except _refusals() as error:
            raise InputError(
                f"{name} refused to learn: {error}\nCorrect train.params in params.yaml if it names a parameter."
            ) from error
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        warnings.warn(f"{name} stopped{_iterations(fitted)} before it converged", ConvergenceWarning, stacklevel=2)
    return fitted


def _refusals() -> tuple[type[Exception], ...]:
    """What libraries raise when they refuse a value; LightGBM has an error of its own, beside ValueError."""
    lightgbm = sys.modules.get("lightgbm")
    return (ValueError, TypeError, *([lightgbm.basic.LightGBMError] if lightgbm is not None else []))


def predict(estimator: Any, x: Any, task: Task) -> Any:
    """Probability of the positive class (n,), of each class (n, k), or the value (n,); float64.

    Raises `InputError` when an answer is not a finite number.
    """
    import numpy as np

    if task == "regression":
        answers = estimator.predict(x).astype("float64").reshape(len(x))
    else:
        probabilities = estimator.predict_proba(x).astype("float64")
        answers = probabilities[:, 1] if task == "binary" else probabilities
    if not np.isfinite(answers).all():
        raise InputError(
            f"{type(_last(estimator)).__name__} answers with numbers that are not finite: it diverged. Lower its "
            "learning rate or raise its regularisation (train.params), or look for extreme values in the features."
        )
    return answers


def insist(train: Train, params: dict[str, Any], encoding: Encoding, task: Task) -> None:
    """Raises `InputError` for what can be known before anything is fitted: a class, parameter or value that is refused,
    a classifier without probabilities, private values that would be written into the graph."""
    made = _instance(train, params)
    private = next((feature.column for feature in encoding.features if feature.private), None)
    if private is not None and keeps_rows(kind.__name__ for kind in type(made).__mro__):
        raise InputError(
            f"{train.estimator} keeps training rows in its graph, and with them the private `{private}`. Name another "
            "estimator, or write `feature: false` for the column."
        )
    if task != "regression" and not hasattr(made, "predict_proba"):
        said = without_probabilities(train.estimator, {**train.params, **params})
        raise InputError(
            f"{said}. Add it to `train.params`, or name another classifier."
            if said
            else f"{train.estimator} gives no probabilities (predict_proba). Name a classifier that does."
        )


def stops_early(params: Mapping[str, Any]) -> bool:
    """Whether parameters ask for early stopping, for which the latest rows are held apart."""
    return params.get("early_stopping") is True


def _iterations(estimator: Any) -> str:
    import numpy as np

    done = getattr(_last(estimator), "n_iter_", None)
    return "" if done is None else f" after {int(np.max(done))} iterations"


def _positions(slots: list[Slot], kind: str) -> list[int]:
    return [position for position, slot in enumerate(slots) if slot.kind == kind]


def _last(estimator: Any) -> Any:
    return estimator[-1] if hasattr(estimator, "steps") else estimator


def _instance(train: Train, params: dict[str, Any]) -> Any:
    kind, asked = class_of(train.estimator), _by_class({**train.params, **params})
    for name, said in own_holdouts(train.estimator, asked):
        raise InputError(f"train.params.{name}: {said}")
    known = inspect.signature(kind.__init__).parameters
    given: dict[str, Any] = {name: value for name, value in OURS.items() if name in known}
    if "random_state" in known or "kwargs" in known:
        given["random_state"] = train.seed
    given |= THEIRS.get(train.estimator.partition(".")[0], {})
    try:
        made = kind(**{**given, **asked})
        # scikit-learn looks at values only in `fit`: asked here, the last trial of a search need not wait for its turn.
        if hasattr(made, "_parameter_constraints"):
            made._validate_params()  # noqa: SLF001  (there is no public way)
    except (TypeError, ValueError) as error:
        raise InputError(f"{train.estimator} refused its parameters (params.yaml: train): {error}") from error
    return made


def _by_class(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters with `class_weight` by the classes' numbers: YAML that DVC reads has text for keys only."""
    weights = params.get("class_weight")
    if not isinstance(weights, dict):
        return params
    return {**params, "class_weight": {float(name) if name in "0123456789" else name: w for name, w in weights.items()}}


def class_of(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"train.estimator {path!r} cannot be imported: {error}. Name a class by its import path, such as "
            "sklearn.ensemble.HistGradientBoostingClassifier, and install its package."
        ) from error
