"""Requests per second beside the peers: every server up, one at a time under load, in rounds."""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.serving import contestants, load, rows
from benchmarks.serving.load import Load
from benchmarks.serving.servers import Running, Server, running
from benchmarks.serving.table import Row, Table

TIMES_SLOW, TIMES_HAND, TAIL = 10.0, 0.5, 5.0
"""What is asked: requests per second against the slow peers and against the one by hand; p99 as a multiple of p50."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long each server is loaded, in how many rounds, after how long a warm-up."""

    rounds: int
    seconds: float
    warm: float


THOROUGH, QUICK = Effort(rounds=5, seconds=4, warm=2), Effort(rounds=2, seconds=1, warm=1)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One server over all rounds."""

    loads: tuple[Load, ...]
    megabytes: float
    start: float

    @property
    def rate(self) -> float:
        """The middle round's requests per second."""
        return statistics.median(each.rate for each in self.loads)

    @property
    def p50(self) -> float:
        """The middle round's median latency, in milliseconds."""
        return statistics.median(each.p50 for each in self.loads)

    @property
    def p99(self) -> float:
        """The middle round's 99th percentile, in milliseconds."""
        return statistics.median(each.p99 for each in self.loads)

    @property
    def tail(self) -> float:
        """p99 as a multiple of p50, in the middle round."""
        return statistics.median(each.p99 / each.p50 for each in self.loads)

    @property
    def cost(self) -> float:
        """Microseconds of processor a request, in the middle round."""
        return statistics.median(each.cost for each in self.loads)

    @property
    def errors(self) -> int:
        """Requests that were not answered with 200, in all rounds."""
        return sum(each.errors for each in self.loads)


def ratio(one: Seen, other: Seen) -> float:
    """How many times as many requests per second: the middle of the rounds' own ratios, so that a machine that slows
    down for a while slows both sides of each."""
    return statistics.median(a.rate / b.rate for a, b in zip(one.loads, other.loads, strict=True))


def measured(servers: Sequence[Server], effort: Effort, folder: Path) -> dict[str, Seen]:
    """Every server by name: right answers before and after, rounds in turn."""
    with contextlib.ExitStack() as stack:
        up: list[Running] = []
        for number, server in enumerate(servers):
            print(f"starting {server.name}", file=sys.stderr)
            up.append(stack.enter_context(running(server, folder / f"{number}")))
        loads: dict[str, list[Load]] = {each.server.name: [] for each in up}
        for each in up:
            rows.insist_on_right_answers(each)
            load.post(each.url, body_of(each), effort.warm)
        for number in range(effort.rounds):
            print(f"round {number + 1} of {effort.rounds}", file=sys.stderr)
            # The order turns around, so that nobody is always measured after the same neighbour.
            for each in up if number % 2 == 0 else reversed(up):
                loads[each.server.name].append(_stretch(each, effort.seconds))
        for each in up:
            rows.insist_on_right_answers(each)
        return {
            each.server.name: Seen(loads=tuple(loads[each.server.name]), megabytes=each.megabytes(), start=each.seconds)
            for each in up
        }


def _stretch(server: Running, seconds: float) -> Load:
    before = server.processor()
    seen = load.post(server.url, body_of(server), seconds)
    return replace(seen, processor=server.processor() - before)


def body_of(server: Running) -> Path:
    """A file with the row that is asked, as this server wants it."""
    path = server.home / "asked.json"
    if not path.exists():
        path.write_text(json.dumps(server.server.ask(rows.golden()[0][rows.ASKED])))
    return path


def measure(effort: Effort, folder: Path) -> list[Table]:
    """Rates of everybody, then what is asked of ours."""
    seen = measured(contestants.everybody(), effort, folder)
    return [_rates(seen), _bounds(seen)]


def _rates(seen: dict[str, Seen]) -> Table:
    rates = [
        Row(
            name=name,
            values=(
                f"{one.rate:,.0f}",
                f"{one.p50:.2f}",
                f"{one.p99:.2f}",
                f"{one.cost:.0f}",
                f"{one.megabytes:.0f}",
                f"{one.start:.1f}",
                f"{ratio(seen[contestants.OURS], one):.2f}",
                f"{one.errors}",
            ),
            holds=one.errors == 0,
        )
        for name, one in seen.items()
    ]
    heads = ("requests/s", "p50 ms", "p99 ms", "processor µs", "MB", "ready s", "ours ×", "errors")
    return Table(title=f"One row, one worker, {load.CONNECTIONS} connections", heads=heads, rows=tuple(rates))


def _bounds(seen: dict[str, Seen]) -> Table:
    one = seen[contestants.OURS]
    asked = [(name, ratio(one, seen[name]), TIMES_SLOW) for name in contestants.SLOW]
    asked.append((contestants.HAND, ratio(one, seen[contestants.HAND]), TIMES_HAND))
    bounds = [
        Row(
            name=f"requests per second, times {name}",
            values=(f"{times:.2f}", f"at least {least:g}"),
            holds=times >= least,
        )
        for name, times, least in asked
    ]
    bounds.append(Row(name="p99, times p50", values=(f"{one.tail:.2f}", f"at most {TAIL:g}"), holds=one.tail <= TAIL))
    share = ratio(one, seen[contestants.LIMIT])
    bounds.append(Row(name="share of the limit", values=(f"{share:.0%}", "")))
    return Table(
        title="What is asked of ours: validation, metrics and prediction log on",
        heads=("measured", "asked"),
        rows=tuple(bounds),
    )
