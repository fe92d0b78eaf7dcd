"""Champion and challenger on the same rows: the word, and every reason not to give one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from branches import WORSE, Branches, columns, values
from lockstep.comparison.seeds import reach
from lockstep.errors import InputError, Refused
from lockstep.models.model import Model
from small import a_spec, a_table


@pytest.fixture
def branch(tmp_path: Path) -> Branches:
    return Branches(tmp_path)


# --- the word


def test_a_better_model_is_called_better_on_rows_that_neither_learned_from(branch: Branches) -> None:
    found = branch.compared(a_spec(train=WORSE), a_spec())
    assert found.verdict == "better", found
    assert found.primary is not None
    assert found.primary.id == "roc_auc"
    assert found.primary.difference is not None
    assert found.primary.difference.low is not None
    assert found.primary.difference.low > 0
    assert found.why == found.notes == ()
    assert found.rows is not None
    assert (found.rows.kind, found.rows.excluded, found.rows.joined) == ("day", 0, found.rows.compared)
    assert found.champion is not None
    assert found.champion.source == "from DVC's cache"
    assert found.champion.subject == "base"


def test_the_same_change_backwards_is_called_worse(branch: Branches) -> None:
    found = branch.compared(a_spec(), a_spec(train=WORSE))
    assert found.verdict == "worse"
    log_loss = next(row for row in found.metrics if row.id == "log_loss")
    assert log_loss.word == "worse"
    assert not log_loss.higher_is_better


def test_every_metric_has_the_values_of_all_who_answer(branch: Branches) -> None:
    found = branch.compared(a_spec(train=WORSE), a_spec())
    for row in found.metrics:
        assert set(row.values) == {"challenger", "linear", "dummy", "champion"}
        assert row.difference is not None
        assert values(row)["challenger"] - values(row)["champion"] == pytest.approx(row.difference.value)  # type: ignore[operator]


def test_the_same_bytes_are_identical_and_not_a_metric_differs(branch: Branches) -> None:
    found = branch.compared(a_spec(), a_spec())
    assert found.verdict == "identical"
    assert {row.word for row in (*found.metrics, *found.slices)} == {"identical"}
    assert found.metrics
    assert all(row.difference.value == 0 for row in found.metrics if row.difference)


def test_a_contract_with_other_bytes_is_not_identical(branch: Branches) -> None:
    about = columns(age={"type": "number", "unit": "year", "about": "in years"})
    assert branch.compared(a_spec(), a_spec(contract=about)).verdict == "no difference shown"


def test_fewer_than_ten_blocks_are_too_few_to_say(branch: Branches) -> None:
    by_time = {"by": "time", "holdout": "9 days"}
    found = branch.compared(a_spec(train=WORSE, split=by_time), a_spec(split=by_time))
    assert found.verdict == "too few to say"
    assert found.why == ("Too few to say: 9 days, fewer than 10.",)


def test_a_metric_that_is_not_defined_is_not_taken_for_zero(branch: Branches) -> None:
    spec = a_spec(evaluate={"metrics": ["precision", "roc_auc"], "primary": "precision"})
    branch.build(spec, a_table())
    contract = branch.root / "model/contract.json"
    learned = json.loads(contract.read_text())
    contract.write_text(json.dumps(learned | {"threshold": 0.9999999}))
    branch.lock()
    base = branch.commit()
    branch.build(spec, a_table())
    found = branch.compare(base)
    assert found.verdict == "too few to say"
    assert found.primary is not None
    assert values(found.primary)["champion"] is None
    assert found.primary.difference is not None
    assert found.primary.difference.value is None
    assert found.why == ("Precision is not defined on these rows.",)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_are_compared_too(branch: Branches, task: str) -> None:
    found = branch.compared(a_spec(task, train=WORSE), a_spec(task))
    assert found.verdict == "better"
    assert found.exam is not None
    assert len(found.exam.predictions["champion"]) == len(found.exam)


def test_classes_that_only_one_model_knows_are_scored_for_both(branch: Branches) -> None:
    table = a_table()
    renamed = table.assign(
        plan=table["plan"].where(table["since"] < "2024-02-01", table["plan"].replace("gold", "best"))
    )
    found = branch.compared(a_spec("multiclass"), a_spec("multiclass", ingest={"from": "2024-01-01"}),
        then=renamed[renamed["since"] >= "2024-02-01"], now=renamed,
    )  # fmt: skip
    assert found.exam is not None
    assert found.exam.predictions["champion"].shape == found.exam.predictions["challenger"].shape
    np.testing.assert_allclose(found.exam.predictions["champion"].sum(axis=1), 1, rtol=1e-5)
    assert found.exam.predictions["champion"].shape[1] == 4


@pytest.mark.parametrize(
    ("split", "kind"),
    [
        ({"by": "key", "holdout": 0.3}, "day"),
        ({"by": "group", "column": "email", "holdout": 0.3}, "group"),
    ],
)
def test_key_and_group_splits_are_compared_on_their_own_blocks(branch: Branches, split: Any, kind: str) -> None:
    keyless = columns(email={"type": "category", "feature": False})
    before, after = (a_spec(split=split, contract=keyless, train=train) for train in (WORSE, {}))
    found = branch.compared(before, after)
    assert found.verdict == "better"
    assert found.rows is not None
    assert (found.rows.kind, found.rows.excluded) == (kind, 0)


def test_rows_without_a_time_are_their_own_blocks(branch: Branches) -> None:
    timeless = {**columns(since=None), "time": None}
    by_key, window = {"by": "key", "holdout": 0.3}, {"from": None, "until": None}
    found = branch.compared(
        a_spec(contract=timeless, split=by_key, ingest=window, train=WORSE),
        a_spec(contract=timeless, split=by_key, ingest=window),
    )
    assert found.rows is not None
    assert (found.rows.kind, found.rows.span, found.rows.blocks) == ("row", "", found.rows.compared)


# --- no champion


def test_without_a_base_it_is_the_first_model_and_still_gets_its_figures(branch: Branches) -> None:
    branch.build(a_spec(), a_table())
    found = branch.compare(None)
    assert found.verdict == "first model"
    assert found.champion is found.champion_folder is None
    assert all(row.difference is None and row.word == "" for row in found.metrics)
    assert found.exam is not None
    assert set(found.exam.predictions) == {"challenger", "linear", "dummy"}
    assert found.rows is not None
    assert found.rows.compared == len(found.exam)
    assert found.slices == ()


def test_a_base_that_has_no_model_is_no_champion(branch: Branches) -> None:
    base = branch.commit("before the first model")
    branch.build(a_spec(), a_table())
    assert branch.compare(base).verdict == "first model"


# --- another question


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"contract": {"target": {"column": "left", "task": "binary", "positive": "no"}}},
            "`contract.target.positive` changed from yes to no: the two models answer different questions.",
        ),
        (
            {"contract": {"key": ["customer", "since"]}},
            "`contract.key` changed from [customer] to [customer, since]: rows of one are not recognised in the other.",
        ),
        (
            {"split": {"by": "time", "holdout": "3 weeks"}},
            "`split.holdout` changed from 1 month to 3 weeks: the two models hold out different rows.",
        ),
        (
            {"split": {"by": "time", "holdout": "1 month", "gap": "2 days"}},
            "`split.gap` changed from nothing to 2 days: the two models hold out different rows.",
        ),
    ],
)
def test_another_question_is_not_comparable_and_says_what_changed(
    branch: Branches, change: dict[str, Any], sentence: str
) -> None:
    found = branch.compared(a_spec(), a_spec(**change))
    assert found.verdict == "not comparable"
    assert sentence in found.why
    assert found.exam is not None
    assert "champion" not in found.exam.predictions
    assert all(row.difference is None for row in found.metrics)
    assert found.champion is not None
    assert found.champion_folder is not None
    assert (found.champion_folder / "reference.parquet").exists()


def test_a_champion_of_another_task_is_not_comparable(branch: Branches) -> None:
    found = branch.compared(a_spec("regression"), a_spec())
    assert found.verdict == "not comparable"
    assert "`contract.target.task` changed from regression to binary: the two models answer different questions." in (
        found.why
    )


def test_another_salt_is_another_split(branch: Branches) -> None:
    before, after = ({"by": "key", "holdout": 0.3, "salt": salt} for salt in ("", "x"))
    found = branch.compared(a_spec(split=before), a_spec(split=after))
    assert found.why[0] == "`split.salt` changed from nothing to x: the two models hold out different rows."


def test_two_spellings_of_a_duration_are_the_same_split(branch: Branches) -> None:
    found = branch.compared(a_spec(), a_spec(split={"by": "time", "holdout": "1 months"}))
    assert found.verdict == "identical"


# --- the work tree


def test_a_work_tree_that_is_not_built_is_told_how(branch: Branches) -> None:
    branch.build(a_spec(), a_table())
    base = branch.commit()
    (branch.root / "dvc.lock").unlink()
    with pytest.raises(InputError, match="nothing was built here yet. `make repro` builds it"):
        branch.compare(base)


def test_a_model_that_is_not_the_lock_s_is_not_compared(branch: Branches) -> None:
    branch.build(a_spec(), a_table())
    base = branch.commit()
    (branch.root / "model/model.onnx").write_bytes(b"another")
    with pytest.raises(InputError, match=r"model/model.onnx.*is not the file that dvc.lock records"):
        branch.compare(base)


def test_a_lock_that_this_tree_would_not_give_is_not_compared(branch: Branches) -> None:
    branch.build(a_spec(), a_table())
    base = branch.commit()
    branch.stale = ["train: params.yaml `train` changed"]
    with pytest.raises(InputError, match=r"params.yaml `train` changed. Run `make repro` first"):
        branch.compare(base)


def test_a_model_that_learned_from_its_own_holdout_is_never_green(branch: Branches) -> None:
    branch.build(a_spec(), a_table())
    base = branch.commit()
    training = branch.root / "data/prepared/holdout.parquet"
    keys = pd.read_parquet(training)["_key"].sort_values()
    from lockstep.rows.tables import write_parquet

    write_parquet(pd.DataFrame({"key": keys.to_numpy()}), branch.root / "model/provenance.parquet")
    branch.lock()
    for found in (branch.compare(base), branch.compare(None)):
        assert found.verdict == "not comparable"
        assert "This branch's model has learned from" in found.why[0]


def test_nothing_but_data_of_the_base_is_in_the_champion_s_folder(branch: Branches) -> None:
    found = branch.compared(a_spec(train=WORSE), a_spec())
    assert found.champion_folder is not None
    assert {path.suffix for path in found.champion_folder.iterdir()} == {".onnx", ".json", ".parquet"}
    shutil.rmtree(found.champion_folder)


# --- seeds


def test_seeds_print_what_chance_alone_does(branch: Branches) -> None:
    bootstrapped = {
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "params": {"n_estimators": 5, "max_depth": 3},
    }
    branch.build(a_spec(train=bootstrapped), a_table())
    base = branch.commit()
    branch.build(a_spec(train=bootstrapped | {"seed": 2}), a_table())
    said: list[str] = []
    comparison = branch.compare(base, seeds=3, progress=said.append)
    found, primary = comparison.seeds, comparison.primary
    assert found is not None
    assert primary is not None
    assert primary.difference is not None
    assert primary.difference.value is not None
    assert found.within == (abs(primary.difference.value) <= found.reach)
    assert len(set(found.values)) == 3
    assert found.spread == pytest.approx(np.std(found.values, ddof=1))
    assert found.reach == pytest.approx(4.303 * np.sqrt(2) * found.spread, rel=1e-3)
    assert found.metric == "roc_auc"
    assert said == [f"refitting with seed {seed} ({step} of 3)" for step, seed in ((1, 3), (2, 4), (3, 5))]


def test_of_two_fits_that_differ_in_their_seeds_alone_19_in_20_lie_within_reach() -> None:
    random = np.random.default_rng(0)
    for seeds in (2, 3, 5):
        worlds = random.normal(size=(4000, seeds + 2))
        inside = [abs(world[0] - world[1]) <= reach(list(world[2:])) for world in worlds]
        assert 0.94 < np.mean(inside) < 0.96


def test_one_seed_has_no_spread(branch: Branches) -> None:
    branch.build(a_spec(), a_table())
    with pytest.raises(InputError, match="at least 2 seeds, not 1"):
        branch.compare(branch.commit(), seeds=1)


def test_a_seed_that_training_refuses_leaves_the_comparison_standing(
    branch: Branches, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch.build(a_spec(), a_table())
    base = branch.commit()

    def refuse(*_: Any) -> Any:
        raise Refused("the graph does not say what the estimator says")

    monkeypatch.setattr("lockstep.models.fitting.fit", refuse)
    found = branch.compare(base, seeds=2)
    assert found.verdict == "identical"
    assert found.seeds is None
    assert found.notes == ("What another seed alone does is not known: the graph does not say what the estimator says",)


def test_a_challenger_that_answers_nan_is_an_input_error(branch: Branches, monkeypatch: pytest.MonkeyPatch) -> None:
    branch.build(a_spec(), a_table())
    base = branch.commit()
    predict = Model.predict_matrix

    def sometimes(model: Model, matrix: Any) -> Any:
        found = predict(model, matrix)
        found[100:] = np.nan
        return found

    monkeypatch.setattr(Model, "predict_matrix", sometimes)
    with pytest.raises(InputError, match=r"`challenger` gives no number for [\d,]+ of the"):
        branch.compare(base)
