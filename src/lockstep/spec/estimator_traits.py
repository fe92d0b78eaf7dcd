"""What Lockstep knows of estimators by their names, without importing them: one list for `check` and for training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

INSTANCE_BASED = (
    *("KNeighbors", "RadiusNeighbors", "LocalOutlierFactor", "SVC", "SVR", "NuSVC", "NuSVR", "OneClassSVM"),
    *("GaussianProcess", "KernelRidge", "LabelPropagation", "LabelSpreading"),
)
"""Beginnings of the names of estimators that keep training rows and answer by comparing with them. Their graphs hold
those rows, value by value."""

EXPORT_NEEDS: Mapping[str, tuple[str, ...]] = {"lightgbm": ("onnxmltools",), "xgboost": ("onnxmltools",)}
"""By library of estimators: the packages, by import name, that its conversion to ONNX needs beside skl2onnx."""

PROBABILITIES: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "SVC": ("probability", (True,)),
    "NuSVC": ("probability", (True,)),
    "SGDClassifier": ("loss", ("log_loss", "modified_huber")),
}
"""Classifiers that give probabilities only with one of these values of a parameter."""

SHUFFLES = ("early_stopping", "n_iter_no_change")
"""Parameters that make an estimator hold out rows of its own, shuffled: a look into the future on a time split."""

NEEDS_VALIDATION = ("early_stopping_round", "early_stopping_rounds")
"""Parameters that make an estimator ask for a validation set, which nothing hands to it."""

_INSTEAD = "HistGradientBoosting with `early_stopping: true` is stopped on the latest training rows instead."


def keeps_rows(names: Iterable[str]) -> bool:
    """Whether an estimator, given by the names of its class and of those it derives from, keeps training rows.

    >>> keeps_rows(["KNeighborsClassifier"]), keeps_rows(["LinearSVC"])
    (True, False)
    """
    return any(name.startswith(INSTANCE_BASED) for name in names)


def export_needs(estimator: str) -> tuple[str, ...]:
    """The packages that the conversion of an estimator, named by import path, needs beside skl2onnx.

    >>> export_needs("lightgbm.LGBMClassifier")
    ('onnxmltools',)
    """
    return EXPORT_NEEDS.get(estimator.partition(".")[0], ())


def without_probabilities(estimator: str, params: Mapping[str, Any]) -> str:
    """Which parameter must be set for the classifier to give probabilities, as a sentence; nothing if it gives them.

    >>> without_probabilities("sklearn.svm.SVC", {})
    'SVC gives probabilities only with `probability: true`'
    """
    name = estimator.rpartition(".")[2]
    key, values = PROBABILITIES.get(name, ("", ()))
    if not key or params.get(key) in values:
        return ""
    wanted = " or ".join(f"`{key}: {str(value).lower()}`" for value in values)
    return f"{name} gives probabilities only with {wanted}"


def own_holdouts(estimator: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Parameters with which the estimator would hold out rows of its own, each with a sentence about it.

    >>> [name for name, _ in own_holdouts("sklearn.ensemble.GradientBoostingClassifier", {"n_iter_no_change": 5})]
    ['n_iter_no_change']
    """
    kind = estimator.rpartition(".")[2]
    ordered = kind.startswith("HistGradientBoosting")
    for name in SHUFFLES:
        value = params.get(name)
        if value is None or value is False or (ordered and (name == "n_iter_no_change" or value is True)):
            continue
        yield name, f"{name} = {value!r} makes {kind} hold out shuffled rows. Leave it away; {_INSTEAD}"
    for name in NEEDS_VALIDATION:
        if params.get(name):
            said = f"{name} = {params[name]!r} asks for a validation set, which is not there"
            yield name, f"{said}. Leave it away, and choose `n_estimators` by `train.search`."
