"""`make bench-serving`: the service beside others of the same model, in one run; exit 3 when a bound is missed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.serving import batch, images, layers, load, memory, rates
from benchmarks.serving.rates import Effort
from benchmarks.serving.table import Table

PARTS: dict[str, Callable[[Effort, Path], Iterable[Table]]] = {
    "rates": rates.measure,
    "layers": layers.measure,
    "memory": memory.measure,
    "images": images.measure,
    "batch": batch.measure,
}


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; 0 when every bound holds, 3 otherwise."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    options.add_argument("--only", choices=PARTS, action="append", help="a part; may be given several times")
    options.add_argument("--quick", action="store_true", help="short rounds: figures for orientation, not for a claim")
    chosen = options.parse_args(arguments)
    if not load.available():
        raise SystemExit("wrk is not here, and it makes the load: apt-get install wrk")
    held = True
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        for part in chosen.only or PARTS:
            for table in PARTS[part](rates.QUICK if chosen.quick else rates.THOROUGH, Path(name) / part):
                print(table, flush=True)
                held &= table.holds
    return 0 if held else 3


if __name__ == "__main__":
    sys.exit(main())
