"""Whether the code that the spec names exists and fits: the estimator with its parameters, the source function."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lockstep.errors import nearest
from lockstep.spec.code_index import Modules, NotFound, Unclear
from lockstep.spec.column_rules import Findings, is_feature
from lockstep.spec.estimator_traits import export_needs, keeps_rows, own_holdouts, without_probabilities
from lockstep.spec.messages import listed, shown
from lockstep.spec.section import Withheld
from lockstep.spec.sections import Spec
from lockstep.spec.signature import Signature, read_signature

CLOSE = 0.83
"""From this likeness on a name is taken for a misspelling, where an estimator accepts names it does not list. The names
that LightGBM and XGBoost do not list are less alike, but for `max_leaves` and `num_leaf`."""


def findings(spec: Spec, root: Path) -> Findings:
    """What does not exist or does not fit, for a repository at `root`."""
    modules = Modules([root / "src", root])
    for rule in (source_function, estimator):
        try:
            yield from rule(spec, modules)
        except Withheld:
            continue


def source_function(spec: Spec, modules: Modules) -> Findings:
    """The source is a function at the top level of a module that exists."""
    if spec.ingest.source is None:
        return
    module, _, name = spec.ingest.source.partition(":")
    path = ("ingest", "source")
    try:
        found = modules.find(module, name)
    except Unclear:
        return  # compiled or computed: calling it will tell
    except NotFound as error:
        yield path, _not_found(error, (module, name), "function")
        return
    if isinstance(found.node, ast.ClassDef):
        yield path, f"`{module}:{name}` is a class. Name a function (start, end) -> DataFrame."


def estimator(spec: Spec, modules: Modules) -> Findings:
    """The estimator exists, suits the task and knows its parameters."""
    path = ("train", "estimator")
    module, _, name = spec.train.estimator.rpartition(".")
    try:
        signature = read_signature(spec.train.estimator, modules)
    except NotFound as error:
        yield path, _not_found(error, (module, name), "class")
        return
    except TypeError:
        yield path, f"{shown(spec.train.estimator)} is not a class. Name the class of an estimator."
        return
    yield from _parameters(spec, signature)
    yield from _suits(spec, signature)
    yield from _in_time_order(spec, signature)
    yield from _exported(spec, modules)
    yield from _keeps_private(spec, signature)


def _suits(spec: Spec, signature: Signature) -> Findings:
    path, task = ("train", "estimator"), spec.contract.target.task
    wanted = "regressor" if task == "regression" else "classifier"
    if signature.kind == "neither" and "predict" not in signature.methods:
        yield path, f"{shown(spec.train.estimator)} predicts nothing. Name a {wanted}."
    elif signature.kind not in (wanted, "neither"):
        said = f"{shown(spec.train.estimator)} is a {signature.kind}, and the task is {task}"
        yield path, f"{said}. Name a {wanted}, or correct `contract.target.task`."
    elif wanted == "classifier" and "predict_proba" not in signature.methods:
        yield (
            path,
            f"{shown(spec.train.estimator)} gives no probabilities (predict_proba). Name a classifier that does.",
        )
    elif wanted == "classifier":
        searched = spec.train.search.params if spec.train.search is not None else {}
        said = without_probabilities(spec.train.estimator, spec.train.params)
        if said and not any(not without_probabilities(spec.train.estimator, one) for one in _each(searched)):
            yield path, f"{said}. Add it to `train.params`, or name another classifier."


def _in_time_order(spec: Spec, signature: Signature) -> Findings:
    """Nothing that the estimator does by itself looks into the future."""
    kind = spec.train.estimator.rpartition(".")[2]
    if kind.endswith("CV") or "cv" in signature.parameters:
        said = f"{kind} validates on folds of its own, which ignore time and groups"
        yield ("train", "estimator"), f"{said}. Name the plain estimator, with `train.search` or `train.calibrate`."
    for name, said in own_holdouts(spec.train.estimator, spec.train.params):
        yield ("train", "params", name), said
    if spec.train.search is not None:
        for one in _each(spec.train.search.params):
            for name, said in own_holdouts(spec.train.estimator, one):
                yield ("train", "search", "params", name), said


def _each(searched: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Each value that a search tries, by itself."""
    return ({name: value} for name, values in searched.items() for value in values)


def _exported(spec: Spec, modules: Modules) -> Findings:
    """What the conversion to ONNX needs is installed."""
    for package in export_needs(spec.train.estimator):
        try:
            modules.spec(package)
        except NotFound:
            library = spec.train.estimator.partition(".")[0]
            said = f"models of {library} become ONNX through `{package}`, which is not installed"
            yield ("train", "estimator"), f"{said}. Add it to requirements/pipeline.in, then `make lock`."


def _keeps_private(spec: Spec, signature: Signature) -> Findings:
    """No private value is written into a graph."""
    if not keeps_rows(signature.names):
        return
    for name, column in spec.contract.columns.items():
        if column.private and is_feature(column):
            said = f"{shown(spec.train.estimator)} keeps training rows in its graph, and with them the private `{name}`"
            yield ("train", "estimator"), f"{said}. Name another estimator, or write `feature: false` for the column."
            return


def _parameters(spec: Spec, signature: Signature) -> Findings:
    given: list[tuple[tuple[str, ...], str]] = [(("train", "params"), name) for name in spec.train.params]
    if spec.train.search is not None:
        given += [(("train", "search", "params"), name) for name in spec.train.search.params]
    accepted = sorted(name for name in signature.parameters if name != "random_state")
    for path, name in given:
        if name in signature.parameters or name in ("random_state", "seed", "random_seed"):
            continue  # the seed has a rule of its own
        if signature.open and not difflib.get_close_matches(name, accepted, n=1, cutoff=CLOSE):
            continue
        kind = spec.train.estimator.rpartition(".")[2]
        yield (*path, name), f"{kind} has no parameter `{name}`. Allowed: {listed(accepted)}.{nearest(name, accepted)}"


def _not_found(error: NotFound, asked: tuple[str, str], wanted: str) -> str:
    """What is missing: a module on the way, or the class or function in it."""
    if not error.module:
        near = nearest(error.name, error.candidates)
        return f"there is no module `{error.name}`. Install it, or write it under src/.{near}"
    candidates = error.candidates
    if (error.module, error.name) != asked and error.module == asked[0].rpartition(".")[0]:
        wanted = "module"
    elif wanted == "class":
        candidates = [name for name in candidates if name[0].isupper()]
    else:
        candidates = [name for name in candidates if name.islower() and name != "annotations"]
    near = nearest(error.name, candidates)
    return f"`{error.module}` has no {wanted} `{error.name}`.{_some(candidates, error.name)}{near}"


def _some(candidates: Iterable[str], name: str) -> str:
    """The candidates, those most like `name` first, twelve at most."""
    likeness = difflib.SequenceMatcher(b=name)

    def unlike(word: str) -> float:
        likeness.set_seq1(word)
        return -likeness.ratio()

    best = sorted(candidates, key=unlike)
    more = ", …" if len(best) > 12 else ""
    return f" It has: {listed(best[:12])}{more}." if best else ""
