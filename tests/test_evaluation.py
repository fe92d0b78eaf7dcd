"""Evaluation of the served artifact, for every task."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lockstep import card
from lockstep.evaluation import Evaluation, evaluate, golden
from lockstep.models.encoding import from_rows
from lockstep.models.fitting import fit
from lockstep.models.model import Model, open_graph
from lockstep.rows.contract import to_columns
from lockstep.rows.prepared import KEY
from lockstep.spec import Contract
from small import a_spec, a_table, prepare


def evaluated(
    task: str = "binary", table: pd.DataFrame | None = None, **sections: Any
) -> tuple[Any, Evaluation, Any, Any]:
    spec = a_spec(task, **sections)
    training, holdout, summary = prepare(spec, a_table(3000) if table is None else table)
    made = fit(spec, training, lambda _: None)
    model = Model(made.learned, open_graph(made.graph), made.learned.style, made.learned.calibration)
    linear = Model(made.learned, open_graph(made.linear), "indicators", None)
    found = evaluate(spec, model, linear, training=training, holdout=holdout, summary=summary)
    return spec, found, holdout, made.record


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_metrics_baselines_slices_and_curves_are_strict_json(task: str) -> None:
    spec, found, _, _ = evaluated(task, split={"by": "key", "holdout": 0.4})
    text = json.dumps(found.documents, allow_nan=False)
    metrics = json.loads(text)["metrics"]
    assert set(metrics["metrics"]) == set(metrics["baselines"]["linear"]) == set(spec.evaluate.metrics)
    primary = metrics["metrics"][spec.evaluate.primary]
    assert primary["low"] < primary["value"] < primary["high"]
    assert metrics["data"]["blocks"] >= 10
    assert metrics["data"]["block"] == "week"
    assert set(found.documents["slices"]["city"]["slices"]) == {"Bonn", "Kiel", "Ulm"}
    assert found.documents["calibration"]


def test_golden_predictions_are_what_the_model_answers_to_the_rows_as_sent() -> None:
    spec, found, _, _ = evaluated()
    golden = json.loads(json.dumps(found.documents["golden"]))
    again = found.model.predict(from_rows(golden["rows"], spec.contract))
    assert np.array_equal(again.astype(np.float32), np.array(golden["predictions"], dtype=np.float32))


def test_golden_rows_hold_an_unknown_label_a_missing_value_and_nothing_private() -> None:
    _, found, _, _ = evaluated()
    rows = found.documents["golden"]["rows"]
    assert all(set(row) == {"since", "city", "device", "age", "income", "visits"} for row in rows)
    assert any(row["city"] == "never seen" for row in rows)
    assert any(row["income"] is None and row["device"] is None for row in rows)


def test_golden_rows_are_ones_that_a_service_answers_where_unknown_labels_are_refused() -> None:
    spec, found, holdout, _ = evaluated()
    half = len(holdout) // 2
    holdout = holdout.assign(city=["Wien"] * half + holdout["city"].tolist()[half:])
    assert any(row["city"] == "Wien" for row in golden(found.model, holdout)["rows"])
    learned = replace(found.model.learned, contract=refusing(spec.contract, "city"))
    rows = golden(replace(found.model, learned=learned), holdout)["rows"]
    assert {row["city"] for row in rows} <= {"Bonn", "Kiel", "Ulm"}


def test_a_row_gets_the_same_bits_alone_and_among_others_from_a_linear_model_too() -> None:
    spec, found, holdout, _ = evaluated(train={"estimator": "sklearn.linear_model.LogisticRegression"})
    model, columns = found.model, to_columns(holdout.head(600), spec.contract)
    matrix = model.learned.encoding.encode(columns, model.style)
    alone = [model.predict_matrix(matrix[at : at + 1])[0] for at in range(len(matrix))]
    assert np.array_equal(alone, model.predict_matrix(matrix))


def refusing(contract: Contract, column: str) -> Contract:
    """The same contract, which refuses unknown labels of a column."""
    changed = contract.columns[column].model_copy(update={"unknown": "refused"})
    return contract.model_copy(update={"columns": {**contract.columns, column: changed}})


def test_private_values_appear_in_nothing_that_evaluate_writes() -> None:
    spec, found, _, record = evaluated()
    written = json.dumps(found.documents) + card.render(spec, found, record) + found.reference.to_csv()
    assert "example.org" not in written


def test_the_reference_is_a_sample_of_both_sides_with_predictions() -> None:
    spec, found, holdout, _ = evaluated()
    reference = found.reference
    assert set(reference["_side"]) == {"training", "holdout"}
    assert "email" not in reference
    ours = found.model.predict(to_columns(holdout.sort_values(KEY), spec.contract))
    np.testing.assert_array_equal(reference.loc[reference["_side"] == "holdout", "_prediction"], ours)


def test_a_class_that_training_never_saw_counts_against_the_model() -> None:
    table = a_table(3000)
    late = table["since"] >= pd.Timestamp("2024-04-01")
    table.loc[late & (table["visits"] > 8), "plan"] = "platinum"
    _, plain, _, _ = evaluated("multiclass")
    _, found, _, _ = evaluated("multiclass", table)
    assert found.metrics["log_loss"].value > plain.metrics["log_loss"].value + 0.3  # type: ignore[operator]


def test_a_group_split_is_judged_over_groups() -> None:
    split = {"by": "group", "column": "city", "holdout": 0.5}
    table = a_table(3000).assign(city=lambda rows: "town" + (rows["customer"] % 40).astype(str))
    _, found, _, _ = evaluated(table=table, split=split)
    assert found.blocks.kind == "group"


def test_the_card_says_what_it_answers_how_well_and_lists_every_column() -> None:
    spec, found, _, record = evaluated(evaluate={"threshold": {"maximise": "f1"}})
    text = card.render(spec, found, record)
    for words in ("# customers", "Will this customer leave?", "ROC AUC ↑", "chosen on training folds (maximise: f1)"):
        assert words in text
    assert all(f"| `{name}` |" in text for name in (*spec.contract.columns, "left"))
    assert "ROC AUC" in card.headline(spec, found)


HARMFUL = ("<script>", "@everyone", "http://", "x" * 61)
HOSTILE = ["|<script>@everyone\n#", "`code` http://evil.example", "x" * 10_000]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_label_cannot_break_the_card(hostile: str) -> None:
    table = a_table(3000)
    table.loc[table["city"] == "Ulm", "city"] = hostile
    spec, found, _, record = evaluated(table=table)
    text = card.render(spec, found, record)
    assert not [part for part in HARMFUL if part in text]
    rows = text.partition("### By city")[2].partition("##")[0].strip().splitlines()
    assert [line.count("|") - line.count("\\|") for line in rows] == [5] * 5


def test_a_hostile_name_or_positive_cannot_break_the_card() -> None:
    contract = a_spec().model_dump(mode="json", exclude_none=True)["contract"]
    contract["columns"]["a`b|c"] = {"type": "category", "missing": "allowed"}
    contract["target"]["positive"] = "<b>|yes"
    table = a_table(3000).assign(**{"a`b|c": "same"})
    table["left"] = table["left"].replace("yes", "<b>|yes")
    spec, found, _, record = evaluated(table=table, contract=contract, evaluate={"slices": ["a`b|c"]})
    text = card.render(spec, found, record)
    assert "<b>" not in text
    assert "### By a\\`b\\|c" in text
    assert "| <code>a\\`b\\|c</code> |" in text


def test_labels_and_classes_that_training_never_saw_are_counted() -> None:
    table = a_table(3000)
    late = table["since"] >= pd.Timestamp("2024-04-01")
    table.loc[late & (table["visits"] > 8), "plan"] = "platinum"
    table.loc[late & (table["city"] == "Ulm"), "city"] = "Berlin"
    spec, found, holdout, record = evaluated("multiclass", table)
    data = found.documents["metrics"]["data"]
    assert data["unknown"]["city"] == pytest.approx((holdout["city"] == "Berlin").mean(), rel=1e-3)
    assert data["unknown"]["device"] == 0
    assert data["unseen_class"] == (holdout["plan"] == "platinum").sum() > 0
    text = card.render(spec, found, record)
    assert (
        f"- {100 * data['unknown']['city']:.2g} % of the holdout's `city` are labels that training never saw." in text
    )
    assert "`device` are labels" not in text
    assert f"- {data['unseen_class']} rows of the holdout are of a class that training never saw" in text


def test_rows_that_are_blocks_by_themselves_are_not_counted_twice() -> None:
    by_key = {"by": "key", "holdout": 0.4}
    timeless = a_spec().model_dump(mode="json", exclude_none=True)["contract"] | {"time": None}
    spec, found, _, record = evaluated(split=by_key, contract=timeless, ingest={"from": None, "until": None})
    rows = found.summary["rows"]["holdout"]
    assert f"on {rows:,} held-out rows; the linear baseline" in card.headline(spec, found)
    assert "Intervals are 95 %: they speak" in card.render(spec, found, record)
    assert found.documents["metrics"]["data"]["block"] == "row"
    assert found.documents["metrics"]["data"]["blocks"] == rows


def test_a_threshold_of_zero_is_not_taken_for_none() -> None:
    _, found, _, _ = evaluated()
    assert replace(found.model.learned, threshold=0.0).cut == 0.0
    assert replace(found.model.learned, threshold=None).cut == 0.5
