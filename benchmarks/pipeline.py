"""The pipeline against plain scripts: from nothing, with nothing to do, four times the data, and other learners."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.workplace import ROOT, copy, python, run

REPRO = ["dvc", "repro", "--quiet"]

REPEATED = '''"""The year repeated under other dates, for a benchmark."""

import pandas as pd

from flights import source


def load(start, end):
    back = pd.DateOffset(years=start.year - 2013)
    rows = source.load(start - back, end - back)
    return rows.assign(scheduled_departure=(rows["scheduled_departure"] + back).astype("datetime64[us]"))
'''


def from_nothing(folder: Path, rounds: int) -> list[tuple[str, str, bool]]:
    """`dvc repro` from nothing beside the same work in one process, alternately; the quickest of each counts."""
    repro, one, hand, stages = [], [], [], ""
    for number in range(rounds):
        work = copy(folder / f"from-nothing-{number}")
        repro.append(run(REPRO, work).seconds)
        shutil.rmtree(work / "data")
        result = run(python(str(ROOT / "benchmarks" / "one_process.py")), work)
        one.append(result.seconds)
        stages = ", ".join(line for line in result.output.splitlines() if "=" in line and " " not in line)
        out = work / "by-hand"
        out.mkdir()
        hand.append(run(python(str(ROOT / "benchmarks" / "by_hand.py"), str(work), str(out)), work).seconds)
    best, plain = min(repro), min(hand)
    ratio = best / plain
    return [
        ("dvc repro from nothing", f"{best:.1f} s", True),
        ("a script by hand, one process", f"{plain:.1f} s", True),
        ("ratio (at most 1.5, aim 1.25)", f"{ratio:.2f}", ratio <= 1.5),
        ("our nouns in one process", f"{min(one):.1f} s ({stages})", True),
        ("so: processes, imports, hashing, lock", f"{best - min(one):.1f} s", True),
    ]


def nothing_to_do(folder: Path, rounds: int) -> list[tuple[str, str, bool]]:
    """`dvc repro` with nothing to do beside the same on four empty stages."""
    work = next(folder.glob("from-nothing-*"))
    run(REPRO, work)
    empty = folder / "empty"
    empty.mkdir()
    stages = {"ingest": [], "prepare": ["ingest.txt"], "train": ["prepare.txt"], "evaluate": ["train.txt"]}
    text = "stages:\n"
    for name, deps in stages.items():
        text += f"  {name}:\n    cmd: echo {name} > {name}.txt\n    deps: {json.dumps(deps)}\n    outs: [{name}.txt]\n"
    (empty / "dvc.yaml").write_text(text)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], REPRO):
        run(command, empty)
    ours = min(run(REPRO, work).seconds for _ in range(rounds))
    theirs = min(run(REPRO, empty).seconds for _ in range(rounds))
    return [
        ("dvc repro, nothing to do", f"{ours:.2f} s", True),
        ("the same on four empty stages", f"{theirs:.2f} s", True),
        ("ratio (at most 1.3)", f"{ours / theirs:.2f}", ours / theirs <= 1.3),
    ]


def four_times(folder: Path) -> list[tuple[str, str, bool]]:
    """Ten months beside four times ten: wall time of all stages, peak memory of ingest and prepare."""
    seconds, peaks = {}, {}
    for months, start, until in ((10, "2013-01-01", "2013-11-01"), (40, "2013-01-01", "2016-05-01")):
        work = copy(folder / f"{months}-months")
        (work / "src" / "flights" / "repeated.py").write_text(REPEATED)
        spec = (work / "params.yaml").read_text().replace("flights.source:load", "flights.repeated:load")
        spec = spec.replace('"2013-01-01"', f'"{start}"').replace('"2013-11-01"', f'"{until}"')
        (work / "params.yaml").write_text(spec)
        run(["lockstep", "check", "--fix"], work)
        seconds[months] = run(REPRO, work).seconds
        peaks[months] = {stage: _peak(work, stage) for stage in ("ingest", "prepare")}
        shutil.rmtree(work)
    time = seconds[40] / seconds[10]
    rows = [
        ("ten months", f"{seconds[10]:.1f} s", True),
        ("forty months", f"{seconds[40]:.1f} s", True),
        ("wall time (at most 4.5)", f"{time:.2f}", time <= 4.5),
    ]
    for stage, peak in peaks[40].items():
        memory = peak / peaks[10][stage]
        name = f"peak memory of {stage} (at most 1.3)"
        rows.append((name, f"{memory:.2f} ({peaks[10][stage]:.0f} → {peak:.0f} MB)", memory <= 1.3))
    return rows


def _peak(work: Path, stage: str) -> float:
    """Peak memory of a stage's own process, run from nothing."""
    if stage == "ingest":
        shutil.rmtree(work / "data" / "raw")
    return run(python("-m", f"lockstep.stages.{stage}"), work).megabytes


def learners(folder: Path) -> list[tuple[str, str, bool]]:
    """ROC AUC on the holdout beside boosted trees fitted by hand on the same rows."""
    work = next(folder.glob("from-nothing-*"))
    run(REPRO, work)
    result = run(python(str(ROOT / "benchmarks" / "learners.py")), work)
    scores = {name: float(value) for name, value in (line.split("=") for line in result.output.splitlines())}
    ours, best = scores["this model"], max(scores.values())
    return [
        *[(name, f"{score:.4f}", True) for name, score in scores.items()],
        ("below the best (at most 0.005)", f"{best - ours:.4f}", best - ours <= 0.005),
    ]


def measure(rounds: int) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """All of it, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        folder = Path(name)
        return [
            ("From nothing", from_nothing(folder, rounds)),
            ("Nothing to do", nothing_to_do(folder, 3 * rounds)),
            ("ROC AUC on the holdout", learners(folder)),
            ("Four times the data", four_times(folder)),
        ]
