"""What takes the rest: our service with one layer after another switched off, down to the limit."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.serving import contestants
from benchmarks.serving.contestants import LIMIT, limit, ours
from benchmarks.serving.rates import Effort, Seen, measured, ratio
from benchmarks.serving.servers import Server
from benchmarks.serving.table import Row, Table

LAYERS = {
    "log": "prediction log",
    "metrics": "metrics",
    "validation": "validation",
    "limits": "limits on bodies: size, type, patience",
    "bentoml": "BentoML's application inside",
}


def measure(effort: Effort, folder: Path) -> list[Table]:
    """Processor microseconds of each layer: the difference of a request's cost with and without it."""
    servers = [ours(), *_ever_less(), limit()]
    seen = measured(servers, effort, folder)
    names = [server.name for server in servers]
    layers = [*LAYERS.values(), "ids, headers, paths, errors, answers' fields"]
    rows = [
        Row(name=layer, values=(f"{_cost(seen[with_it], seen[without]):.1f}", f"{seen[without].rate:,.0f}"))
        for layer, (with_it, without) in zip(layers, itertools.pairwise(names), strict=True)
    ]
    whole, least = seen[contestants.OURS], seen[LIMIT]
    return [
        Table(
            title="What takes the rest: one layer after another switched off",
            heads=("processor µs", "requests/s without"),
            rows=(
                *rows,
                Row(name="the limit itself", values=(f"{least.cost:.1f}", f"{least.rate:,.0f}")),
                Row(name="ours, all of it", values=(f"{whole.cost:.1f}", f"{whole.rate:,.0f}")),
                Row(name="share of the limit", values=(f"{ratio(whole, least):.0%}", "")),
            ),
        )
    ]


def _ever_less() -> Iterator[Server]:
    off: list[str] = []
    for layer, title in LAYERS.items():
        off.append(layer)
        yield ours(
            f"without {title}",
            "benchmarks.serving.layers_off",
            LOCKSTEP_LOG="",
            LAYERS_OFF=",".join(name for name in off if name != "log"),
        )


def _cost(with_it: Seen, without: Seen) -> float:
    """The difference of two, in the middle of the rounds."""
    return statistics.median(one.cost - other.cost for one, other in zip(with_it.loads, without.loads, strict=True))
