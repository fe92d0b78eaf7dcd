"""`lockstep predict` on a million rows, parquet to parquet, as it runs, beside scripts by hand with one thread each."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import contestants
from benchmarks.serving.environments import PEERS, environment
from benchmarks.serving.fitted import TRAINING, fitted
from benchmarks.serving.rates import QUICK, Effort
from benchmarks.serving.table import Row, Table
from benchmarks.workplace import python, run

MILLION = 1_000_000
LEVEL = 1.1
"""At least level with the best script: what two runs of one script differ by on such a machine is not counted."""

OURS = "lockstep predict: every row checked, its columns kept"
WHOLE = "by hand, pyarrow and bare ONNX: no check, columns kept"
HAND = "by hand, predictions alone"
PIPELINE = "scikit-learn's pipeline, predictions alone"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One run: wall seconds, processor seconds, which a busy machine moves less, and peak megabytes."""

    seconds: float
    processor: float
    megabytes: float


def measure(effort: Effort, folder: Path) -> list[Table]:
    """Wall time in turn, peak memory of the process, and whether the answers agree."""
    folder.mkdir(parents=True)
    rows = folder / "rows.parquet"
    # In a process of its own: children are born with their parent's peak memory, and would be told to have had it.
    making = multiprocessing.get_context("spawn").Process(target=write_million, args=(rows,))
    making.start()
    making.join()
    assert making.exitcode == 0, "the rows could not be made"
    model = str(contestants.MODEL)
    sklearn = str(environment("fastapi_sklearn") / "bin" / "python")
    commands = {
        OURS: ["lockstep", "predict", str(rows), "ours.parquet", "--model", model],
        WHOLE: python(str(PEERS / "batch_onnx.py"), model, str(rows), "whole.parquet", "whole"),
        HAND: python(str(PEERS / "batch_onnx.py"), model, str(rows), "hand.parquet"),
        PIPELINE: [sklearn, str(PEERS / "batch_sklearn.py"), str(fitted("fastapi_sklearn")), str(rows), "s.parquet"],
    }
    seen: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(1 if effort == QUICK else 3):
        for name, command in commands.items():
            path = {"PYTHONPATH": str(PEERS)} if name == PIPELINE else {}
            seen[name].append(_cost(command, folder, path))
    return [_table(seen, _apart(folder / "ours.parquet", folder / "whole.parquet"))]


def _cost(command: list[str], folder: Path, variables: dict[str, str]) -> Cost:
    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    done = run(command, folder, OMP_NUM_THREADS="1", **variables)
    return Cost(seconds=done.seconds, processor=spent() - before, megabytes=done.megabytes)


def write_million(path: Path) -> None:
    """Training and holdout rows over and over, without the outcome."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pa.concat_tables([pq.read_table(TRAINING.with_name(f"{side}.parquet")) for side in ("training", "holdout")])
    rows = rows.drop_columns(["late", "_key"])
    pq.write_table(rows.take(pa.array(np.arange(MILLION) % len(rows))), path, compression="zstd")


def _apart(ours: Path, hand: Path) -> float:
    """The largest difference between the two files' probabilities."""
    import numpy as np
    import pyarrow.parquet as pq

    one, other = (pq.read_table(path, columns=["probability"])["probability"].to_numpy() for path in (ours, hand))
    assert len(one) == len(other) == MILLION, (len(one), len(other))
    return float(np.abs(one.astype(np.float64) - other).max())


def _table(seen: dict[str, list[Cost]], apart: float) -> Table:
    def row(name: str) -> Row:
        best = min(seen[name], key=lambda cost: cost.seconds)
        return Row(name=name, values=(f"{best.seconds:.2f}", f"{best.processor:.2f}", f"{best.megabytes:.0f}", ""))

    def times(other: str) -> tuple[float, float]:
        pairs = list(zip(seen[OURS], seen[other], strict=True))
        wall = statistics.median(one.seconds / two.seconds for one, two in pairs)
        return wall, statistics.median(one.processor / two.processor for one, two in pairs)

    same, alone = times(WHOLE), times(HAND)
    return Table(
        title="A million rows, parquet to parquet",
        heads=("s", "processor s", "MB", "asked"),
        rows=(
            *map(row, seen),
            Row(
                name="ours, times the script that keeps columns too",
                values=(*(f"{each:.2f}" for each in same), "", f"at most {LEVEL:g}"),
                holds=same[0] <= LEVEL,
            ),
            Row(
                name="ours, times predictions alone",
                values=(*(f"{each:.2f}" for each in alone), "", f"at most {LEVEL:g}"),
                holds=alone[0] <= LEVEL,
            ),
            Row(name="answers differ by", values=("", "", f"{apart:.0e}", "at most 1e-06"), holds=apart <= 1e-6),
        ),
    )
