"""What must hold between the sections of a spec. A rule is a function whose docstring says it; a new one is one line
in `RULES`.

Rules also run on a spec of which parts were wrong: what is absent raises `Withheld`, and that rule has no more to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from lockstep.errors import nearest
from lockstep.spec.column_rules import COLUMN_RULES, Findings, is_feature, twice
from lockstep.spec.durations import earlier, parse_duration, parse_moment
from lockstep.spec.gate_rules import GATE_RULES
from lockstep.spec.messages import listed, shown
from lockstep.spec.section import Withheld
from lockstep.spec.sections import ColumnBase, Contract, Spec
from lockstep.spec.values import METRICS_OF_TASK


def findings(spec: Spec) -> Findings:
    """Everything that the rules find, rule by rule."""
    for rule in RULES:
        yield from _heard(rule(spec))
    yield from _heard(_columns(spec))
    yield from _heard(_gates(spec))


def _gates(spec: Spec) -> Findings:
    for index in range(len(spec.gates)):
        for rule in GATE_RULES:
            yield from _heard(rule(spec, index))


def _columns(spec: Spec) -> Findings:
    for name, column in spec.contract.columns.items():
        for rule in COLUMN_RULES:
            yield from _heard(rule(spec.contract, name, column))


def _heard(said: Findings) -> Findings:
    """Findings up to the point where the rule missed something."""
    try:
        yield from said
    except Withheld:
        return


# --- ingest


def one_source(spec: Spec) -> Findings:
    """Rows come from exactly one of `source` and `files`."""
    source, files = spec.ingest.source, spec.ingest.files
    if source is not None and files is not None:
        yield ("ingest", "files"), "rows come from `source` or from `files`, not from both. Delete one."
    if source is None and files is None:
        yield ("ingest",), "rows come from nowhere. Add `source: module:function` or `files: …`."


def window(spec: Spec) -> Findings:
    """There is a window if there is a time column, and it holds something."""
    bounds = {"from": spec.ingest.start, "until": spec.ingest.until}
    for key, bound in bounds.items():
        if spec.contract.time is None and bound is not None:
            yield ("ingest", key), f"a window needs a time column. Name it in `contract.time`, or delete `{key}`."
        if spec.contract.time is not None and bound is None:
            yield (
                ("ingest",),
                f"`{key}` is missing: with `contract.time` the rows of a window are read. Add `{key}`, quoted.",
            )
    if spec.ingest.start and spec.ingest.until and parse_moment(spec.ingest.start) >= parse_moment(spec.ingest.until):
        found = f"{shown(spec.ingest.until)} is not after `from`, {shown(spec.ingest.start)}"
        yield ("ingest", "until"), f"the window is empty: {found}. It begins at `from` and ends before `until`."


# --- contract


def key_columns(spec: Spec) -> Findings:
    """The key's columns are in the contract and never missing."""
    for index, name in enumerate(spec.contract.key):
        yield from _known(spec.contract, name, ("contract", "key", index))
    for name in spec.contract.key:
        yield from _never_missing(spec.contract, name, "a column of the key")


def time_column(spec: Spec) -> Findings:
    """The time column is in the contract, is a datetime, is never missing and not private."""
    name = spec.contract.time
    if name is None:
        return
    yield from _known(spec.contract, name, ("contract", "time"))
    column = spec.contract.columns.get(name)
    if column is None:
        return
    yield from _never_missing(spec.contract, name, "the time column")
    if column.private:
        private = ("contract", "columns", name, "private")
        yield private, "the time column cannot be private: reports name windows of time. Delete `private`."
    if column.type != "datetime":
        yield (
            ("contract", "columns", name, "type"),
            f"{shown(column.type)} cannot be the time column. Write `type: datetime`.",
        )


def target_apart(spec: Spec) -> Findings:
    """The target is declared in `target` alone."""
    if spec.contract.target.column in spec.contract.columns:
        path = ("contract", "columns", spec.contract.target.column)
        yield path, "this is the target, which is declared in `contract.target` alone. Delete it here."


def positive(spec: Spec) -> Findings:
    """A binary target says which value is positive; no other does."""
    target = spec.contract.target
    if target.task == "binary" and target.positive is None:
        path = ("contract", "target")
        yield path, "`positive` is missing: the value that counts as positive. Add `positive: true`, say."
    if target.task != "binary" and target.positive is not None:
        here = ("contract", "target", "positive")
        yield here, f"only a binary target has a positive value, and this one is {target.task}. Delete it."


def known_after(spec: Spec) -> Findings:
    """Only rows with a time have outcomes that are known some time later."""
    if spec.contract.target.known_after is not None and spec.contract.time is None:
        path = ("contract", "target", "known_after")
        yield path, "this needs a time column. Name it in `contract.time`, or delete `known_after`."


def names(spec: Spec) -> Findings:
    """Names are not empty, and those that begin with `_` are Lockstep's own."""
    places = chain(
        [(("contract", "target", "column"), spec.contract.target.column)],
        ((("contract", "columns", name), name) for name in spec.contract.columns),
    )
    for path, name in places:
        if not name.strip():
            yield path, "a column needs a name. Write the one that the source gives it."
        if name.startswith("_"):
            own = 'names that begin with "_" are kept for Lockstep'
            yield path, f"{own}. Rename `{name}` in the source."


def some_feature(spec: Spec) -> Findings:
    """The model sees at least one column."""
    if not any(is_feature(column) for column in spec.contract.columns.values()):
        rest = "each has `feature: false`, `available: after`, or is a datetime without `parts`"
        yield ("contract", "columns"), f"no column is left for the model: {rest}. Let it see at least one."


# --- split


def time_split(spec: Spec) -> Findings:
    """A time split needs a time column and a window longer than gap and holdout together."""
    split, contract, ingest = spec.split, spec.contract, spec.ingest
    if split.by != "time":
        return
    if contract.time is None:
        yield (
            ("split", "by"),
            "a split by time needs a time column. Name it in `contract.time`, or split by key or group.",
        )
        return
    if parse_duration(split.holdout)[0] == 0:
        yield ("split", "holdout"), f"{shown(split.holdout)} holds nothing out. Give it some time."
    if not ingest.start or not ingest.until or parse_moment(ingest.start) >= parse_moment(ingest.until):
        return
    waits = [wait for wait in (split.gap, contract.target.known_after) if wait]
    if not _leaves_training(ingest.start, ingest.until, split.holdout, waits):
        gap = f" and a gap of {' or '.join(waits)}" if waits else ""
        span = f"The window from {shown(ingest.start)} until {shown(ingest.until)}"
        yield (
            ("split", "holdout"),
            f"{span} leaves no training rows before a holdout of {split.holdout}{gap}. Widen it.",
        )


def _leaves_training(start: str, until: str, holdout: str, waits: Sequence[str]) -> bool:
    try:
        held = earlier(parse_moment(until), holdout)
        return min([held, *(earlier(held, wait) for wait in waits)]) > parse_moment(start)
    except (OverflowError, ValueError):  # before the year 1
        return False


def group_split(spec: Spec) -> Findings:
    """The groups' column is in the contract and never missing."""
    if spec.split.by == "group":
        yield from _known(spec.contract, spec.split.column, ("split", "column"))
        yield from _never_missing(spec.contract, spec.split.column, "the groups' column")


# --- train and evaluate


def task_suits(spec: Spec) -> Findings:
    """Probabilities are calibrated, and thresholds set, where there are some."""
    task = spec.contract.target.task
    if spec.train.calibrate is not None and task == "regression":
        yield ("train", "calibrate"), "a regression has no probabilities to calibrate. Delete it."
    if "threshold" in spec.evaluate.model_fields_set and task != "binary":
        yield ("evaluate", "threshold"), f"only a binary task has a threshold, and this one is {task}. Delete it."


def metrics_suit(spec: Spec) -> Findings:
    """Each metric suits the task."""
    task = spec.contract.target.task
    allowed = METRICS_OF_TASK[task]
    for index, metric in enumerate(spec.evaluate.metrics):
        if metric not in allowed:
            said = f"{shown(metric)} does not suit a {task} task. Allowed: {listed(allowed)}.{nearest(metric, allowed)}"
            yield ("evaluate", "metrics", index), said


def primary(spec: Spec) -> Findings:
    """The primary metric is among the metrics."""
    chosen, metrics = spec.evaluate.primary, spec.evaluate.metrics
    if chosen not in metrics:
        said = f"{shown(chosen)} is not among `evaluate.metrics` ({listed(metrics)}).{nearest(chosen, metrics)}"
        yield ("evaluate", "primary"), f"{said} Add it there, or choose one of them."


def slices(spec: Spec) -> Findings:
    """Slices are columns of few values that reports may show."""
    for index, name in enumerate(spec.evaluate.slices):
        path = ("evaluate", "slices", index)
        yield from _known(spec.contract, name, path)
        if name in spec.contract.columns:
            yield from _heard(_sliceable(spec.contract, name, path))


def _sliceable(contract: Contract, name: str, path: tuple[str | int, ...]) -> Findings:
    column = contract.columns[name]
    if column.private:
        yield path, f"`{name}` is private, and reports show the values of slices. Take it out."
    if column.type not in ("category", "boolean", "integer"):
        yield path, f"`{name}` is a {column.type} column; slices are category, boolean or integer. Take it out."


def seed_alone(spec: Spec) -> Findings:
    """Chance has one seed, `train.seed`."""
    places: list[tuple[tuple[str, ...], Any]] = [(("train", "params"), spec.train.params)]
    if spec.train.search is not None:
        places.append((("train", "search", "params"), spec.train.search.params))
    for path, params in places:
        for name in ("random_state", "seed", "random_seed"):
            if name in params:
                yield (*path, name), f"the seed is given by `train.seed` (value {shown(params[name])}). Delete it here."


def fixed_or_searched(spec: Spec) -> Findings:
    """A parameter is fixed or searched."""
    if spec.train.search is None:
        return
    for name in spec.train.search.params:
        if name in spec.train.params:
            yield (
                ("train", "search", "params", name),
                f"`{name}` is fixed in `train.params` as well. Delete one of the two.",
            )


def no_duplicates(spec: Spec) -> Findings:
    """No list says a thing twice."""
    ingest, contract, evaluate = spec.ingest, spec.contract, spec.evaluate
    yield from twice(contract.key, ("contract", "key"))
    yield from twice(evaluate.metrics, ("evaluate", "metrics"))
    yield from twice(evaluate.slices, ("evaluate", "slices"))
    if isinstance(ingest.files, list):
        yield from twice(ingest.files, ("ingest", "files"))
    for name, tried in (spec.train.search.params if spec.train.search else {}).items():
        yield from twice(tried, ("train", "search", "params", name))


# --- all of the file

FORGOTTEN_BY_DVC = ("size", "nfiles")
"""dvc/stage/cache.py leaves keys of these names out of the hash of a stage, wherever they stand."""


def forgotten_by_dvc(paths: Iterable[tuple[str | int, ...]]) -> Findings:
    """No key has a name that DVC drops when it looks in its cache of runs for an earlier one like this."""
    for path in paths:
        if path[-1] in FORGOTTEN_BY_DVC:
            forgets = f"DVC forgets keys named `{path[-1]}` when it looks for an earlier run"
            why = f"{forgets}, and would bring back a stale model"
            yield path, f"{why}. Name the column otherwise, in a source function that renames it."


# --- words that several rules use


def _known(contract: Contract, name: str, path: tuple[str | int, ...]) -> Findings:
    if name == contract.target.column and name not in contract.columns:
        yield path, f"{shown(name)} is the target. Name another column."
    elif name not in contract.columns:
        columns = listed(list(contract.columns)[:20]) + (", …" if len(contract.columns) > 20 else "")
        near = nearest(name, contract.columns)
        yield path, f"{shown(name)} is not a column of the contract. Allowed: {columns}.{near}"


def _never_missing(contract: Contract, name: str, role: str) -> Findings:
    column: ColumnBase | None = contract.columns.get(name)
    if column is not None and column.missing == "allowed":
        path = ("contract", "columns", name, "missing")
        yield path, f"`{name}` is {role} and may never be missing. Write `missing: refused`."


RULES: tuple[Callable[[Spec], Findings], ...] = (
    one_source,
    window,
    key_columns,
    time_column,
    target_apart,
    positive,
    known_after,
    names,
    some_feature,
    time_split,
    group_split,
    task_suits,
    metrics_suit,
    primary,
    slices,
    seed_alone,
    fixed_or_searched,
    no_duplicates,
)
