"""Hand-made findings for reports: what the flights would say, and the same with values that nobody has vouched for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from conftest import ROOT
from lockstep.comparison.result import Champion, Comparison, Exam, MetricRow, Rows, Seeds, SliceRow
from lockstep.gates.outcome import Cost, Judgement, Outcome
from lockstep.report.change import Change, ContractChange, DataFinding, Drift, SpecChange, StageChange
from lockstep.report.compose import compose
from lockstep.report.document import Report
from lockstep.report.judged import Judged
from lockstep.report.origin import Origin
from lockstep.report.verdict import Verdict, conclude
from lockstep.spec import Spec, read_spec
from lockstep.statistics.blocks import blocks_of
from lockstep.statistics.intervals import Interval

HEAD, BASE = "c0ffee" + "0" * 34, "1a2b3c4" + "d" * 33

HOSTILE = (
    "|",
    "<script>alert(1)</script>",
    "@everyone",
    "</details>",
    "```",
    "`",
    "a\n\n# b\r\nc",
    "\u202eabc\u2066",
    "x" * 10_000,
    "#123",
    "GH-123",
    "octo/cat#12",
    "![x](http://evil.example/a.png)",
    "http://evil.example",
    "www.evil.example",
    "<img src=x onerror=alert(1)>",
    "{{ 7*7 }}",
    "</script><script>alert(1)</script>",
    "<!--",
    "]]>",
    ":tada:",
    "$$x$$",
    "a@b.example",
    "&lt;b&gt;",
    "\\",
    "",
    "> [!CAUTION]",
    "שלום",
)
"""Category names that would break or abuse a comment or a page, were they not escaped."""


@cache
def spec() -> Spec:
    return read_spec(ROOT / "params.yaml")


def interval(value: float | None, half: float | None, *, n: int = 92, kind: Any = "day", note: str = "") -> Interval:
    if value is None or half is None:
        return Interval(value=value, blocks=n, kind=kind, note=note)
    error = half / 2
    return Interval(value=value, low=value - half, high=value + half, blocks=n, kind=kind, error=error, degrees=n - 1)


def metric(
    name: str, title: str, up: bool, values: tuple[float, ...], half: float, word: str, primary: bool = False
) -> MetricRow:
    dummy, linear, champion, challenger = values
    return MetricRow(
        id=name,
        title=title,
        higher_is_better=up,
        primary=primary,
        values={"dummy": dummy, "linear": linear, "champion": champion, "challenger": challenger},
        difference=interval(challenger - champion, half),
        word=word,
    )


METRICS = (
    metric("roc_auc", "ROC AUC", True, (0.5, 0.6702, 0.6702, 0.7041), 0.0171, "better", primary=True),
    metric("average_precision", "average precision", True, (0.1753, 0.2981, 0.2981, 0.3792), 0.041, "better"),
    metric("log_loss", "log loss", False, (0.4671, 0.4793, 0.4793, 0.4584), 0.019, "better"),
    metric("brier", "Brier score", False, (0.1471, 0.1492, 0.1492, 0.1463), 0.0061, "no difference shown"),
)


def piece(column: str, value: str, rows: int, by: float | None, half: float | None, word: str, **more: Any) -> SliceRow:
    base = 0.66
    note = "" if half else "too few to say: 8 days, fewer than 10"
    return SliceRow(
        column=column,
        value=value,
        rows=rows,
        metric=more.get("metric", "roc_auc"),
        champion=base,
        challenger=None if by is None else base + by,
        difference=interval(by, half, note=note),
        p=None if half is None else 0.02 if word == "worse" else 0.4,
        word=word,
    )


SLICES = (
    piece("origin", "EWR", 30_112, 0.041, 0.02, "better"),
    piece("origin", "JFK", 28_004, 0.055, 0.02, "better"),
    piece("origin", "LGA", 26_268, -0.012, 0.007, "worse"),
    piece("carrier", "UA", 15_000, 0.031, 0.02, "better"),
    piece("carrier", "9E", 4_300, 0.004, 0.03, "no difference shown"),
    piece("carrier", "OO", 12, 0.09, None, "too few to say"),
    piece("origin", "LGA", 26_268, 0.011, 0.007, "worse", metric="log_loss"),
)


@cache
def exam(rows: int = 3000, task: Any = "binary", seed: int = 0) -> Exam:
    draw = np.random.default_rng(seed)
    skill = draw.normal(size=rows)
    days = np.datetime64("2013-08-01") + np.arange(rows) % 92
    if task == "regression":
        y = 20 + 5 * skill + draw.normal(size=rows)
        answers = {"challenger": 20 + 5 * skill, "champion": 20 + 4 * skill + draw.normal(size=rows)}
    else:
        y = (draw.random(rows) < 1 / (1 + np.exp(1.7 - skill))).astype(float)
        answers = {
            "challenger": 1 / (1 + np.exp(1.7 - skill)),
            "champion": 1 / (1 + np.exp(1.4 - 0.6 * skill - 0.6 * draw.normal(size=rows))),
        }
    return Exam(
        task=task,
        y=y,
        predictions=answers,
        thresholds={"challenger": 0.2, "champion": 0.2},
        blocks=blocks_of(rows, times=days),
    )


CHAMPION = Champion(revision=BASE, subject="Three months of holdout", md5="f" * 32, source="from DVC's cache")

COMPARISON = Comparison(
    verdict="better",
    champion=CHAMPION,
    rows=Rows(compared=84_384, blocks=92, kind="day", span="2013-08-01 to 2013-10-31", joined=84_384, due=84_384),
    metrics=METRICS,
    slices=SLICES,
    looks=3,
)


def gate(title: str, asked: str, found: str, state: Any = "holds", passes: bool | None = None, **more: Any) -> Outcome:
    return Outcome(
        id=more.pop("id", "estimate"), title=title, asked=asked, found=found, state=state,
        passes=state == "holds" if passes is None else passes, **more,
    )  # fmt: skip


JUDGEMENT = Judgement(
    outcomes=(
        gate("ROC AUC", "at least 0.65 (estimate)", "0.704"),
        gate("ROC AUC against champion", "no drop beyond 0.010", "+0.034 (+0.017 to +0.051)", smallest_drop="0.024"),
        gate("ROC AUC against champion, by origin", "no drop beyond 0.030 in any", "worst: `LGA`, −0.012"),
        gate("log loss against linear", "no worse than linear", "−0.021 (−0.040 to −0.002)", smallest_drop="0.027"),
        gate("model size", "at most 20 MB", "0.46 MB"),
        gate("one prediction", "at most 2 ms", "0.03 ms"),
        gate("quarantine", "at most 1 % of rows", "0 %"),
    ),
    costs=(
        Cost(title="model size", unit="MB", challenger=0.4571, champion=0.0054),
        Cost(title="one prediction", unit="ms", challenger=0.0312, champion=0.0204),
        Cost(title="1,000 predictions", unit="ms", challenger=4.1, champion=2.2),
    ),
)

CHANGE = Change(
    spec=(
        SpecChange(path="train.estimator", before="LogisticRegression", after="HistGradientBoostingClassifier"),
        SpecChange(path="train.params", before="", after="learning_rate: 0.06, max_leaf_nodes: 63"),
    ),
    stages=(
        StageChange(name="ingest", state="restored"),
        StageChange(name="prepare", state="restored"),
        StageChange(name="train", state="reran", causes={"code": ("src/lockstep/models",)},
                    why=("params: train.estimator, train.params", "code: src/lockstep/models")),
        StageChange(name="evaluate", state="reran", why=("model/model.onnx",)),
    ),
    rows={"rows": (252_755, 281_373), "training": (187_977, 187_977), "holdout": (84_384, 84_384)},
    quarantine={"allowed:origin": (3, 0)},
    drift=(
        Drift(column="temperature", kind="number", distance=0.31, missing=(0.001, 0.002), before="median 55.9",
              after="median 71.1", drifted=True),
        Drift(column="carrier", kind="label", distance=0.02, missing=(0, 0), before="UA 17 %", after="UA 18 %",
              drifted=False),
    ),
    versions=(SpecChange(path="scikit-learn", before="1.9.0", after="1.9.1"),),
)  # fmt: skip

ORIGIN = Origin(
    head=HEAD,
    base=BASE,
    seal="5ea1" * 16,
    versions={"python": "3.11", "scikit-learn": "1.9.1", "numpy": "2.4.0"},
    run="https://github.com/octo/flights/actions/runs/7",
)


def scored(sat: Exam | None = None) -> Comparison:
    """With the predictions that curves are drawn from."""
    return replace(COMPARISON, exam=sat or exam())


def judge(comparison: Comparison = COMPARISON, judgement: Judgement = JUDGEMENT, change: Change = CHANGE) -> Verdict:
    return conclude(comparison, judgement, change, spec())


def judged(comparison: Comparison | None = None, judgement: Judgement = JUDGEMENT, change: Change = CHANGE) -> Judged:
    compared = scored() if comparison is None else comparison
    return Judged(
        comparison=compared,
        judgement=judgement,
        change=change,
        verdict=judge(compared, judgement, change),
        spec=spec(),
        origin=ORIGIN,
    )


def report(comparison: Comparison | None = None, judgement: Judgement = JUDGEMENT, change: Change = CHANGE) -> Report:
    return compose(judged(comparison, judgement, change))


def first_model() -> Comparison:
    """The exam of a model without a champion."""
    alone = tuple(
        replace(row, values={k: v for k, v in row.values.items() if k != "champion"}, difference=None, word="")
        for row in METRICS
    )
    parts = tuple(replace(row, champion=None, difference=None, p=None, word="") for row in SLICES[:6])
    return Comparison(verdict="first model", rows=COMPARISON.rows, metrics=alone, slices=parts, exam=exam(), looks=1)


def hostile() -> dict[str, Any]:
    """Every name of `HOSTILE`, wherever one may stand."""
    names = HOSTILE
    notes = tuple(f"column {name} is odd" for name in names)
    return {
        "comparison": replace(
            scored(),
            slices=tuple(piece(names[-1 - i], name, 100 + i, -0.02, 0.01, "worse") for i, name in enumerate(names)),
            rows=replace(COMPARISON.rows, due=85_000, refused=7, relearned=8, gone=9, added=10, moved=11),
            champion=replace(CHAMPION, subject=names[1]),
            notes=notes,
        ),
        "judgement": Judgement(outcomes=tuple(gate(n, n, n, smallest_drop=n, note=n) for n in names)),
        "change": Change(
            spec=tuple(SpecChange(path=name, before=name, after=name) for name in names),
            contract=tuple(ContractChange(text=name, breaking=True, short=f"+ {name}") for name in names),
            quarantine=dict.fromkeys(names, (0, 1)),
            stages=(StageChange(name="ingest", state="reran", causes={"code": names, "data": names}),),
            findings=tuple(DataFinding(id=i, column=n, message=n) for n in names for i in ("leakage", n)),
            exposed=names,
            unseen=2,
            drift=tuple(
                Drift(column=n, kind="label", distance=0.5, missing=(0, 0), before=n, after=n, drifted=True)
                for n in names
            ),
        ),
    }


def huge() -> dict[str, Any]:
    """500 slices, 300 columns, 10,000-character names, everywhere, of the worst kind."""
    names = [f"{HOSTILE[i % len(HOSTILE)]}{i}" + ("|<@`" * 2500 if i % 7 == 0 else "") for i in range(500)]
    slices = tuple(
        piece(names[(i + 1) % 500], name, 100 + i, -0.01 - i / 1e5, 0.005, "worse", metric=each)
        for each in ("roc_auc", "log_loss", "brier", "average_precision")
        for i, name in enumerate(names)
    )
    spoken = tuple(f"{name} ` `{name}` is odd" for name in names)
    change = Change(
        spec=tuple(SpecChange(path=name, before=name, after=name) for name in names),
        contract=tuple(ContractChange(text=text, breaking=i % 2 == 0) for i, text in enumerate(spoken)),
        stages=tuple(
            StageChange(name=name, state="reran", why=spoken, causes={"code": (*names,), "data": (*names,)})
            for name in names[:4]
        ),
        findings=tuple(
            DataFinding(id=name, column=name, message=text) for name, text in zip(names, spoken, strict=True)
        ),
        exposed=tuple(names),
        rows={name: (i, 2 * i) for i, name in enumerate(names)},
        quarantine={name: (i, 2 * i) for i, name in enumerate(names)},
        drift=tuple(
            Drift(column=name, kind="label", distance=0.5, missing=(0, 1), before=name, after=name, drifted=True)
            for name in names[:300]
        ),
        versions=tuple(SpecChange(path=name, before=name, after=name) for name in names),
        judges=tuple(names),
        notes=spoken,
    )
    judgement = Judgement(
        outcomes=tuple(
            gate(text, text, text, "broken", smallest_drop=text, note=text, origin="base") for text in spoken
        ),
        loosened=spoken,
        costs=JUDGEMENT.costs,
    )
    champion = replace(CHAMPION, subject=names[7] * 3, source=names[14])
    comparison = replace(
        scored(),
        champion=champion,
        slices=slices,
        notes=spoken,
        why=spoken,
        metrics=tuple(replace(row, values={**row.values, **dict.fromkeys(names[:3], 0.5)}) for row in METRICS),
        seeds=Seeds(metric="roc_auc", values=(0.7, 0.701), spread=0.0007, within=True, reach=0.013),
        looks=41,
    )
    return {"comparison": comparison, "judgement": judgement, "change": change}
