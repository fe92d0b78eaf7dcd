"""The tool's own error rates: are its intervals and words true? Simulated worlds whose truth is known.

    python benchmarks/coverage.py [--worlds 2000] [--seed 1] [--jobs 2] [--every]

A world is drawn, lockstep makes its intervals, and the truth is the value over (nearly) infinitely many days of the
same world. Exits 1 when a gated figure leaves its band by more than two Monte-Carlo errors.

Worlds: `rows` are independent; `days` move the rate of positives and each model's skill; `groups` do so too and differ
in size (log-normal, sigma 0.6: of 90 groups the largest has about four times the rows of the median); those of `skewed`
very much (sigma 1.2: fifteen times). Not gated: `autocorrelated` days (AR(1) with 0.5). By default each share of
positives meets 30 blocks and each number of blocks 16 %, and 1 % meets 90; `--every` crosses them all.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy: the worlds share the cores, not the threads of one product

import numpy as np  # noqa: E402

from lockstep.statistics.blocks import Blocks, blocks_of  # noqa: E402
from lockstep.statistics.intervals import (  # noqa: E402
    Interval,
    own_intervals,
    p_value,
    paired_interval,
    paired_intervals,
)
from lockstep.statistics.metrics import METRICS  # noqa: E402
from lockstep.statistics.slices import holm  # noqa: E402

CLASSES = ("roc_auc", "average_precision", "log_loss", "brier", "f1")
NUMBERS = ("mae", "rmse")
PRIMARY = "roc_auc"
SHARES = (0.01, 0.16, 0.5)
BLOCKS = (10, 30, 90)
GATED = ("rows", "days", "groups")
KINDS = (*GATED, "skewed", "autocorrelated")
THRESHOLD = {0.01: 0.03, 0.16: 0.25, 0.5: 0.5}
# Rows of a block, on average. 1 % of 200 gives 60 positives in 30 blocks: with 36 the tool is silent in one of five,
# and what it says in the others is not said of a fair sample of worlds (coverage of log loss: 96.9 %).
ROWS = {0.01: 200, 0.16: 40, 0.5: 40, None: 40}
SLICES = 6
TRUTH_ROWS = 3_000_000
BATCH = 100
ENOUGH = 200  # worlds in which something is said, for a figure to be one


@dataclass(frozen=True)
class World:
    """How a world is drawn. `share` None: regression. `gain`: what the challenger knows beyond the champion."""

    kind: str
    share: float | None
    blocks: int
    gain: float = 0.5

    @property
    def metrics(self) -> tuple[str, ...]:
        return NUMBERS if self.share is None else CLASSES

    def random(self, *numbers: int) -> np.random.Generator:
        """A stream of its own for each world: what one table cell finds by chance, the next does not repeat."""
        return np.random.default_rng([*numbers, KINDS.index(self.kind), round(100 * (self.share or 0)), self.blocks])

    @property
    def thresholds(self) -> tuple[float, float]:
        return (THRESHOLD.get(self.share or 0.5, 0.5),) * 2


@dataclass(frozen=True)
class Drawn:
    """Rows of a world: outcome, and the predictions of the champion, of a twin as good as it, and of a better one."""

    y: np.ndarray
    champion: np.ndarray
    twin: np.ndarray
    better: np.ndarray
    block: np.ndarray


def draw(world: World, random: np.random.Generator, blocks: int) -> Drawn:
    """`blocks` blocks of a world. Champion and twin each see their own half of the signal: by symmetry their true
    difference is 0; the better model sees a share `gain` of the twin's half too.
    """
    sizes = _sizes(world, random, blocks)
    block = np.repeat(np.arange(blocks), sizes)
    rate, skill_a, skill_b = _effects(world, random, blocks)[:, block]
    n = len(block)
    common, a, b = random.normal(size=(3, n)).astype(np.float32)
    signal = common + (0.7 + skill_a) * a + (0.7 + skill_b) * b
    seen = common + 0.7 * a, common + 0.7 * b, common + 0.7 * a + 0.7 * world.gain * b
    if world.share is None:
        y = signal + rate + random.exponential(1.0, n)
        return Drawn(y, *(s + 1.0 for s in seen), block)
    base = _base(world.share)
    y = (random.random(n) < _logistic(signal + rate + base)).astype(float)
    return Drawn(y, *(_logistic(s + base) for s in seen), block)


def _sizes(world: World, random: np.random.Generator, blocks: int) -> np.ndarray:
    mean = ROWS[world.share]
    sigma = {"groups": 0.6, "skewed": 1.2}.get(world.kind)
    if sigma is None:
        return np.maximum(1, random.poisson(mean, blocks))
    return np.maximum(1, mean * np.exp(random.normal(0, sigma, blocks) - sigma**2 / 2)).astype(int)


def _effects(world: World, random: np.random.Generator, blocks: int) -> np.ndarray:
    """Effects (3, blocks) of a block on the rate and on the two halves of the signal, with SD 0.5, 0.3, 0.3."""
    scale = np.array([[0.5], [0.3], [0.3]])
    if world.kind == "rows":
        return np.zeros((3, blocks))
    effects = random.normal(size=(3, blocks))
    if world.kind == "autocorrelated":
        for day in range(1, blocks):
            effects[:, day] = 0.5 * effects[:, day - 1] + np.sqrt(0.75) * effects[:, day]
    return scale * effects


def _base(share: float) -> float:
    """The intercept that gives about this share of positives; the models share it, so they are about calibrated."""
    return {0.01: -5.6, 0.16: -2.2, 0.5: 0.0}[share]


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def truth(world: World, seed: int) -> dict[str, float]:
    """Differences, better minus champion, and (`own …`) the champion's values, over very many blocks."""
    rows = draw(world, world.random(seed, 0, 99), TRUTH_ROWS // ROWS[world.share])
    found = {}
    for name in world.metrics:
        champion, better = (METRICS[name](rows.y, p, world.thresholds[0]) for p in (rows.champion, rows.better))
        found |= {name: better - champion, f"own {name}": champion}
    return found


def _blocks(world: World, rows: Drawn) -> Blocks:
    if world.kind in ("days", "autocorrelated"):
        return blocks_of(len(rows.y), times=np.datetime64("2013-01-01") + rows.block)
    return blocks_of(len(rows.y), groups=rows.block)


def _seen(counts: Counter[str], name: str, interval: Interval, true: float) -> None:
    """Count one interval: said or too few to say, and whether it holds the truth."""
    if interval.low is None or interval.high is None:
        counts[f"{name}|silent"] += 1
        return
    counts[f"{name}|said"] += 1
    counts[f"{name}|hit"] += interval.low <= true <= interval.high


def coverage(world: World, true: dict[str, float], seeds: range, seed: int) -> Counter[str]:
    """Many worlds of a kind: how often intervals hold the truth, and how often the primary metric's word is false."""
    counts: Counter[str] = Counter()
    for number in seeds:
        random = world.random(seed, number)
        rows = draw(world, random, world.blocks)
        blocks = _blocks(world, rows)
        pair = paired_intervals(world.metrics, rows.y, rows.better, rows.champion, blocks, thresholds=world.thresholds)
        for name in world.metrics:
            _seen(counts, name, pair[name], true[name])
        if world.kind in ("days", "autocorrelated") and world.blocks == max(BLOCKS) and world.share != 0.01:
            own = own_intervals(world.metrics, rows.y, rows.champion, blocks, threshold=world.thresholds[0])
            for name in world.metrics:
                _seen(counts, f"own {name}", own[name], true[f"own {name}"])
        if world.share is not None:
            _seen(counts, "word", paired_interval(PRIMARY, rows.y, rows.twin, rows.champion, blocks), 0.0)
    return counts


def words_on_slices(world: World, true: dict[str, float], seeds: range, seed: int) -> Counter[str]:
    """Twins, in slices that are independent of everything: how often any slice gets a word, after Holm."""
    counts: Counter[str] = Counter()
    for number in seeds:
        random = world.random(seed, number, 7)
        rows = draw(world, random, world.blocks)
        blocks, slice_ = _blocks(world, rows), random.choice(SLICES, len(rows.y), p=_slice_shares())
        p_values = []
        for s in range(SLICES):
            here = slice_ == s
            found = paired_interval(PRIMARY, rows.y[here], rows.twin[here], rows.champion[here], blocks.take(here))
            p_values.append(p_value(found))
        adjusted = [p for p in holm(p_values) if p is not None]
        counts["slices|said" if adjusted else "slices|silent"] += 1
        counts["slices|hit"] += bool(adjusted) and min(adjusted) >= 0.05
    return counts


def _slice_shares() -> np.ndarray:
    shares = 0.7 ** np.arange(SLICES)
    return shares / shares.sum()


def power(world: World, true: dict[str, float], seeds: range, seed: int) -> Counter[str]:
    """The primary metric's word when the true difference is three standard errors (of the estimate, over worlds)."""
    differences, found = [], []
    for number in seeds:
        rows = draw(world, world.random(seed, number, 3), world.blocks)
        interval = paired_interval(PRIMARY, rows.y, rows.twin, rows.champion, _blocks(world, rows))
        if interval.low is not None and interval.high is not None and interval.value is not None:
            differences.append(interval.value)
            found.append((interval.low, interval.high))
    # The twins' true difference is 0: moving it by three standard errors moves every interval as far.
    counts: Counter[str] = Counter({"power|said": len(found), "power|silent": len(seeds) - len(found)})
    if found:
        low, _ = np.transpose(found)
        counts["power|hit"] = int((low + 3 * np.std(differences) > 0).sum())
    return counts


KINDS_OF_WORK = {"coverage": coverage, "slices": words_on_slices, "power": power}


@dataclass(frozen=True)
class Work:
    """One figure's worth of worlds."""

    what: str
    world: World
    gated: bool = True


@dataclass(frozen=True)
class Figure:
    """A share of worlds, with its Monte-Carlo error, and the band it must lie in (none: printed, not gated)."""

    hits: int
    said: int
    least: float | None = None
    most: float | None = None

    @property
    def share(self) -> float:
        return self.hits / self.said

    @property
    def error(self) -> float:
        return float(np.sqrt(max(self.share * (1 - self.share), 1e-4) / self.said))

    @property
    def enough(self) -> bool:
        return self.said >= ENOUGH

    @property
    def gated(self) -> bool:
        return self.enough and (self.least is not None or self.most is not None)

    @property
    def failed(self) -> bool:
        low = self.least is not None and self.share < self.least - 2 * self.error
        high = self.most is not None and self.share > self.most + 2 * self.error
        return self.gated and (low or high)

    def __str__(self) -> str:
        if not self.enough:
            return "too few"
        mark = "!" if self.failed else " " if self.gated else "~"
        return f"{100 * self.share:.1f} ±{100 * self.error:.1f}{mark}"


def figure(counts: Counter[str], name: str, *, gate: bool = True) -> Figure:
    """One figure of a piece of work, with the band statistics.md gives it."""
    hits, said = counts[f"{name}|hit"], counts[f"{name}|said"]
    if name == "power":
        return Figure(hits, said, least=0.80)
    if name in ("word", "slices"):
        return Figure(said - hits, said, most=0.05 if gate else None)
    return Figure(hits, said, *((0.94, 0.96) if gate and not name.startswith("own") else ()))


def plan(every: bool) -> list[Work]:
    """Everything that is measured."""
    cells = [
        (share, n) for share in SHARES for n in BLOCKS if every or n == 30 or share == 0.16 or (share, n) == (0.01, 90)
    ]
    cells += [(None, n) for n in BLOCKS]
    work = [Work("coverage", World(kind, share, n)) for kind in GATED for share, n in cells]
    work += [Work("coverage", World("skewed", 0.16, 30))]
    work += [Work("coverage", World("autocorrelated", share, 90), gated=False) for share in (0.16, None)]
    return work + [Work(what, World(kind, 0.16, 30)) for what in ("slices", "power") for kind in GATED]


def _batch(what: str, world: World, true: dict[str, float], seeds: range, seed: int) -> Counter[str]:
    return KINDS_OF_WORK[what](world, true, seeds, seed)


def measure(work: list[Work], worlds: int, seed: int, jobs: int) -> dict[Work, Counter[str]]:
    """Run everything on `jobs` processes. The seeds of a world are its number's, so jobs do not change a figure."""
    with ProcessPoolExecutor(jobs) as pool:
        laws = list({(w.world.kind, w.world.share): w.world for w in work if w.what == "coverage"}.items())
        truths = dict(
            zip(
                [law for law, _ in laws], pool.map(truth, [world for _, world in laws], [seed] * len(laws)), strict=True
            )
        )
        waiting = {}
        for w in work:
            true = truths.get((w.world.kind, w.world.share), {})
            step = worlds if w.what == "power" else BATCH  # power needs the spread over all its worlds
            for start in range(0, worlds, step):
                seeds = range(start, min(start + step, worlds))
                waiting[pool.submit(_batch, w.what, w.world, true, seeds, seed)] = w
        counts: dict[Work, Counter[str]] = {w: Counter() for w in work}
        for done, future in enumerate(as_completed(waiting), 1):
            counts[waiting[future]].update(future.result())
            if done % 10 == 0 or done == len(waiting):
                print(f"\r{done}/{len(waiting)} batches", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return counts


def _head(world: World) -> str:
    share = "number" if world.share is None else f"{world.share:.0%}"
    return f"{world.kind:<15}{share:>6}{world.blocks:>4}"


def table(title: str, columns: tuple[str, ...], prefix: str, counts: dict[Work, Counter[str]]) -> list[Figure]:
    """Print one table, a world a line; its figures."""
    found = []
    print(f"\n{title}\n{'world':<15}{'target':>6}{'D':>4}{'silent':>8}" + "".join(f"{c:>19}" for c in columns))
    for work, seen in counts.items():
        names = [prefix + column for column in columns]
        if not any(f"{name}|said" in seen or f"{name}|silent" in seen for name in names):
            continue
        figures = [figure(seen, name, gate=work.gated) for name in names]
        said, silent = seen[f"{names[0]}|said"], seen[f"{names[0]}|silent"]
        print(f"{_head(work.world)}{silent / (said + silent):>8.0%}" + "".join(f"{f!s:>19}" for f in figures))
        found += figures
    return found


def report(counts: dict[Work, Counter[str]]) -> int:
    """Print every table; 1 when a gated figure failed."""
    figures = table("Coverage of 95 % intervals of paired differences, in %", CLASSES, "", counts)
    figures += table("The same, regression", NUMBERS, "", counts)
    figures += table(
        "Coverage of a single model's own intervals (overlapping weeks), in %: printed, not gated",
        CLASSES,
        "own ",
        counts,
    )
    figures += table("The same, regression", NUMBERS, "own ", counts)
    figures += table("False words on the primary metric, in %", ("word",), "", counts)
    figures += table(f"A false word on any of {SLICES} slices (Holm), in %", ("slices",), "", counts)
    figures += table(
        "Power of the primary metric at a true difference of three standard errors, in %", ("power",), "", counts
    )
    gated, failed = [f for f in figures if f.gated], [f for f in figures if f.failed]
    print("\nsilent: worlds where the tool says too few to say.  ~ not gated.  ! outside its band.")
    print(f"{len(gated) - len(failed)} of {len(gated)} gated figures hold.")
    return 1 if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 when a gated figure failed."""
    parser = argparse.ArgumentParser(description="The error rates of Lockstep's own intervals and words.")
    parser.add_argument("--worlds", type=int, default=2000, help="of each kind (default 2000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--every", action="store_true", help="cross all shares of positives with all numbers of blocks")
    arguments = parser.parse_args(argv)
    print(f"{arguments.worlds} worlds of each kind, seed {arguments.seed}; share ± Monte-Carlo error. Bands: coverage")
    print(
        "94–96 %, false words at most 5 %, power at least 80 %, each with two Monte-Carlo errors of tolerance.",
        flush=True,
    )
    return report(measure(plan(arguments.every), arguments.worlds, arguments.seed, arguments.jobs))


if __name__ == "__main__":
    sys.exit(main())
