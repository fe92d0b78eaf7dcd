"""Each kind of gate: what it is called, what it asks, what it finds, and when it passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate_worlds import (
    COSTS,
    SUMMARY,
    a_gate,
    an_evidence,
    an_exam,
    judged,
    numbers_exam,
    regression_spec,
    with_champion,
)
from lockstep.comparison.result import Comparison, Exam, MetricRow, Rows, SliceRow
from lockstep.gates.evidence import Evidence
from lockstep.gates.judge import outcome
from lockstep.gates.kinds import KINDS
from lockstep.gates.outcome import Outcome
from lockstep.report.change import ContractChange
from lockstep.spec import GateBase
from lockstep.statistics.intervals import Interval
from worlds import EVERY_GATE

EXAM = an_exam(challenger=1.2, champion=1.0)


def test_every_gate_that_can_be_written_is_of_a_kind() -> None:
    assert {type(a_gate(**keys)) for keys in EVERY_GATE} == set(KINDS) == set(GateBase.__subclasses__())


@pytest.mark.parametrize("keys", EVERY_GATE, ids=lambda keys: a_gate(**keys).id)
def test_every_gate_says_its_name_what_it_asks_and_what_it_found(keys: dict[str, Any]) -> None:
    found = judged(keys, exam=EXAM)
    assert found.id == a_gate(**keys).id
    assert found.title
    assert found.asked
    assert found.found
    assert found.state == "holds" or found.found != "holds"


@pytest.mark.parametrize("keys", EVERY_GATE, ids=lambda keys: a_gate(**keys).id)
def test_without_any_scored_row_no_gate_on_scores_passes(keys: dict[str, Any]) -> None:
    found = judged(keys, exam=None, verdict="not comparable", why=("the key changed",))
    if not {"cost", "quarantined", "contract"} & set(keys):
        assert (found.state, found.passes) == ("cannot tell", False)
        assert "the key changed" in found.found


@pytest.mark.parametrize("keys", EVERY_GATE, ids=lambda keys: a_gate(**keys).id)
def test_a_gate_of_the_base_that_means_nothing_for_this_task_never_passes(keys: dict[str, Any]) -> None:
    numbers = replace(EXAM, task="regression")
    found = judged(keys | ({"unsure": "pass"} if "against" in keys else {}), exam=numbers)
    if not {"cost", "quarantined", "contract"} & set(keys):
        assert (found.passes, found.found) == (False, "this means nothing for a regression task")


# --- a limit


@pytest.mark.parametrize(
    ("keys", "state"),
    [
        ({"metric": "roc_auc", "at_least": 0.8}, "holds"),
        ({"metric": "roc_auc", "at_least": 0.97}, "broken"),
        ({"metric": "log_loss", "at_most": 0.6}, "holds"),
        ({"metric": "log_loss", "at_most": 0.1}, "broken"),
        ({"metric": "roc_auc", "at_least": 0.8, "judge": "bound"}, "holds"),
        ({"metric": "roc_auc", "at_least": 0.99, "judge": "bound"}, "broken"),
    ],
)
def test_a_limit_is_judged_by_the_estimate_or_by_the_bound(keys: dict[str, Any], state: str) -> None:
    found = judged(keys, exam=EXAM)
    assert (found.state, found.passes) == (state, state == "holds")


def test_an_estimate_that_holds_does_not_help_a_bound_that_reaches_beyond() -> None:
    value = float(judged({"metric": "roc_auc", "at_least": 0.5}, exam=EXAM).found)
    estimate = judged({"metric": "roc_auc", "at_least": value - 0.002}, exam=EXAM)
    bound = judged({"metric": "roc_auc", "at_least": value - 0.002, "judge": "bound"}, exam=EXAM)
    assert (estimate.state, estimate.asked) == ("holds", f"at least {value - 0.002:.9g} (estimate)")
    assert (bound.state, bound.passes) == ("cannot tell", False)
    assert bound.asked.endswith("(lower bound)")
    assert " to " in bound.found


@pytest.mark.parametrize(
    ("exam", "note"),
    [
        (an_exam(days=9), "too few to say: 9 days, fewer than 10"),
        (an_exam(rows=60), "of a class, fewer than 30"),
        (numbers_exam(np.zeros(20), {"challenger": np.ones(20)}, np.arange(20)), "20 rows, fewer than 30"),
    ],
)
def test_an_estimate_from_too_few_rows_is_shown_and_does_not_pass(exam: Exam, note: str) -> None:
    gate = {"metric": "mae", "at_most": 5.0} if exam.task == "regression" else {"metric": "roc_auc", "at_least": 0.5}
    found = judged(gate, exam=exam)
    assert (found.state, found.passes) == ("cannot tell", False)
    assert note in found.note


def test_a_metric_that_is_not_defined_never_passes() -> None:
    exam = replace(EXAM, thresholds=dict.fromkeys(EXAM.thresholds, 1.0))
    found = judged({"metric": "precision", "at_least": 0.1}, exam=exam)
    assert (found.state, found.passes, found.found) == ("cannot tell", False, "precision is not defined on these rows")


@pytest.mark.parametrize(
    "keys", [keys for keys in EVERY_GATE if "v1" not in str(keys)], ids=lambda keys: a_gate(**keys).id
)
def test_predictions_that_are_not_numbers_never_pass(keys: dict[str, Any]) -> None:
    broken = EXAM.predictions["challenger"].copy()
    broken[7] = np.nan
    found = judged(keys, exam=replace(EXAM, predictions={**EXAM.predictions, "challenger": broken}))
    if not {"cost", "quarantined", "contract"} & set(keys):
        assert (found.passes, found.found) == (False, "some predictions of challenger are not numbers")


# --- against another model


def test_a_better_model_holds_against_the_champion_and_a_worse_one_is_broken() -> None:
    gate = {"metric": "roc_auc", "against": "champion", "tolerance": 0.01}
    better, worse = judged(gate, exam=EXAM), judged(gate, exam=an_exam(challenger=0.6, champion=1.2))
    assert (better.title, better.asked, better.state) == ("ROC AUC against champion", "no drop beyond 0.01", "holds")
    assert (worse.state, worse.passes) == ("broken", False)
    assert better.found.startswith("+0.0")
    assert worse.found.startswith("−0.1")
    assert 0 < float(better.smallest_drop) < 0.1


def test_where_lower_is_better_the_found_difference_keeps_its_sign_and_the_gate_asks_for_no_rise() -> None:
    found = judged({"metric": "log_loss", "against": "dummy"}, exam=EXAM)
    assert (found.asked, found.state) == ("no rise", "holds")
    assert found.found.startswith("−")


def test_what_cannot_be_told_refuses_unless_the_gate_says_otherwise() -> None:
    exam = an_exam(rows=700)
    gate = {"metric": "roc_auc", "against": "champion", "tolerance": 0.001}
    strict, lenient = judged(gate, exam=exam), judged(gate | {"unsure": "pass"}, exam=exam)
    assert (strict.state, strict.passes, strict.note) == ("cannot tell", False, "")
    assert (lenient.state, lenient.passes, lenient.note) == ("cannot tell", True, "passes all the same: `unsure: pass`")


def test_unsure_pass_excuses_neither_a_broken_gate_nor_models_that_cannot_be_compared() -> None:
    gate = {"metric": "roc_auc", "against": "champion", "unsure": "pass"}
    assert not judged(gate, exam=an_exam(challenger=0.5, champion=1.5)).passes
    assert not judged(gate, exam=EXAM, verdict="not comparable", why=("the key changed",)).passes
    assert not judged(gate | {"against": "v1.0.0"}, exam=EXAM).passes
    assert not judged(gate | {"slice": "age"}, exam=EXAM).passes


def test_too_few_days_cannot_be_told() -> None:
    found = judged({"metric": "roc_auc", "against": "champion", "tolerance": 0.5}, exam=an_exam(days=8))
    assert (found.state, found.passes) == ("cannot tell", False)
    assert found.found.endswith("(too few to say: 8 days, fewer than 10)")


def test_the_first_model_is_not_held_against_a_champion_but_against_everything_else() -> None:
    exam = an_exam(champion=None)
    against = [
        judged({"metric": "roc_auc", "against": who, "tolerance": 0.01}, exam=exam, verdict="first model")
        for who in ("champion", "dummy", "v1.0.0")
    ]
    assert [each.passes for each in against] == [True, True, False]
    assert (against[0].state, against[0].note) == ("cannot tell", "first model: judged on its absolute gates")


def test_the_same_bytes_hold_with_no_tolerance_at_all() -> None:
    exam = with_champion(EXAM, EXAM.predictions["challenger"])
    found = judged({"metric": "roc_auc", "against": "champion"}, exam=exam, verdict="identical")
    assert (found.state, found.found, found.smallest_drop) == ("holds", "0.000 (0.000 to 0.000)", "")


def test_the_difference_is_the_one_in_the_comparisons_table() -> None:
    told = Interval(value=-0.02, low=-0.03, high=-0.01, blocks=91, kind="day", error=0.005, degrees=90.0)
    row = MetricRow(id="roc_auc", title="ROC AUC", higher_is_better=True, primary=True, values={}, difference=told)
    evidence = an_evidence(exam=EXAM)
    evidence = replace(evidence, comparison=replace(evidence.comparison, metrics=(row,)))
    gate = {"metric": "roc_auc", "against": "champion", "tolerance": 0.005}
    assert judged(gate, evidence).found == "−0.020 (−0.030 to −0.010)"
    assert judged(gate, evidence).state == "broken"
    assert judged(gate | {"against": "linear"}, evidence).state == "holds"


# --- for each value of a column


def worse_on_basic(amount: float) -> Exam:
    """The challenger is the champion, but for one plan, where its scores are mixed with noise."""
    exam = an_exam(rows=6000)
    p = exam.predictions["champion"].copy()
    here = exam.slices["plan"] == "basic"
    noise = np.random.default_rng(5).random(int(here.sum()))
    p[here] = (1 - amount) * p[here] + amount * noise
    return replace(exam, predictions={**exam.predictions, "challenger": p})


def test_one_broken_slice_breaks_the_gate_and_is_named() -> None:
    gate = {"metric": "roc_auc", "against": "champion", "slice": "plan", "tolerance": 0.03, "unsure": "pass"}
    found = judged(gate, exam=worse_on_basic(0.8))
    assert (found.title, found.state, found.passes) == ("ROC AUC against champion, by plan", "broken", False)
    assert found.found.startswith("worst is `basic` with −0.")
    assert found.found.endswith("of 3 values 1 broken, 2 hold")
    assert judged(gate, exam=worse_on_basic(0.0)).found.endswith("of 3 values 3 hold")


def test_a_slice_with_too_few_rows_cannot_be_told() -> None:
    exam = an_exam(plans=("free",) * 150 + ("rare",))
    gate = {"metric": "roc_auc", "against": "champion", "slice": "plan", "tolerance": 0.2}
    strict, lenient = judged(gate, exam=exam), judged(gate | {"unsure": "pass"}, exam=exam)
    assert (strict.state, strict.passes, lenient.passes) == ("cannot tell", False, True)
    assert strict.found.endswith("of 2 values 1 hold, 1 cannot be told")


def test_slices_are_those_of_the_comparisons_table_and_left_out_ones_cannot_be_told() -> None:
    fine = Interval(value=0.0, low=-0.001, high=0.001, blocks=91, kind="day", error=0.0005, degrees=90.0)
    rows = tuple(
        SliceRow(
            column="plan",
            value=name,
            rows=9,
            metric="roc_auc",
            challenger=0.7,
            champion=0.7,
            difference=fine,
            p=1.0,
            word="",
        )
        for name in ("free", "basic")
    )
    evidence = an_evidence(exam=EXAM)
    evidence = replace(evidence, comparison=replace(evidence.comparison, slices=rows))
    found = judged({"metric": "roc_auc", "against": "champion", "slice": "plan", "tolerance": 0.01}, evidence)
    assert (found.state, found.passes) == ("cannot tell", False)
    assert found.note == "not looked at, as they have the fewest rows: 1"


def test_of_very_many_values_the_largest_are_judged() -> None:
    exam = an_exam(plans=[f"plan {number}" for number in range(60)])
    found = judged({"metric": "brier", "against": "dummy", "slice": "plan", "tolerance": 1.5}, exam=exam)
    assert "of 50 values" in found.found
    assert (found.state, found.note) == ("cannot tell", "not looked at, as they have the fewest rows: 10")


def test_a_value_of_ten_thousand_characters_is_cut() -> None:
    found = judged(
        {"metric": "brier", "against": "dummy", "slice": "plan"},
        exam=an_exam(rows=60, plans=("x" * 10_000, "y" * 10_000)),
    )
    assert len(found.found) < 150


# --- cost, quarantine, contract


def test_a_cost_is_shown_beside_the_champions() -> None:
    found = judged({"cost": "model_megabytes", "at_most": 20})
    assert (found.title, found.asked, found.found) == ("model size", "at most 20 MB", "0.466 MB (champion 0.500 MB)")
    assert judged({"cost": "predict_1000_ms", "at_most": 2.6}).found == "2.50 ms"
    assert judged({"cost": "predict_p50_ms", "at_most": 0.069}).state == "broken"


@given(st.floats(0.01, 100), st.floats(0, 100), st.floats(0.01, 200))
def test_a_dearer_model_never_passes_where_a_cheaper_one_fails(cost: float, more: float, most: float) -> None:
    passes = [
        judged({"cost": "predict_p50_ms", "at_most": most}, costs=(replace(COSTS[1], challenger=each),)).passes
        for each in (cost, cost + more)
    ]
    assert passes[0] or not passes[1]


@pytest.mark.parametrize(("most", "state"), [(0.01, "holds"), (0.0099, "broken"), (0, "broken")])
def test_the_share_in_quarantine_is_that_of_all_rows(most: float, state: str) -> None:
    found = judged({"quarantined": most})
    assert (found.state, found.found) == (state, "100 of 10,000 (1 %)")
    assert found.asked == f"at most {100 * most:g} %"


def test_a_contract_that_refuses_what_the_base_held_out_is_found_though_few_rows_of_all_are_refused() -> None:
    rows = Rows(compared=2000, blocks=90, kind="day", span="", joined=2000, refused=150, gone=50, due=2200)
    found = judged({"quarantined": 0.02}, rows=rows)
    assert (found.state, found.passes) == ("broken", False)
    assert found.found == "100 of 10,000 (1 %), 150 of 2,200 (6.8 %) of the base's holdout"


def test_without_counts_nothing_is_told_of_the_quarantine() -> None:
    for summary in ({}, {"rows": 3}, {"rows": {}}, {"rows": {"rows": 0, "quarantine": 0}}, {"rows": {"rows": 9}}):
        assert judged({"quarantined": 0.5}, summary=summary).passes is False
    assert judged({"quarantined": 0.0}, summary={"rows": SUMMARY["rows"] | {"quarantine": 0}}).state == "holds"


def test_only_a_change_that_breaks_callers_breaks_the_contract() -> None:
    wider = ContractChange(text="`age`: max 120 → 130", breaking=False)
    gone = ContractChange(text="`plan`: now needed", breaking=True)
    gate = {"contract": "compatible"}
    assert judged(gate, contract=[wider]).state == "holds"
    assert judged(gate, contract=[wider, gone]).found == "1 breaking: `plan`: now needed"
    assert not judged(gate, contract=[wider, gone]).passes
    assert judged(gate, contract=[], verdict="first model").passes


# --- a worse candidate never passes where a better one fails

ERRORS = [
    {"metric": "mae", "at_most": 1.0},
    {"metric": "mae", "at_most": 1.0, "judge": "bound"},
    {"metric": "mae", "against": "champion", "tolerance": 0.05},
    {"metric": "mae", "against": "champion", "tolerance": 0.05, "unsure": "pass"},
    {"metric": "mae", "against": "dummy"},
    {"metric": "mae", "against": "linear", "slice": "plan", "tolerance": 0.2},
    {"metric": "mae", "against": "champion", "slice": "plan", "tolerance": 0.2, "unsure": "pass"},
]


@given(st.integers(0, 10_000), st.floats(0.5, 1.3), st.floats(0.001, 0.6))
@settings(max_examples=30, deadline=None)
def test_a_candidate_that_errs_more_on_every_row_never_passes_where_the_other_fails(
    seed: int, scale: float, more: float
) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(40, 900))
    y, error = random.normal(0, 2, n), random.normal(0, scale, n)
    others = {who: y + random.normal(0, 1, n) for who in ("champion", "linear")} | {"dummy": np.zeros(n)}
    day, plan = np.sort(random.integers(0, 80, n)), random.choice(np.array(["a", "b", "c"], object), n)

    def outcomes(predictions: Any) -> list[Outcome]:
        evidence = an_evidence(exam=numbers_exam(y, others | {"challenger": predictions}, day, plan))
        return [outcome(a_gate(**keys), evidence) for keys in ERRORS]

    better, worse = outcomes(y + error), outcomes(y + error + np.sign(error) * more)
    assert not [good.id for good, bad in zip(better, worse, strict=True) if bad.passes and not good.passes]


@given(st.integers(0, 10_000), st.floats(0.2, 1.2), st.floats(0.01, 0.8))
@settings(max_examples=15, deadline=None)
def test_a_candidate_less_sure_of_what_happens_never_passes_where_the_other_fails(
    seed: int, skill: float, loss: float
) -> None:
    exam = an_exam(rows=600, seed=seed, challenger=skill)
    given_to_truth = np.where(exam.y == 1, exam.predictions["challenger"], 1 - exam.predictions["challenger"])
    worse_truth = np.clip(given_to_truth, 1e-3, 1) * np.exp(-loss)
    worse = np.where(exam.y == 1, worse_truth, 1 - worse_truth)
    gates = [
        {"metric": "log_loss", "at_most": 0.6},
        {"metric": "log_loss", "against": "champion", "tolerance": 0.02},
        {"metric": "log_loss", "against": "dummy", "unsure": "pass"},
        {"metric": "log_loss", "against": "linear", "slice": "plan", "tolerance": 0.1, "unsure": "pass"},
    ]
    for keys in gates:
        good = judged(keys, exam=exam)
        bad = judged(keys, exam=replace(exam, predictions={**exam.predictions, "challenger": worse}))
        assert good.passes or not bad.passes, keys


def test_evidence_measures_costs_only_when_asked() -> None:
    evidence = Evidence(
        comparison=Comparison(verdict="first model"), spec=regression_spec([]), model_folder=None, summary={}
    )  # type: ignore[arg-type]
    assert "costs" not in vars(evidence)
