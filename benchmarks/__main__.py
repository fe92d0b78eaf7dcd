"""`make bench`: every figure that the project claims, measured side by side in one run; exit 3 when one is missed."""

from __future__ import annotations

import argparse
import sys

from benchmarks import coverage, pipeline, report

TIMED = {"pipeline": pipeline.measure, "report": report.measure}


def main() -> int:
    """Print the tables; 0 when every bound holds, 3 otherwise."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=2, help="runs of each, of which the quickest counts")
    options.add_argument("--worlds", type=int, default=2000, help="simulated worlds for the intervals")
    options.add_argument("--only", choices=(*TIMED, "coverage"))
    chosen = options.parse_args()
    held = True
    for part, measure in TIMED.items():
        if chosen.only in (None, part):
            for title, rows in measure(chosen.rounds):
                held &= shown(title, rows)
    if chosen.only in (None, "coverage"):
        held &= coverage.main(["--worlds", str(chosen.worlds)]) == 0
    return 0 if held else 3


def shown(title: str, rows: list[tuple[str, str, bool]]) -> bool:
    """Print a table of names, figures and whether each holds; whether all do."""
    print(f"\n{title}")
    for name, value, holds in rows:
        print(f"  {name:<48} {value}{'' if holds else '   MISSED'}")
    sys.stdout.flush()
    return all(holds for _, _, holds in rows)


if __name__ == "__main__":
    raise SystemExit(main())
