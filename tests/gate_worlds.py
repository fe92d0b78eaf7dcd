"""Exams, comparisons and evidence for the tests of gates: small, made by hand, nothing is trained.

an_exam(...)                       a binary exam: days, a column `plan`, challenger and opponents of chosen skill
an_evidence(gates, exam=…, …)      evidence for those gates; costs are given, not measured
judged(gate, …)                    the outcome of one gate
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from lockstep.comparison.result import Comparison, Exam, Rows, Verdict
from lockstep.gates.evidence import Evidence
from lockstep.gates.judge import outcome
from lockstep.gates.outcome import Cost, Outcome
from lockstep.report.change import ContractChange
from lockstep.spec import Gate, GateBase, Spec
from lockstep.statistics.blocks import blocks_of
from worlds import REGRESSION, a_spec

COSTS = (
    Cost(title="model size", unit="MB", challenger=0.466, champion=0.5),
    Cost(title="one prediction", unit="ms", challenger=0.07, champion=0.06),
    Cost(title="1,000 predictions", unit="ms", challenger=2.5),
)

SUMMARY = {"rows": {"rows": 10_000, "training": 7000, "holdout": 2900, "quarantine": 100}}

_GATE: TypeAdapter[GateBase] = TypeAdapter(Gate)


def a_gate(**keys: Any) -> GateBase:
    """A gate as params.yaml would hold it."""
    return _GATE.validate_python(keys)


def an_exam(
    rows: int = 3000,
    days: int = 91,
    *,
    seed: int = 0,
    champion: float | None = 1.0,
    challenger: float = 1.0,
    plans: Sequence[str] = ("free", "basic", "premium"),
) -> Exam:
    """A binary exam with 30 % positives: how far each model's scores tell the classes apart; a champion or none."""
    random = np.random.default_rng(seed)
    day = np.sort(random.integers(0, days, rows))
    y = (random.random(rows) < 0.3).astype(float)
    common = random.normal(0, 1, rows)

    def scores(skill: float) -> Any:
        return 1 / (1 + np.exp(-(skill * (2 * y - 1) + common + random.normal(0, 0.3, rows) - 0.85) / (1 + skill)))

    skills = {"challenger": challenger, "champion": champion, "linear": 0.5}
    predictions = {name: scores(skill) for name, skill in skills.items() if skill is not None}
    predictions["dummy"] = np.full(rows, 0.3)
    return Exam(
        task="binary",
        y=y,
        predictions=predictions,
        thresholds=dict.fromkeys(predictions, 0.4),
        blocks=blocks_of(rows, times=np.datetime64("2024-10-01", "D") + day),
        slices={"plan": random.choice(np.array(plans, object), rows), "region": random.choice(np.arange(2.0), rows)},
    )


def numbers_exam(truth: Any, predictions: Mapping[str, Any], day: Any, groups: Any = None) -> Exam:
    """A regression exam of these arrays (n,)."""
    return Exam(
        task="regression",
        y=np.asarray(truth, float),
        predictions={name: np.asarray(values, float) for name, values in predictions.items()},
        thresholds={},
        blocks=blocks_of(len(truth), times=np.datetime64("2024-10-01", "D") + np.asarray(day)),
        slices={} if groups is None else {"plan": groups},
    )


def an_evidence(
    gates: Sequence[Mapping[str, Any]] = (),
    *,
    exam: Exam | None = None,
    verdict: Verdict = "no difference shown",
    why: tuple[str, ...] = (),
    rows: Rows | None = None,
    summary: Mapping[str, Any] = SUMMARY,
    contract: Sequence[ContractChange] = (),
    base: Mapping[str, Any] | None = None,
    costs: tuple[Cost, ...] = COSTS,
    spec: Spec | None = None,
) -> Evidence:
    """Evidence for a spec with these gates; `base` is the base's params.yaml, as far as it matters."""
    made = Evidence(
        comparison=Comparison(verdict=verdict, why=why, exam=exam, rows=rows),
        spec=spec or (a_spec({"gates": list(gates)}) if gates else _plain_spec()),
        model_folder=Path("model"),
        summary=summary,
        base_gates=(base or {}).get("gates", []),
        base_values=base or {},
        contract_changes=tuple(contract),
    )
    vars(made)["costs"] = costs
    return made


def judged(gate: Mapping[str, Any], evidence: Evidence | None = None, **evidence_of: Any) -> Outcome:
    """One gate, alone."""
    return outcome(a_gate(**gate), evidence or an_evidence(**evidence_of))


@cache
def _plain_spec() -> Spec:
    return a_spec()


def regression_spec(gates: Sequence[Mapping[str, Any]]) -> Spec:
    """A spec for numbers, with these gates."""
    return a_spec(REGRESSION | {"gates": list(gates)})


def with_champion(exam: Exam, values: Any) -> Exam:
    """The exam with another champion's answers."""
    return replace(exam, predictions={**exam.predictions, "champion": values})
