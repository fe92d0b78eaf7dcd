"""From training rows to a model's files, for every task and several kinds of estimator."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from lockstep.errors import InputError, Refused
from lockstep.models import estimators, export, training
from lockstep.models.encoding import from_rows
from lockstep.models.fitting import Fitted, fit
from lockstep.models.model import Learned, Model, open_graph
from lockstep.rows.contract import to_columns, to_target
from lockstep.rows.prepared import KEY
from lockstep.spec import AtPrecision, AtRecall, Maximise
from lockstep.statistics.metrics import METRICS
from small import a_spec, a_table, prepare


def without_private(task: str = "binary", **sections: dict[str, Any]) -> Any:
    spec = a_spec(task, **sections)
    columns = {name: column for name, column in spec.contract.columns.items() if not column.private}
    return spec.model_copy(update={"contract": spec.contract.model_copy(update={"columns": columns})})


def silent(_: str) -> None:
    pass


def fitted(task: str = "binary", rows: int = 3000, **sections: dict[str, Any]) -> tuple[Any, Fitted, Any]:
    spec = a_spec(task, **sections)
    learning, holdout, _ = prepare(spec, a_table(rows))
    return spec, fit(spec, learning, silent), holdout


def model_of(made: Fitted) -> Model:
    return Model(made.learned, open_graph(made.graph), made.learned.style, made.learned.calibration)


KINDS = [
    ("binary", "sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 30}),
    ("binary", "sklearn.linear_model.LogisticRegression", {}),
    ("binary", "sklearn.ensemble.RandomForestClassifier", {"n_estimators": 10, "max_depth": 6}),
    ("binary", "sklearn.neural_network.MLPClassifier", {"hidden_layer_sizes": [8], "max_iter": 50}),
    ("binary", "lightgbm.LGBMClassifier", {"n_estimators": 20}),
    ("binary", "xgboost.XGBClassifier", {"n_estimators": 20}),
    ("multiclass", "sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 20}),
    ("multiclass", "sklearn.linear_model.LogisticRegression", {}),
    ("multiclass", "lightgbm.LGBMClassifier", {"n_estimators": 20}),
    ("multiclass", "xgboost.XGBClassifier", {"n_estimators": 20}),
    ("regression", "sklearn.ensemble.HistGradientBoostingRegressor", {"max_iter": 30}),
    ("regression", "sklearn.linear_model.Ridge", {}),
    ("regression", "sklearn.ensemble.ExtraTreesRegressor", {"n_estimators": 10, "max_depth": 6}),
    ("regression", "lightgbm.LGBMRegressor", {"n_estimators": 20}),
    ("regression", "xgboost.XGBRegressor", {"n_estimators": 20}),
]


@pytest.mark.parametrize(("task", "path", "params"), KINDS)
def test_the_graph_of_an_estimator_predicts_better_than_the_dummy(task: str, path: str, params: dict[str, Any]) -> None:
    spec, made, holdout = fitted(task, train={"estimator": path, "params": params})
    model = model_of(made)
    y = to_target(holdout, spec.contract.target, list(made.learned.classes))
    metric = METRICS[spec.evaluate.primary]
    ours = metric(y, model.predict(to_columns(holdout, spec.contract)))
    dummy = metric(y, made.learned.dummy_predictions(len(y)))
    assert ours > dummy if metric.higher_is_better else ours < dummy
    assert made.record["parity"]["share_different"] <= export.TOLERATED


def test_the_linear_baseline_tells_unknown_labels_from_missing_ones() -> None:
    spec, made, _ = fitted(train={"estimator": "sklearn.linear_model.LogisticRegression", "params": {}})
    rows = [
        {"city": "Kiel", "since": "2024-02-01T10:00:00", "age": 40.0, "income": income, "visits": 3, "device": device}
        for income, device in ((30.0, "phone"), (30.0, None), (30.0, "fridge"), (None, "phone"))
    ]
    answers = model_of(made).predict(from_rows(rows, spec.contract))
    assert len(set(np.round(answers, 6))) == 4


def test_provenance_holds_the_sorted_key_hash_of_every_training_row() -> None:
    spec = a_spec()
    learning, _, _ = prepare(spec, a_table(1000))
    made = fit(spec, learning, silent)
    keys = made.provenance["key"].to_numpy()
    assert keys.dtype == np.uint64
    assert (np.diff(keys) > 0).all()
    assert set(keys) == set(learning[KEY])


def test_a_contract_survives_its_file() -> None:
    _, made, _ = fitted(train={"calibrate": "isotonic"}, evaluate={"threshold": {"maximise": "f1"}})
    again = Learned.from_json(made.learned.to_json())
    assert again == made.learned
    assert again.to_json() == made.learned.to_json()


def test_private_labels_are_not_in_the_contract_file() -> None:
    _, made, _ = fitted()
    assert "example.org" not in made.learned.to_json()


@pytest.mark.parametrize("kind", ["isotonic", "sigmoid"])
def test_calibration_mends_probabilities_that_are_too_sure(kind: str) -> None:
    params = {"max_iter": 300, "learning_rate": 0.5, "min_samples_leaf": 2}
    spec, raw, holdout = fitted(train={"params": params})
    _, calibrated, _ = fitted(train={"params": params, "calibrate": kind})
    y = to_target(holdout, spec.contract.target, [])
    columns = to_columns(holdout, spec.contract)
    before, after = (METRICS["brier"](y, model_of(made).predict(columns)) for made in (raw, calibrated))
    assert after < before


def test_calibration_of_several_classes_still_sums_to_one() -> None:
    spec, made, holdout = fitted("multiclass", train={"calibrate": "isotonic"})
    answers = model_of(made).predict(to_columns(holdout, spec.contract))
    np.testing.assert_allclose(answers.sum(axis=1), 1)


def test_a_search_keeps_the_best_of_its_trials_and_records_all() -> None:
    _, made, _ = fitted(train={"search": {"params": {"max_leaf_nodes": [2, 31], "learning_rate": [0.001, 0.1]}}})
    trials = made.record["trials"]
    assert len(trials) == 4
    best = max(trials, key=lambda trial: trial["roc_auc"])
    assert made.record["params"] == best["params"]
    assert best["params"]["learning_rate"] == 0.1


def test_a_search_on_a_loss_keeps_the_lowest() -> None:
    _, made, _ = fitted("regression", train={"search": {"params": {"learning_rate": [0.001, 0.1]}}})
    assert made.record["params"] == {"learning_rate": 0.1}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (0.25, 0.25),
        (Maximise(maximise="f1"), 0.3),
        (Maximise(maximise="accuracy"), 0.5),
        (Maximise(maximise="balanced_accuracy"), 0.5),
        (AtRecall(recall=0.6), 0.5),
        (AtPrecision(precision=0.7), 0.3),
    ],
)
def test_a_threshold_is_what_was_asked_for(wish: Any, expected: float) -> None:
    p = np.array([0.9, 0.5, 0.3, 0.3, 0.1, 0.1])
    y = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    assert training.choose_threshold(wish, p, y) == pytest.approx(expected, abs=2e-5)


def test_a_precision_out_of_reach_is_an_error_that_says_the_highest() -> None:
    with pytest.raises(InputError, match=r"no threshold reaches a precision of 0.9 .* the highest is 0.500"):
        training.choose_threshold(AtPrecision(precision=0.9), np.array([0.9, 0.8]), np.array([0.0, 1.0]))


def test_early_stopping_uses_the_latest_rows_and_a_shuffled_one_is_refused() -> None:
    _, made, _ = fitted(train={"params": {"max_iter": 500, "early_stopping": True, "n_iter_no_change": 5}})
    assert len(made.graph) < len(fitted(train={"params": {"max_iter": 500}})[1].graph)
    with pytest.raises(InputError, match="hold out shuffled rows"):
        fitted(train={"estimator": "sklearn.ensemble.GradientBoostingClassifier", "params": {"n_iter_no_change": 5}})


def test_a_value_that_the_estimator_refuses_is_an_error_in_its_own_words() -> None:
    with pytest.raises(InputError, match=r"refused its parameters.*learning_rate"):
        fitted(train={"params": {"learning_rate": -1.0}})


def test_an_estimator_without_a_conversion_is_an_error() -> None:
    with pytest.raises(InputError, match="cannot be converted to ONNX"):
        fitted("regression", train={"estimator": "sklearn.dummy.DummyRegressor", "params": {}}, rows=400)


def test_a_wrong_conversion_is_refused_with_the_share_of_rows() -> None:
    spec = a_spec()
    learning, _, _ = prepare(spec, a_table(2000))
    made = fit(spec, learning, silent)
    model = model_of(made)
    columns = to_columns(learning, spec.contract)
    y = to_target(learning, spec.contract.target, [])
    x = made.learned.encoding.encode(columns, "codes")
    other = estimators.fit(estimators.build(spec.train, {"max_iter": 3}, made.learned.encoding), x, y)
    with pytest.raises(Refused, match=r"the ONNX graph does not say what .* training rows differ"):
        export.insist_on_parity(other, None, model, x, y, "roc_auc")


def test_a_model_that_says_the_same_of_every_row_is_refused() -> None:
    with pytest.raises(Refused, match="says nearly the same of every row"):
        fitted(train={"params": {"max_iter": 1, "learning_rate": 1e-4}})


def test_a_category_column_with_too_many_labels_is_an_error() -> None:
    table = a_table(3000).assign(city=lambda rows: "city" + rows["customer"].astype(str))
    spec = a_spec()
    learning, _, _ = prepare(spec, table)
    with pytest.raises(InputError, match=r"`city` has 2,2\d\d distinct labels .* 1,000 are allowed"):
        fit(spec, learning, silent)


@pytest.mark.parametrize("style", ["codes", "indicators"])
def test_the_seed_decides_and_nothing_else_does(style: str) -> None:
    train = (
        {"estimator": "sklearn.ensemble.RandomForestClassifier", "params": {"n_estimators": 5}}
        if style == "indicators"
        else {}
    )
    first, again = (fitted(train=train)[1] for _ in range(2))
    assert first.graph == again.graph
    assert first.linear == again.linear
    assert first.learned.to_json() == again.learned.to_json()
    if style == "indicators":
        assert fitted(train={**train, "seed": 2})[1].graph != first.graph


@pytest.mark.parametrize("estimator", ["sklearn.neighbors.KNeighborsClassifier", "sklearn.svm.SVC"])
def test_an_estimator_that_keeps_training_rows_is_refused_beside_a_private_feature(estimator: str) -> None:
    params = {"probability": True} if estimator.endswith("SVC") else {}
    with pytest.raises(InputError, match="keeps training rows in its graph, and with them the private `email`"):
        fitted(train={"estimator": estimator, "params": params}, rows=400)


@pytest.mark.parametrize(
    ("task", "estimator"),
    [
        ("binary", "sklearn.neighbors.KNeighborsClassifier"),
        ("binary", "sklearn.naive_bayes.GaussianNB"),
        ("regression", "sklearn.neighbors.KNeighborsRegressor"),
    ],
)
def test_estimators_that_cannot_read_or_convert_sparse_labels_get_dense_ones(task: str, estimator: str) -> None:
    spec = without_private(task, train={"estimator": estimator, "params": {}})
    made = fit(spec, prepare(spec, a_table(600))[0], silent)
    assert made.record["parity"]["share_different"] == 0


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        ({"estimator": "sklearn.svm.SVC", "params": {}}, "SVC gives probabilities only with `probability: true`"),
        (
            {"estimator": "sklearn.linear_model.SGDClassifier", "params": {}},
            "only with `loss: log_loss` or `loss: modified_huber`",
        ),
        ({"estimator": "sklearn.linear_model.RidgeClassifier", "params": {}}, "gives no probabilities"),
        (
            {"estimator": "xgboost.XGBClassifier", "params": {"booster": "gblinear", "n_estimators": 3}},
            "cannot be converted to ONNX: KeyError",
        ),
        ({"estimator": "sklearn.gaussian_process.GaussianProcessClassifier", "params": {}}, "cannot be converted"),
        ({"estimator": "lightgbm.LGBMClassifier", "params": {"boosting_type": "rf"}}, "refused to learn"),
        ({"params": {"learning_rate": "fast"}}, "refused its parameters .*learning_rate"),
    ],
)
def test_what_cannot_be_served_is_an_error_and_no_traceback(train: dict[str, Any], sentence: str) -> None:
    spec = without_private(train=train)
    with pytest.raises(InputError, match=sentence):
        fit(spec, prepare(spec, a_table(400))[0], silent)


def test_a_value_that_is_refused_ends_a_search_before_its_first_trial() -> None:
    said: list[str] = []
    spec = a_spec(train={"search": {"params": {"learning_rate": [0.1, "fast"]}}})
    with pytest.raises(InputError, match="refused its parameters"):
        fit(spec, prepare(spec, a_table(400))[0], said.append)
    assert said == []


def test_early_stopping_that_a_search_asks_for_is_in_time_order_too(monkeypatch: pytest.MonkeyPatch) -> None:
    early: list[Any] = []
    real = estimators.fit
    monkeypatch.setattr(estimators, "fit", lambda *given: (early.append(len(given) == 4), real(*given))[1])
    fitted(train={"search": {"params": {"early_stopping": [True]}}}, rows=800)
    assert early == [True] * 4 + [False]  # three folds and the fit; the baseline stops by itself


def a_table_where_nobody_leaves_in_march() -> pd.DataFrame:
    table = a_table(2000)
    table.loc[table["since"].between("2024-02-15", "2024-03-31"), "left"] = "no"
    return table


def test_a_threshold_cannot_be_chosen_where_a_class_is_absent() -> None:
    wish = Maximise(maximise="f1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y, missing in ((np.zeros(3), "positive"), (np.ones(3), "negative")):
            with pytest.raises(InputError, match=f"hold no {missing} one. Lower train.folds"):
                training.choose_threshold(wish, np.array([0.1, 0.2, 0.3]), y)


def test_a_search_whose_score_is_undefined_names_the_fold() -> None:
    spec = a_spec(train={"search": {"params": {"learning_rate": [0.1, 0.2]}}})
    with pytest.raises(InputError, match=r"ROC AUC is not defined on fold \d of 3: its rows lack a class"):
        fit(spec, prepare(spec, a_table_where_nobody_leaves_in_march())[0], silent)


def test_what_training_records_is_strict_json() -> None:
    search = {"params": {"missing": [float("nan")], "max_depth": [2, 3]}}
    estimator = {"estimator": "xgboost.XGBClassifier", "params": {"n_estimators": 5}}
    _, made, _ = fitted(train={**estimator, "search": search}, rows=800)
    assert '"missing": "nan"' in json.dumps(made.record, allow_nan=False)


@given(st.data())
def test_a_threshold_keeps_its_promise_on_the_rows_that_chose_it(data: st.DataObject) -> None:
    # Scores with large ties, some closer together than float32 can tell.
    step = data.draw(st.sampled_from([0.1, 1 / 3, 1e-9, 1e-16]))
    scores = [0.2 + step * k for k in data.draw(st.lists(st.integers(0, 2), min_size=2, max_size=30))]
    y = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=len(scores), max_size=len(scores))))
    y[:2] = [0.0, 1.0]
    p = np.array(scores)
    recall = training.choose_threshold(AtRecall(recall=0.6), p, y)
    assert sk.recall_score(y, p >= recall) >= 0.6
    f1 = training.choose_threshold(Maximise(maximise="f1"), p, y)
    assert METRICS["f1"](y, p, f1) == max(METRICS["f1"](y, p, score) for score in scores)
    if step > 1e-6:  # the graph answers in float32
        assert ((p.astype(np.float32) >= f1) == (p >= f1)).all()


def test_a_fit_that_did_not_converge_is_one_sentence_without_a_path() -> None:
    said: list[str] = []
    train = {"estimator": "sklearn.linear_model.LogisticRegression", "params": {"max_iter": 2, "penalty": "l2"}}
    spec = a_spec(train=train, evaluate={"threshold": {"maximise": "f1"}})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(spec, prepare(spec, a_table(800))[0], said.append)
    heard = [text for text in said if text.startswith("warning")]
    assert heard == ["warning: LogisticRegression stopped after 2 iterations before it converged"]
    assert not caught


def test_class_weights_are_written_with_the_classes_numbers_as_text() -> None:
    weighted = {"max_iter": 10, "class_weight": {"0": 1, "1": 20}}
    spec, made, holdout = fitted(train={"params": weighted})
    _, plain, _ = fitted(train={"params": {"max_iter": 10}})
    columns = to_columns(holdout, spec.contract)
    assert model_of(made).predict(columns).mean() > model_of(plain).predict(columns).mean() + 0.1
