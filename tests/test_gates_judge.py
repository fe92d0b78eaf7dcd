"""All gates together: this branch's, the base's, and what was loosened between the two."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate_worlds import COSTS, a_gate, an_evidence, an_exam
from lockstep import pipeline
from lockstep.gates.inherited import covered, read
from lockstep.gates.judge import judge, outcome, released_tags
from worlds import EVERY_GATE, a_spec

EXAM = an_exam(challenger=1.2)
ROC_AUC = {"metric": "roc_auc", "at_least": 0.6}
AGAINST = {"metric": "roc_auc", "against": "champion", "tolerance": 0.01}


def loosened(gates: list[Any], base: list[Any], **base_values: Any) -> tuple[str, ...]:
    return judge(an_evidence(gates, exam=EXAM, base={"gates": base, **base_values})).loosened


def test_every_gate_is_judged_in_the_order_of_the_spec_and_costs_come_with_it() -> None:
    gates = [keys for keys in EVERY_GATE if "v1" not in str(keys)]
    found = judge(an_evidence(gates, exam=EXAM))
    assert [each.id for each in found.outcomes] == [a_gate(**keys).id for keys in gates]
    assert {each.origin for each in found.outcomes} == {"this change"}
    assert found.costs == COSTS
    assert found.loosened == ()


def test_one_gate_that_does_not_pass_refuses_the_change() -> None:
    assert judge(an_evidence([ROC_AUC, AGAINST], exam=EXAM)).passes
    assert not judge(an_evidence([ROC_AUC, AGAINST, {"quarantined": 0}], exam=EXAM)).passes
    assert judge(an_evidence([], exam=EXAM)).passes


def test_the_bases_gates_are_judged_unless_this_branch_asks_as_much() -> None:
    base = [ROC_AUC, {"quarantined": 0.005}, {"cost": "model_megabytes", "at_most": 1}, {"contract": "compatible"}]
    gates = [ROC_AUC, {"quarantined": 0.5}, {"cost": "model_megabytes", "at_most": 0.9}]
    found = judge(an_evidence(gates, exam=EXAM, base={"gates": base}))
    assert [(each.id, each.origin, each.passes) for each in found.outcomes[3:]] == [
        ("quarantined", "base", False),
        ("contract", "base", True),
    ]
    assert found.loosened == (
        "gate loosened: rows in quarantine: at most 0.5 % → at most 50 %",
        "gate removed: contract, for callers: no change that breaks them",
    )
    assert not found.passes


@pytest.mark.parametrize("keys", EVERY_GATE, ids=lambda keys: a_gate(**keys).id)
def test_a_gate_that_stayed_is_not_loosened_and_one_that_went_is(keys: dict[str, Any]) -> None:
    assert loosened([keys], [keys]) == ()
    [sentence] = loosened([], [keys])
    assert sentence.startswith("gate removed: ")


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (ROC_AUC, ROC_AUC | {"at_least": 0.55}, "ROC AUC: at least 0.6 (estimate) → at least 0.55 (estimate)"),
        (
            ROC_AUC | {"judge": "bound"},
            ROC_AUC,
            "ROC AUC: at least 0.6 (lower bound) → at least 0.6 (estimate)",
        ),
        (
            {"metric": "log_loss", "at_most": 0.5},
            {"metric": "log_loss", "at_most": 0.6},
            "log loss: at most 0.5 (estimate) → at most 0.6 (estimate)",
        ),
        (AGAINST, AGAINST | {"tolerance": 0.02}, "no drop beyond 0.01 → no drop beyond 0.02"),
        (AGAINST, AGAINST | {"unsure": "pass"}, "no drop beyond 0.01 → no drop beyond 0.01, and `unsure: pass`"),
        ({"quarantined": 0.1}, {"quarantined": 0.2}, "at most 10 % → at most 20 %"),
        ({"calibration": 0.1}, {"calibration": 0.2}, "at most 0.1 apart → prediction and outcome at most 0.2 apart"),
        (
            {"fairness": "tpr", "slice": "plan", "at_most": 0.1},
            {"fairness": "tpr", "slice": "plan", "at_most": 0.2},
            "each plan against the rest: at most 0.1 apart → at most 0.2 apart",
        ),
    ],
)
def test_a_weaker_gate_is_named_with_before_and_after_and_a_stricter_one_is_not(
    before: dict[str, Any], after: dict[str, Any], sentence: str
) -> None:
    [found] = loosened([after], [before])
    assert found.startswith("gate loosened: ")
    assert sentence in found
    assert loosened([before], [after]) == ()


@pytest.mark.parametrize("change", [{"against": "linear"}, {"slice": "plan"}, {"metric": "brier"}])
def test_a_gate_that_asks_something_else_does_not_replace_one(change: dict[str, Any]) -> None:
    assert loosened([AGAINST | change], [AGAINST])[0].startswith("gate removed: ROC AUC against champion: ")


def test_a_gate_split_into_a_sure_and_an_unsure_one_is_loosened_only_if_neither_asks_as_much() -> None:
    unsure, wider = AGAINST | {"unsure": "pass"}, AGAINST | {"tolerance": 0.03}
    assert loosened([unsure, AGAINST], [AGAINST]) == ()
    [found] = loosened([unsure, wider], [AGAINST])
    assert found.endswith("→ no drop beyond 0.01, and `unsure: pass` and no drop beyond 0.03")


def test_what_is_no_longer_evaluated_is_named() -> None:
    base = {"metrics": ["roc_auc", "f1", "log_loss", 3], "slices": ["plan", "newsletter"], "primary": "log_loss"}
    assert loosened([], [], evaluate=base) == (
        "metrics no longer evaluated: f1",
        "slices no longer evaluated: newsletter",
        "another primary metric: log_loss → roc_auc",
    )


@pytest.mark.parametrize(
    "value", [{"metric": "gini", "at_least": 1}, {"metric": "roc_auc"}, 3, "all", [], None, {"no": {}}]
)
def test_a_gate_of_the_base_that_cannot_be_read_is_told_and_stops_nothing(value: Any) -> None:
    [sentence] = loosened([ROC_AUC], [ROC_AUC, value])
    assert sentence.startswith("a gate of the base cannot be read any more, and was not judged: ")


@pytest.mark.parametrize("values", [None, 3, "text", {}, {"metric": "x"}, [[]]])
def test_a_base_whose_gates_are_no_list_is_read_as_far_as_it_goes(values: Any) -> None:
    assert read(values)[0] == []
    assert len(read(values)[1]) == (1 if values else 0)
    assert loosened([], values, evaluate=values)[:1] == (() if not values else loosened([], values)[:1])


def test_the_bases_gate_on_a_slice_that_is_gone_refuses() -> None:
    gone = {"metric": "roc_auc", "against": "champion", "slice": "city", "unsure": "pass"}
    found = judge(an_evidence([], exam=EXAM, base={"gates": [gone]}))
    assert [(each.origin, each.passes) for each in found.outcomes] == [("base", False)]
    assert found.outcomes[0].found == "the compared rows have no column city"


def test_released_tags_are_those_of_both_specs_each_once() -> None:
    spec = a_spec({"gates": EVERY_GATE})
    base = {"gates": [AGAINST | {"against": tag} for tag in ("v1.2.0", "v0.9.0", "champion")] + [None]}
    assert released_tags(spec, base) == ["v1.2.0", "churn@v1.2.0-rc.1", "v0.9.0"]
    assert released_tags(a_spec(), {}) == []
    assert released_tags(a_spec(), {"gates": "none"}) == []


TOLERANCES = st.floats(0, 0.2)
GATES = st.builds(
    lambda tolerance, unsure: AGAINST | {"tolerance": tolerance, "unsure": unsure},
    TOLERANCES,
    st.sampled_from(["pass", "refuse"]),
)


@given(GATES, GATES)
def test_whatever_passes_a_gate_passes_one_that_it_covers(one: dict[str, Any], other: dict[str, Any]) -> None:
    strict, loose = a_gate(**one), a_gate(**other)
    if covered(loose, [strict]):
        for exam in (EXAM, SMALL, WORSE):
            evidence = an_evidence(exam=exam)
            assert outcome(loose, evidence).passes or not outcome(strict, evidence).passes


SMALL = an_exam(rows=300, days=30)
WORSE = an_exam(rows=300, days=30, challenger=0.7)


@pytest.mark.parametrize("module", pipeline.MODULES.values())
def test_no_stage_reads_the_gates_so_that_changing_one_trains_nothing(module: str) -> None:
    stage = importlib.import_module(module).STAGE
    assert not [path for path in stage.spec if path.split(".")[0] == "gates"]


WORSE_ALLOWED = {"gates": [AGAINST | {"tolerance": 0.5}], "evaluate": {"primary": "roc_auc"}}


def on_worse(base: dict[str, Any], gates: list[Any] | None = None) -> str:
    return judge(an_evidence([ROC_AUC] if gates is None else gates, exam=WORSE, base=base, verdict="worse")).on_worse


def test_a_gate_of_the_base_that_holds_allows_a_worse_model_even_if_this_branch_drops_it() -> None:
    assert on_worse(WORSE_ALLOWED) == "allowed"
    assert on_worse(WORSE_ALLOWED, [AGAINST]) == "allowed"
    assert judge(an_evidence([], exam=WORSE, base=WORSE_ALLOWED)).on_worse == "allowed"


def test_a_branch_cannot_allow_its_own_model_to_be_worse() -> None:
    generous = AGAINST | {"tolerance": 0.9}
    assert on_worse({"evaluate": {"primary": "roc_auc"}}, [generous]) == "unsaid"
    assert on_worse({"gates": [AGAINST], "evaluate": {"primary": "roc_auc"}}, [generous]) == "refused"
    assert on_worse({"gates": [AGAINST | {"unsure": "pass"}], "evaluate": {"primary": "roc_auc"}}) == "refused"


@pytest.mark.parametrize(
    "base",
    [
        {},
        {"gates": [AGAINST | {"metric": "brier", "tolerance": 0.9}], "evaluate": {"primary": "roc_auc"}},
        {"gates": [AGAINST | {"slice": "plan", "tolerance": 0.9}], "evaluate": {"primary": "roc_auc"}},
        {"gates": [AGAINST | {"against": "linear", "tolerance": 0.9}], "evaluate": {"primary": "roc_auc"}},
        WORSE_ALLOWED | {"evaluate": {"primary": "log_loss"}},
        WORSE_ALLOWED | {"evaluate": "odd"},
    ],
    ids=["no gates", "another metric", "a slice", "another opponent", "another primary", "unreadable"],
)
def test_only_a_gate_on_the_primary_metric_against_the_champion_on_all_rows_allows_worse(base: dict[str, Any]) -> None:
    assert on_worse(base) == "unsaid"


def test_a_value_with_backticks_is_named_whole_by_its_gate() -> None:
    exam = an_exam(rows=3000, challenger=0.5, plans=("a`b`c", "basic"))
    gate = AGAINST | {"slice": "plan"}
    [found] = judge(an_evidence([gate], exam=exam)).outcomes
    assert "``" not in found.found.replace("`` a`b`c ``", "")
    assert ("`` a`b`c ``" in found.found) or ("`basic`" in found.found)
