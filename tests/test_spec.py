"""What the spec accepts, and what it says about everything else."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from lockstep import spec as spec_module
from lockstep.errors import InputError
from lockstep.spec import (
    LOWER_IS_BETTER,
    METRIC_RANGES,
    METRICS_OF_TASK,
    Spec,
    Withheld,
    anatomy,
    column_rules,
    gate_rules,
    read_spec,
    rules,
)
from lockstep.statistics.metrics import METRICS, metrics_for
from worlds import BY_KEY, DROP, EVERY_GATE, MULTICLASS, REGRESSION, TIMELESS, a_spec, spec_text, write_spec

ROOT = Path(__file__).parent.parent


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the error about a changed spec says, without its file name."""
    monkeypatch.chdir(tmp_path)

    def said(overrides: dict[str, Any]) -> str:
        write_spec(tmp_path, overrides)
        with pytest.raises(InputError) as caught:
            read_spec()
        return str(caught.value).replace("params.yaml:", "")

    return said


@pytest.mark.parametrize("overrides", [{}, REGRESSION, MULTICLASS, BY_KEY, TIMELESS, REGRESSION | TIMELESS])
def test_the_worlds_of_the_tests_are_valid(overrides: dict[str, Any]) -> None:
    assert isinstance(a_spec(overrides), Spec)


def test_the_example_is_valid() -> None:
    assert read_spec(ROOT / "params.yaml").project.name == "flight-delays"


def test_keys_are_read_by_their_names_in_the_file() -> None:
    spec = a_spec({"evaluate.threshold": {"precision": 0.6}})
    assert spec.ingest.start == "2024-01-01"
    assert spec.contract.columns["joined"].type == "datetime"
    assert spec.split.by == "time"
    assert spec.evaluate.threshold.precision == 0.6  # type: ignore[union-attr]


def test_a_misspelt_key_names_line_key_value_what_is_allowed_and_the_nearest(said: Any) -> None:
    assert said({"contract.columns.balance.unti": "mile"}) == (
        '21: contract.columns.balance.unti: unknown key (value "mile"). Allowed: about, available, feature, max, min, '
        "missing, private, type, unit. Did you mean `unit`?"
    )


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"project.question": 12}, "3: project.question: 12 is not text. Expected: the question the model answers"),
        ({"project.name": "churn-"}, '2: project.name: "churn-" does not fit. Expected: a short name'),
        ({"project.name": "Our Churn"}, '2: project.name: "Our Churn" does not fit. Expected: a short name'),
        ({"project.question": ""}, "3: project.question: this is empty. Give at least one."),
        ({"train.seed": -1}, "35: train.seed: -1 is out of range: it must be at least 0."),
        ({"train.seed": 1.5}, "35: train.seed: 1.5 is not a whole number."),
        ({"train.folds": 1}, "train.folds: 1 is out of range: it must be at least 2."),
        ({"train.params": [1]}, "train.params: [1] is not a section of keys and values."),
        ({"train.search": {"params": {"max_iter": 3}}}, "train.search.params.max_iter: 3 is not a list."),
        ({"train.search": {"params": {}}}, "train.search.params: this is empty."),
        ({"train.calibrate": "isotnic"}, "Allowed: isotonic, sigmoid. Did you mean `isotonic`?"),
        ({"train": DROP}, "1: train: the key is missing. Add it: what is fitted to the training rows."),
        ({"train.estimator": DROP}, "train.estimator: the key is missing. Add it: import path of a scikit-learn"),
        ({"train.estimator": "RandomForest"}, '"RandomForest" does not fit. Expected: import path'),
        ({"contract.target.task": "binry"}, "Allowed: binary, multiclass, regression. Did you mean `binary`?"),
        ({"contract.target.task": DROP}, "12: contract.target.task: the key is missing."),
        ({"contract.target.positive": [1]}, "contract.target.positive: [1] is not text. Expected: binary: the value"),
        ({"contract.target.known_after": "soon"}, '"soon" does not fit: a duration is a number and a unit: "1 day"'),
        (
            {"contract.columns.age.type": "intger"},
            'contract.columns.age.type: "intger" is not allowed. Allowed: number',
        ),
        ({"contract.columns.age.type": DROP}, "contract.columns.age.type: the key is missing. Add it. Allowed: number"),
        ({"contract.columns.age": 3}, "contract.columns.age: 3 is not a section. Write {type: …} with one of number"),
        ({"contract.columns.age.min": "1"}, 'contract.columns.age.min: "1" is not a whole number.'),
        ({"contract.columns.age.min": True}, "contract.columns.age.min: true is not a whole number."),
        ({"contract.columns.balance.max": float("inf")}, "contract.columns.balance.max: "),
        (
            {"contract.columns.plan.allowed": [1]},
            'contract.columns.plan.allowed[0]: 1 is not text. Write "1" in quotes.',
        ),
        ({"contract.columns.plan.private": "true"}, 'contract.columns.plan.private: "true" is not true or false.'),
        ({"contract.columns.joined.parts": ["mnth"]}, 'contract.columns.joined.parts[0]: "mnth" is not allowed.'),
        ({"contract.columns": {}}, "17: contract.columns: this is empty."),
        ({"contract.columns": [1]}, "17: contract.columns: [1] is not a section of keys and values."),
        ({"ingest.from": "01.02.2024"}, 'expected a quoted date or time without a zone, like "2013-01-01"'),
        ({"ingest.from": "2024-02-30"}, 'ingest.from: "2024-02-30" does not fit: no such date or time'),
        ({"ingest.files": 3}, "ingest.files: 3 is not text. Expected: CSV, parquet or JSON-lines files"),
        ({"ingest.files": []}, "ingest.files: this is empty."),
        ({"ingest.partition": "hour"}, 'ingest.partition: "hour" is not allowed. Allowed: day, week, month'),
        ({"split": DROP}, "1: split: the key is missing. Add it: which rows are held out: by time, key or group."),
        ({"train.seed": 2**32}, "train.seed: 4294967296 is out of range: it must be below 4294967296."),
        ({"split": 3}, "27: split: 3 is not a section. Write {by: …} with one of time, key, group."),
        ({"split": {"holdout": 0.2}}, "27: split.by: the key is missing. Add it. Allowed: time, key, group."),
        ({"split.by": "tme"}, '28: split.by: "tme" is not allowed. Allowed: time, key, group. Did you mean `time`?'),
        ({"split.holdout": 0.2}, "29: split.holdout: 0.2 is not text. Expected: how much of the window's end"),
        ({"split": {"by": "key", "holdout": 2}}, "29: split.holdout: 2 is out of range: it must be below 1."),
        ({"split": {"by": "key", "holdout": 0.2, "gap": "1 day"}}, 'split.gap: unknown key (value "1 day").'),
        ({"evaluate.metrics": ["auc"]}, 'evaluate.metrics[0]: "auc" is not allowed. Allowed: roc_auc'),
        ({"evaluate.metrics": []}, "evaluate.metrics: this is empty."),
        ({"evaluate.threshold": 2}, "evaluate.threshold: 2 is out of range: it must be below 1."),
        ({"evaluate.threshold": "f1"}, 'evaluate.threshold: "f1" is not a number. Expected: binary: from which'),
        ({"evaluate.threshold": {"maximise": "f2"}}, 'evaluate.threshold.maximise: "f2" is not allowed. Allowed: f1'),
        ({"evaluate.threshold": {"precison": 0.6}}, "Allowed: precision. Did you mean `precision`?"),
        ({"evaluate.threshold": {"recall": 3}}, "evaluate.threshold.recall: 3 is out of range"),
        ({"gates": {"quarantined": 0.1}}, 'gates: {"quarantined": 0.1} is not a list. Expected: what a change must'),
        ({"gates": ["quarantined"]}, 'gates[0]: "quarantined" is not a section of keys and values.'),
        ({"gates": [{}]}, "gates[0].metric: the key is missing. Add it: one of evaluate.metrics."),
        ({"gates": [{"metrc": "brier", "at_most": 1}]}, "gates[0].metrc: unknown key (value "),
        ({"gates": [{"metric": "auc", "at_least": 1}]}, 'gates[0].metric: "auc" is not allowed. Allowed: roc_auc'),
        ({"gates": [{"metric": "roc_auc", "againts": "dummy"}]}, "slice, tolerance, unsure. Did you mean `against`?"),
        (
            {"gates": [{"metric": "roc_auc", "against": "champoin"}]},
            (
                'gates[0].against: "champoin" does not fit: name champion, dummy, linear, or a released tag such as '
                "v1.2.0 or flights@v1.2.0. Did you mean `champion`?"
            ),
        ),
        ({"gates": [{"metric": "roc_auc", "against": "1.2.0"}]}, "flights@v1.2.0. Did you mean `v1.2.0`?"),
        ({"gates": [{"metric": "roc_auc", "against": "v1.2"}]}, '"v1.2" does not fit: name champion'),
        ({"gates": [{"metric": "roc_auc", "against": "--upload-pack=x@v1.2.0"}]}, "does not fit: name champion"),
        (
            {"gates": [{"metric": "roc_auc", "against": "champion", "tolerance": -0.1}]},
            "gates[0].tolerance: -0.1 is out of range: it must be at least 0.",
        ),
        (
            {"gates": [{"metric": "roc_auc", "against": "champion", "at_least": 0.6}]},
            "gates[0].at_least: this does not belong here (value 0.6): a comparison has a `tolerance`. Write the",
        ),
        (
            {"gates": [{"metric": "roc_auc", "at_least": 0.6, "slice": "plan"}]},
            'gates[0].slice: this does not belong here (value "plan"): slices belong to a comparison',
        ),
        (
            {"gates": [{"metric": "roc_auc", "against": "dummy", "unsure": "ok"}]},
            'gates[0].unsure: "ok" is not allowed. Allowed: pass, refuse.',
        ),
        ({"gates": [{"cost": "model_mb", "at_most": 2}]}, "Allowed: model_megabytes, predict_p50_ms, predict_1000_ms."),
        ({"gates": [{"cost": "model_megabytes"}]}, "gates[0].at_most: the key is missing. Add it: in the unit that"),
        ({"gates": [{"cost": "model_megabytes", "at_most": 0}]}, "at_most: 0 is out of range: it must be above 0."),
        ({"gates": [{"quarantned": 0.1}]}, "Did you mean `quarantined`?"),
        ({"gates": [{"quarantined": 1}]}, "gates[0].quarantined: 1 is out of range: it must be below 1."),
        ({"gates": [{"contract": "any"}]}, 'gates[0].contract: "any" is not allowed. Allowed: compatible.'),
        ({"gates": [{"fairness": "tpr", "at_most": 0.1}]}, "gates[0].slice: the key is missing. Add it: one of"),
    ],
)
def test_a_value_that_does_not_fit_is_named(overrides: dict[str, Any], sentence: str, said: Any) -> None:
    text = said(overrides)
    assert sentence in text
    assert "Input should" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"ingest.source": "json:loads"}, "ingest.files: rows come from `source` or from `files`, not from both."),
        ({"ingest.files": DROP}, "4: ingest: rows come from nowhere. Add `source: module:function` or `files: …`."),
        ({"ingest.from": DROP}, "4: ingest: `from` is missing: with `contract.time` the rows of a window are read."),
        (TIMELESS | {"ingest.until": "2025-01-01"}, "ingest.until: a window needs a time column."),
        ({"ingest.until": "2024-01-01"}, 'ingest.until: the window is empty: "2024-01-01" is not after `from`'),
        ({"contract.key": ["custmer"]}, "Did you mean `customer`?"),
        ({"contract.key": ["left"]}, 'contract.key[0]: "left" is the target. Name another column.'),
        ({"contract.key": ["plan", "region"]}, "missing: `region` is a column of the key and may never be missing."),
        ({"contract.key": ["customer", "customer"]}, 'contract.key[1]: "customer" is given twice. Delete one.'),
        ({"contract.time": "joind"}, 'contract.time: "joind" is not a column of the contract.'),
        ({"contract.time": "plan"}, 'contract.columns.plan.type: "category" cannot be the time column.'),
        (
            {"contract.key": ["customer"], "contract.columns.joined.missing": "allowed"},
            "`joined` is the time column and may never be missing.",
        ),
        ({"contract.key": ["customer"], "contract.columns.joined.private": True}, "the time column cannot be private"),
        ({"contract.columns.left": {"type": "boolean"}}, "contract.columns.left: this is the target"),
        ({"contract.columns._key": {"type": "number"}}, 'contract.columns._key: names that begin with "_" are kept'),
        ({"contract.target.column": "_left"}, 'contract.target.column: names that begin with "_" are kept'),
        ({"contract.target.column": " "}, "contract.target.column: a column needs a name."),
        ({"contract.target.positive": DROP}, "contract.target: `positive` is missing"),
        (
            MULTICLASS | {"contract.target.positive": "a"},
            "contract.target.positive: only a binary target has a positive value, and this one is multiclass.",
        ),
        (TIMELESS | {"contract.target.known_after": "1 day"}, "known_after: this needs a time column."),
        ({"evaluate.primary": "f1"}, 'primary: "f1" is not among `evaluate.metrics` (roc_auc, log_loss, brier).'),
        ({"evaluate.metrics": ["roc_auc", "rmse"]}, 'metrics[1]: "rmse" does not suit a binary task. Allowed: roc_auc'),
        ({"evaluate.metrics": ["roc_auc", "roc_auc"]}, 'evaluate.metrics[1]: "roc_auc" is given twice.'),
        ({"evaluate.slices": ["plan", "plan"]}, 'evaluate.slices[1]: "plan" is given twice.'),
        ({"evaluate.slices": ["plam"]}, "Did you mean `plan`?"),
        ({"evaluate.slices": ["balance"]}, "`balance` is a number column; slices are category, boolean or integer."),
        ({"contract.columns.region.private": True}, "slices[1]: `region` is private, and reports show the values"),
        (MULTICLASS | {"evaluate.threshold": 0.5}, "only a binary task has a threshold, and this one is multiclass."),
        (REGRESSION | {"train.calibrate": "isotonic"}, "a regression has no probabilities to calibrate."),
        ({"train.params.random_state": 3}, "the seed is given by `train.seed` (value 3). Delete it here."),
        ({"train.search": {"params": {"random_state": [1, 2]}}}, "train.search.params.random_state: the seed is given"),
        ({"train.search": {"params": {"learning_rate": [0.1]}}}, "`learning_rate` is fixed in `train.params` as well."),
        ({"train.search": {"params": {"max_iter": [1, 2, 1]}}}, "train.search.params.max_iter[2]: 1 is given twice."),
        ({"ingest.files": ["a.csv", "a.csv"]}, 'ingest.files[1]: "a.csv" is given twice.'),
        ({"contract.columns.plan.allowed": ["free", "free"]}, 'plan.allowed[1]: "free" is given twice.'),
        ({"contract.columns.joined.parts": ["hour", "hour"]}, 'joined.parts[1]: "hour" is given twice.'),
        ({"contract.columns.age.min": 130}, "contract.columns.age.min: 130 is above `max`, 120."),
        (
            {"contract.columns.joined.min": "2024-05-01 06:00", "contract.columns.joined.max": "2024-05-01"},
            'joined.min: "2024-05-01 06:00" is above `max`, "2024-05-01".',
        ),
        ({"contract.columns.visits.max": 2**24 + 1}, "visits.max: 16777217 is beyond 16777216 (2^24)"),
        ({"contract.columns.visits.allowed": [1, -(2**25)]}, "visits.allowed[1]: -33554432 is beyond"),
        ({"contract.columns.age.private": True}, "age.private: golden rows and logs leave a private column out"),
        (
            {"contract.columns.mail": {"type": "category", "private": True, "missing": "allowed", "allowed": ["a"]}},
            "mail.allowed: labels of a private column would stand in git",
        ),
        (
            {"contract.columns.customer": {"type": "category", "private": True}},
            "customer.private: a private column of the key may not be seen by the model. Write `feature: false`.",
        ),
        (TIMELESS | {"split": {"by": "time", "holdout": "1 day"}}, "split.by: a split by time needs a time column."),
        ({"split.holdout": "12 months"}, "leaves no training rows before a holdout of 12 months and a gap of 1 day."),
        (
            {"split.holdout": "11 months", "split.gap": "1 month"},
            "leaves no training rows before a holdout of 11 months",
        ),
        ({"split.holdout": "9000 years"}, "leaves no training rows before a holdout of 9000 years"),
        ({"split.holdout": "0 days"}, '"0 days" holds nothing out.'),
        ({"split": {"by": "group", "column": "plam", "holdout": 0.2}}, 'split.column: "plam" is not a column'),
        (
            {"split": {"by": "group", "column": "region", "holdout": 0.2}},
            "`region` is the groups' column and may never",
        ),
        (
            {"contract.columns": {"customer": {"type": "category", "feature": False}, "joined": {"type": "datetime"}}}
            | {"evaluate.slices": []},
            "contract.columns: no column is left for the model",
        ),
        (
            {"gates": [{"metric": "f1", "at_least": 0.5}]},
            'gates[0].metric: "f1" is not among `evaluate.metrics` (roc_auc, log_loss, brier). Add it there: what is',
        ),
        ({"gates": [{"metric": "rmse", "against": "dummy"}]}, 'metric: "rmse" does not suit a binary task. Allowed:'),
        (
            {"gates": [{"metric": "roc_auc"}]},
            "40: gates[0]: this asks nothing of roc_auc. Add `at_least: …`, or `against: champion`.",
        ),
        ({"gates": [{"metric": "brier", "at_least": 0.1, "at_most": 0.2}]}, "gates[0].at_least: one gate asks one th"),
        (
            {"gates": [{"metric": "log_loss", "at_least": 0.3}]},
            "gates[0].at_least: log_loss is better when lower, so this would refuse the better model. Write `at_most`.",
        ),
        ({"gates": [{"metric": "roc_auc", "at_most": 0.9}]}, "roc_auc is better when higher, so this would refuse"),
        (
            {"gates": [{"metric": "roc_auc", "at_least": 65}]},
            "gates[0].at_least: 65 is out of range: roc_auc reaches from 0 to 1. Write one above 0.",
        ),
        ({"gates": [{"metric": "brier", "at_most": 2}]}, "gates[0].at_most: 2 is out of range: brier reaches from 0"),
        (
            {"gates": [{"metric": "roc_auc", "against": "champion", "tolerance": 1}]},
            "gates[0].tolerance: 1 asks nothing: roc_auc reaches from 0 to 1. Write a smaller one.",
        ),
        (
            {"gates": [{"metric": "roc_auc", "against": "champion", "slice": "plam"}]},
            (
                'gates[0].slice: "plam" is not a column of the contract. `evaluate.slices` has plan, region. '
                "Did you mean `plan`?"
            ),
        ),
        (
            {"gates": [{"fairness": "fpr", "slice": "newsletter", "at_most": 0.1}]},
            'gates[0].slice: "newsletter" is not among `evaluate.slices`. Add it there: what is judged is shown.',
        ),
        (REGRESSION | {"gates": [{"calibration": 0.1}]}, "a regression has no probabilities to calibrate. Delete the"),
        (
            MULTICLASS | {"gates": [{"fairness": "tpr", "slice": "plan", "at_most": 0.1}]},
            "gates[0].fairness: rates of positives and negatives need a binary task, and this one is multiclass.",
        ),
        (
            {"gates": [{"quarantined": 0.1}, {"contract": "compatible"}, {"quarantined": 0.2}]},
            "gates[2]: `gates[0]` asks the same. Keep the stricter of the two.",
        ),
        (
            {"gates": [{"metric": "brier", "against": "dummy", "tolerance": t} for t in (0, 0.1)]},
            "gates[1]: `gates[0]` asks the same.",
        ),
    ],
)
def test_a_rule_between_sections_is_told(overrides: dict[str, Any], sentence: str, said: Any) -> None:
    text = said(overrides)
    assert sentence in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "overrides",
    [
        {"contract.columns.flown": {"type": "integer", "feature": False, "max": 10**12}},
        {"contract.columns.flown": {"type": "datetime"}},
        {"contract.columns.income": {"type": "number", "private": True, "missing": "allowed"}},
        {"contract.columns.income": {"type": "number", "private": True, "feature": False}},
        {"contract.columns.customer.private": True},
        {"evaluate.slices": ["newsletter", "visits", "cancelled_calls"]},
        {"split": {"by": "group", "column": "customer", "holdout": 0.2}},
        {"split.holdout": "11 months", "split.gap": "2 weeks"},
        {"contract.columns.plan.allowed": ["1", "01"]},
        {"train.search": {"params": {"max_depth": [1, None], "warm_start": [True, 1]}, "trials": 3}},
        {"ingest.files": ["a.csv", "s3://bucket/b/"]},
        {"contract.target.positive": "yes"},
        {"contract.target.positive": 1},
        {"gates": EVERY_GATE},
        {"gates": []},
        REGRESSION | {"gates": [{"metric": "mae", "at_most": 500}, {"metric": "rmse", "against": "linear"}]},
        MULTICLASS | {"gates": [{"calibration": 0.1}, {"metric": "accuracy", "against": "dummy", "slice": "plan"}]},
        {"gates": [{"metric": "brier", "against": "dummy"} | more for more in ({}, {"unsure": "pass"})]},
        {"gates": [{"metric": "roc_auc", "at_least": 0.6, "judge": judge} for judge in ("estimate", "bound")]},
    ],
)
def test_what_is_right_passes(overrides: dict[str, Any]) -> None:
    a_spec(overrides)


def test_every_rule_is_described_in_a_sentence() -> None:
    for rule in (*rules.RULES, *column_rules.COLUMN_RULES, *gate_rules.GATE_RULES):
        assert (rule.__doc__ or "").endswith(".")


def test_all_errors_come_in_one_go_by_line(said: Any) -> None:
    text = said(
        {
            "project.name": "Our Churn",
            "ingest.form": "2024-01-01",
            "ingest.from": DROP,
            "contract.key": ["custmer"],
            "contract.columns.age.type": "intger",
            "contract.columns.visits.min": 9,
            "contract.columns.visits.max": 3,
            "train.params.learning_rat": 0.1,
            "evaluate.primary": "f1",
        }
    )
    head, *lines = text.splitlines()
    assert head == "params.yaml has 7 problems:"
    assert [line.split(": ")[:2] for line in lines] == [
        ["2", "project.name"],
        ["8", "ingest.form"],
        ["10", "contract.key[0]"],
        ["20", "contract.columns.age.type"],
        ["22", "contract.columns.visits.min"],
        ["35", "train.params.learning_rat"],
        ["39", "evaluate.primary"],
    ]


def test_a_refused_scalar_stands_beside_the_other_errors_and_is_told_once(said: Any, tmp_path: Path) -> None:
    text = (
        spec_text({"train.sed": 1})
        .replace('"2024-01-01"', "2024-01-01")
        .replace("learning_rate: 0.1", "learning_rate: 1e-1")
    )
    (tmp_path / "params.yaml").write_text(text.replace('name: "churn"', "name: on"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_spec()
    head, name, start, rate, seed = str(caught.value).replace("params.yaml:", "").splitlines()
    assert head == "params.yaml has 4 problems:"
    assert name.startswith("2: project.name: YAML 1.1 and 1.2 read `on` differently. Write true,")
    assert start == '6: ingest.from: DVC cannot read the unquoted date `2024-01-01`. Write "2024-01-01" in quotes.'
    assert rate.startswith("33: train.params.learning_rate: YAML 1.1 and 1.2 read `1e-1` differently. Write 0.1,")
    assert seed.startswith("36: train.sed: unknown key (value 1).")


@pytest.mark.parametrize("path", ["contract", "train", "ingest", "evaluate", "split", "project", "contract.columns"])
@pytest.mark.parametrize("value", [None, 3, "text", [], {}, {"a": 1}, [{}]])
def test_a_section_of_another_shape_is_an_input_error_and_never_a_bug(path: str, value: Any, said: Any) -> None:
    assert f"{path}" in said({path: value})


PATHS = [
    "project.name", "ingest", "ingest.files", "ingest.from", "ingest.until", "contract.key", "contract.time",
    "contract.target", "contract.target.task", "contract.target.positive", "contract.target.known_after",
    "contract.columns", "contract.columns.plan", "contract.columns.plan.allowed", "contract.columns.joined",
    "contract.columns.joined.parts", "contract.columns.age.min", "contract.columns.age.type", "split", "split.by",
    "split.holdout", "train.estimator", "train.params", "train.search", "train.calibrate", "evaluate.metrics",
    "evaluate.primary", "evaluate.slices", "evaluate.threshold", "gates",
]  # fmt: skip

ANYTHING = st.sampled_from([
    None, True, -1, 0.5, 1.5, "", "time", "1 day", "2024-05-01", "_x", [], {}, ["age"], ["a", "a"], [None], [[1]],
    {"a": 1}, {"": {}}, {"type": "number"}, {"type": ["x"]}, {"type": "datetime", "parts": 3},
    {"by": "key", "holdout": 0.2}, DROP, [{}], [{"metric": "brier"}], [{"cost": None}, {"fairness": []}],
    [{"metric": "rmse", "against": "champion", "slice": "age"}, {"metric": 3, "against": "v1.0.0"}], EVERY_GATE,
])  # fmt: skip


@given(st.dictionaries(st.sampled_from(PATHS), ANYTHING, min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_the_file_gives_a_spec_or_sentences(overrides: dict[str, Any]) -> None:
    kept = {path: value for path, value in overrides.items() if not _covered(path, overrides)}
    with contextlib.suppress(InputError):
        a_spec(kept)


def _covered(path: str, others: dict[str, Any]) -> bool:
    return any(path.startswith(f"{other}.") for other in others)


def test_the_metrics_named_here_are_those_that_exist() -> None:
    for task, ids in METRICS_OF_TASK.items():
        assert sorted(ids) == sorted(metrics_for(task))
    assert {metric for ids in METRICS_OF_TASK.values() for metric in ids} == set(METRICS)
    assert {metric.id: metric.bounds for metric in METRICS.values()} == METRIC_RANGES
    assert {metric.id for metric in METRICS.values() if not metric.higher_is_better} == LOWER_IS_BETTER


def test_a_restricted_spec_holds_what_it_was_given() -> None:
    spec = a_spec()
    part = spec.restricted(("contract", "ingest.from", "evaluate.threshold", "split"))
    assert isinstance(part, Spec)
    assert part.contract == spec.contract
    assert part.ingest.start == "2024-01-01"
    assert part.evaluate.threshold == 0.5
    assert part.split.holdout == "3 months"


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("ingest.until", lambda spec: spec.ingest.until),
        ("ingest.partition", lambda spec: spec.ingest.partition),
        ("train", lambda spec: spec.train.seed),
        ("evaluate", lambda spec: spec.evaluate),
    ],
)
def test_a_restricted_spec_refuses_everything_else_also_what_has_a_default(path: str, read: Any) -> None:
    part = a_spec().restricted(("ingest.from", "contract.time"))
    with pytest.raises(Withheld, match=f"`{path}` is not among the parts of the spec handed over here"):
        read(part)
    with pytest.raises(AttributeError):
        read(part)


def test_restricted_specs_are_equal_when_the_parts_they_hold_are() -> None:
    one, two = a_spec(), a_spec({"evaluate.primary": "brier"})
    assert one.restricted(("contract", "train")) == two.restricted(("train", "contract"))
    assert one.restricted(("contract", "evaluate")) != two.restricted(("contract", "evaluate"))


def test_the_larger_of_two_restrictions_counts() -> None:
    part = a_spec().restricted(("contract.time", "contract"))
    assert part.contract.key == ["customer", "joined"]


@pytest.mark.parametrize("path", ["ingest.form", "trainn", "contract.columns.age", "ingest.start"])
def test_a_restriction_to_what_does_not_exist_is_a_bug(path: str) -> None:
    with pytest.raises(ValueError, match=r"the spec has no|is no section"):
        a_spec().restricted((path,))


def test_the_spec_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        a_spec().train.seed = 3  # type: ignore[misc]


def test_every_key_is_described() -> None:
    sections = [
        value for value in vars(spec_module).values() if isinstance(value, type) and issubclass(value, BaseModel)
    ]
    for section in sections:
        assert section.__doc__
        for key, (_, info) in anatomy.fields(section).items():
            assert info.description or key in ("type", "by"), f"{section.__name__}.{key}"


@pytest.mark.parametrize(
    ("overrides", "place"),
    [
        ({"contract.columns.size": {"type": "number"}}, "contract.columns.size"),
        ({"contract.columns.nfiles": {"type": "number"}}, "contract.columns.nfiles"),
        ({"train.params": {"size": 3}}, "train.params.size"),
    ],
)
def test_a_key_whose_name_dvc_forgets_is_refused(overrides: dict[str, Any], place: str) -> None:
    with pytest.raises(
        InputError, match=rf"{place}: DVC forgets keys named `\w+` when .* stale model. Name the column"
    ):
        a_spec(overrides)
