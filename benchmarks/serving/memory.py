"""Memory over 100,000 requests, and whether each of them is in the prediction log."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.serving import contestants, load
from benchmarks.serving.rates import QUICK, Effort, body_of
from benchmarks.serving.servers import request, running
from benchmarks.serving.table import Row, Table

REQUESTS, WARM = 100_000, 50_000
GROWTH = 5.0
"""Megabytes that count as flat. The warm-up is long: the log's queue first finds its length."""


def measure(effort: Effort, folder: Path) -> list[Table]:
    """Resident memory of our service after a warm-up and 100,000 requests later (a fifth of that when quick)."""
    share = 5 if effort == QUICK else 1
    with running(contestants.ours(), folder) as server:
        before, warm = _loaded(server.url, body_of(server), WARM // share), server.megabytes()
        after, last = _loaded(server.url, body_of(server), REQUESTS // share), server.megabytes()
        counted = _counted(server.port)
    logged = sum(_predictions(path) for path in (folder / "log").glob("*.jsonl*"))
    grown, errors = last - warm, before[1] + after[1]
    return [
        Table(
            title="Memory of our service",
            heads=("measured", "asked"),
            rows=(
                Row(name="after the warm-up", values=(f"{warm:.1f} MB", "")),
                Row(name=f"{after[0]:,} requests later", values=(f"{last:.1f} MB", "")),
                Row(name="grown by", values=(f"{grown:.1f} MB", f"at most {GROWTH:g}"), holds=grown <= GROWTH),
                Row(name="errors", values=(f"{errors}", "none"), holds=errors == 0),
                Row(name="predictions served", values=(f"{counted:,}", "")),
                Row(name="lines in the log", values=(f"{logged:,}", "as many"), holds=logged == counted),
            ),
        )
    ]


def _loaded(url: str, body: Path, least: int) -> tuple[int, int]:
    """Post until at least so many were answered; how many, and how many errors."""
    done = errors = 0
    while done < least:
        stretch = load.post(url, body, 2)
        done, errors = done + stretch.requests, errors + stretch.errors
    return done, errors


def _counted(port: int) -> int:
    """Predictions by the service's own counter."""
    lines = request(port, "GET", "/metrics")[1].decode().splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("lockstep_predictions_total{")))


def _predictions(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(json.loads(line)["kind"] == "prediction" for line in lines)
