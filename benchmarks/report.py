"""The pull request: `lockstep report` on the flights beside a script by hand, `lockstep verify`, and a pull request in
which nothing changed, in a fresh clone that shares DVC's cache.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.workplace import ROOT, Measured, copy, python, run

LEARNING_RATE = ("learning_rate: 0.06", "learning_rate: 0.1")
BASE, HEAD = "main", "change"
UNTRACKED = ".output\n.dvc/site/\n"


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody; what it prints."""
    somebody = ("-c", "user.name=Bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *somebody, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, message: str) -> None:
    """Everything that git does not ignore."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def project(to: Path) -> tuple[Path, Path]:
    """The worked example with a built base on `main` and a built change on `change`: its folder, the base's model.

    Objects come from this repository's cache where it holds them; what it lacks is built.
    """
    work = copy(to / "project")
    git(work, "symbolic-ref", "HEAD", f"refs/heads/{BASE}")
    (work / ".git" / "info").mkdir(exist_ok=True)
    (work / ".git" / "info" / "exclude").write_text(UNTRACKED)
    if (ROOT / ".dvc" / "cache").is_dir():
        shutil.copytree(ROOT / ".dvc" / "cache", work / ".dvc" / "cache", dirs_exist_ok=True)
    run(["lockstep", "repro"], work)
    commit(work, "The base")
    champion = to / "champion"
    shutil.copytree(work / "model", champion)
    git(work, "switch", "--quiet", "--create", HEAD)
    spec = work / "params.yaml"
    spec.write_text(spec.read_text().replace(*LEARNING_RATE))
    run(["lockstep", "repro"], work)
    commit(work, "Learn faster")
    return work, champion


def quickest(command: list[str], folder: Path, rounds: int) -> Measured:
    """The quickest of several runs."""
    return min((run(command, folder) for _ in range(rounds)), key=lambda measured: measured.seconds)


def reports(work: Path, champion: Path, rounds: int) -> list[tuple[str, str, bool]]:
    """The report of a changed model beside the same differences by hand, the plain way and on histograms."""
    ours = quickest(["lockstep", "report", "--base", BASE], work, rounds)
    script = str(ROOT / "benchmarks" / "compare_by_hand.py")
    holdout = str(work / "data" / "prepared" / "holdout.parquet")
    hand = quickest(python(script, str(champion), str(work / "model"), holdout), work, rounds)
    parts = dict(line.split("=") for line in hand.output.splitlines() if "=" in line)
    spent = {name: float(value) for name, value in parts.items()}
    shared = hand.seconds - spent["measured"]
    plain, quick = shared + spent["plain"], shared + spent["histograms"]
    return [
        ("lockstep report (at most 10 s, aim 5)", f"{ours.seconds:.1f} s", ours.seconds <= 10),
        ("two models by hand, four metrics: plain", f"{plain:.1f} s (from {spent['taken']:.0f} resamples)", True),
        ("ratio", f"{ours.seconds / plain:.2f}", True),
        ("two models by hand, on histograms", f"{quick:.1f} s", True),
        ("ratio: slices, gates, drift, page are ours alone", f"{ours.seconds / quick:.1f}", True),
    ]


def verified(work: Path, rounds: int) -> list[tuple[str, str, bool]]:
    """`lockstep verify`, without data."""
    seconds = quickest(["lockstep", "verify"], work, rounds).seconds
    return [("lockstep verify (at most 1.5 s)", f"{seconds:.2f} s", seconds <= 1.5)]


def unchanged(work: Path, folder: Path, rounds: int) -> list[tuple[str, str, bool]]:
    """What a pull request's run does when only a text changed: restore, report, pack. It must train nothing."""
    runs = [no_change(work, folder / f"clone-{number}") for number in range(rounds)]
    best = min(runs, key=lambda steps: sum(step.seconds for step in steps.values()))
    total = sum(step.seconds for step in best.values())
    ran = sum(step.output.count("Running stage") for steps in runs for step in steps.values())
    return [
        *[(name, f"{step.seconds:.1f} s", True) for name, step in best.items()],
        ("a pull request without a change (at most 15 s)", f"{total:.1f} s", total <= 15),
        ("stages that ran (none)", str(ran), ran == 0),
    ]


def no_change(work: Path, clone: Path) -> dict[str, Measured]:
    """The commands of such a run, as the workflow calls them, in a fresh clone."""
    git(work, "clone", "--quiet", "--branch", BASE, str(work), str(clone))
    (clone / ".git" / "info" / "exclude").write_text(UNTRACKED)
    (clone / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {work / '.dvc' / 'cache'}\n")
    with (clone / "README.md").open("a") as readme:
        readme.write("\nOne sentence more.\n")
    commit(clone, "A sentence")
    base = git(clone, "rev-parse", f"origin/{BASE}")
    head = {"sha": git(clone, "rev-parse", "HEAD")}
    event = {"pull_request": {"number": 1, "head": head, "base": {"ref": BASE, "sha": base}}}
    told = clone.parent / f"{clone.name}.json"
    told.write_text(json.dumps(event))
    runner = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(told), "GITHUB_SHA": head["sha"]}
    files = dict.fromkeys(("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"), str(told.with_suffix(".out")))
    commands = (
        ["lockstep", "ci", "begin"],
        ["lockstep", "repro"],
        ["lockstep", "report", "--base", base],
        ["lockstep", "ci", "pack", "--base", base, "--number", "1"],
    )
    return {" ".join(command[:3]): run(command, clone, **runner, **files) for command in commands}


def measure(rounds: int) -> Iterator[tuple[str, list[tuple[str, str, bool]]]]:
    """All of it, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        folder = Path(name)
        work, champion = project(folder)
        yield "The report", reports(work, champion, rounds)
        yield "Is the lock true?", verified(work, 3 * rounds)
        yield "A pull request in which nothing changed", unchanged(work, folder, rounds)
