"""What a model costs: megabytes of what is shipped, milliseconds from a caller's rows to predictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

from lockstep.errors import InputError
from lockstep.gates.outcome import Cost
from lockstep.models.encoding import from_rows
from lockstep.models.model import CONTRACT, GRAPH, load

GOLDEN = "golden.json"
ONE_ROW, THOUSAND_ROWS = 301, 25
"""How often each is timed; the median counts."""

WARM_UP = 3

COSTS = {
    "model_megabytes": ("model size", "MB"),
    "predict_p50_ms": ("one prediction", "ms"),
    "predict_1000_ms": ("1,000 predictions", "ms"),
}
"""Title and unit of each cost, by the name that the spec gives it."""

Work = Callable[[], object]


def measure(challenger: Path, champion: Path | None) -> tuple[Cost, ...]:
    """Size and speed of the models in two folders. They take turns, so that what else the machine does strikes both.

    Raises `InputError` when a file is missing or damaged.
    """
    folders = [challenger, *([champion] if champion else [])]
    sizes = [megabytes(folder) for folder in folders]
    served = [(_served(folder), _rows(folder)) for folder in folders]
    one = take_turns([_one_by_one(predict, rows) for predict, rows in served], ONE_ROW)
    many = take_turns([_all_at_once(predict, rows) for predict, rows in served], THOUSAND_ROWS)
    figures = {"model_megabytes": sizes, "predict_p50_ms": one, "predict_1000_ms": many}
    return tuple(
        Cost(title=title, unit=unit, challenger=figures[name][0], champion=figures[name][1] if champion else None)
        for name, (title, unit) in COSTS.items()
    )


def megabytes(folder: Path) -> float:
    """Graph and contract together, in millions of bytes."""
    try:
        return sum((folder / name).stat().st_size for name in (GRAPH, CONTRACT)) / 1e6
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing. `make repro` makes it, or restores it") from None


def take_turns(works: Sequence[Work], times: int) -> list[float]:
    """The median milliseconds of each, after a few rounds that do not count. Who goes first alternates."""
    taken: list[list[int]] = [[] for _ in works]
    order = list(range(len(works)))
    for turn in range(times + WARM_UP):
        for at in order if turn % 2 else reversed(order):
            start = perf_counter_ns()
            works[at]()
            taken[at].append(perf_counter_ns() - start)
    return [median(each[WARM_UP:]) / 1e6 for each in taken]


def _served(folder: Path) -> Callable[[Sequence[Any]], object]:
    """All that a service does with the rows of a request: types them, encodes them, runs the graph."""
    model = load(folder)
    contract = model.learned.contract
    return lambda rows: model.predict(from_rows(rows, contract))


def _rows(folder: Path) -> list[Any]:
    """The model's golden rows, as a caller would send them."""
    path = folder / GOLDEN
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    except FileNotFoundError:
        raise InputError(f"{path} is missing. `make repro` makes it, or restores it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}). `make repro` restores it") from None
    if not rows:
        raise InputError(f"{path} holds no rows, so nothing can be timed. `make repro` makes it anew")
    return list(rows)


def _one_by_one(predict: Callable[[Sequence[Any]], object], rows: list[Any]) -> Work:
    at = iter(range(10**9))
    return lambda: predict([rows[next(at) % len(rows)]])


def _all_at_once(predict: Callable[[Sequence[Any]], object], rows: list[Any]) -> Work:
    thousand = (rows * (1000 // len(rows) + 1))[:1000]
    return lambda: predict(thousand)
