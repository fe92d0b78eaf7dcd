"""The code that the spec names, read from its source and never run."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import InputError
from lockstep.spec import read_spec, signature
from lockstep.spec.code_index import Modules, NotFound
from lockstep.spec.signature import read_signature
from worlds import DROP, MULTICLASS, REGRESSION, write_spec

SOURCE = {"ingest.files": DROP}


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the error about a changed spec says; `code` becomes src/shop.py."""
    monkeypatch.chdir(tmp_path)

    def said(overrides: dict[str, Any], code: str = "") -> str:
        (tmp_path / "src").mkdir(exist_ok=True)
        (tmp_path / "src" / "shop.py").write_text(code, encoding="utf-8")
        write_spec(tmp_path, overrides)
        try:
            read_spec()
        except InputError as error:
            return str(error)
        return ""

    return said


PRIVATE = {"contract.columns.balance": {"type": "number", "missing": "allowed", "private": True}}


def only(estimator: str, **params: Any) -> dict[str, Any]:
    return {"train.estimator": estimator, "train.params": params}


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            only("sklean.ensemble.Forest"),
            "there is no module `sklean`. Install it, or write it under src/. Did you mean",
        ),
        (only("sklearn.ensembl.Forest"), "`sklearn` has no module `ensembl`. It has: ensemble,"),
        (
            only("sklearn.ensemble.HistGradientBostingClassifier"),
            "`sklearn.ensemble` has no class `HistGradientBostingClassifier`. It has: HistGradientBoostingClassifier,",
        ),
        (only("sklearn.RandomForestClassifier"), "`sklearn` has no class `RandomForestClassifier`."),
        (only("lightgbm.LGBMClassifer"), "Did you mean `LGBMClassifier`?"),
        (only("sklearn.base.clone"), '"sklearn.base.clone" is not a class.'),
        (only("sklearn.ensemble"), '"sklearn.ensemble" is not a class.'),
        (only("sklearn.linear_model.Ridge"), "is a regressor, and the task is binary. Name a classifier, or correct"),
        (only("xgboost.XGBRegressor"), "is a regressor, and the task is binary."),
        (
            REGRESSION | only("lightgbm.LGBMClassifier"),
            '"lightgbm.LGBMClassifier" is a classifier, and the task is regression. Name a regressor',
        ),
        (only("sklearn.svm.LinearSVC"), '"sklearn.svm.LinearSVC" gives no probabilities (predict_proba).'),
        (only("sklearn.preprocessing.StandardScaler"), "predicts nothing. Name a classifier."),
        (
            {"train.params.learning_rat": 0.1},
            "HistGradientBoostingClassifier has no parameter `learning_rat`. Allowed: categorical_features, ",
        ),
        ({"train.params.learning_rat": 0.1}, "params.yaml:35: train.params.learning_rat: "),
        ({"train.params.learning_rat": 0.1}, "Did you mean `learning_rate`?"),
        (
            {"train.search": {"params": {"max_itr": [100, 200]}}},
            "train.search.params.max_itr: HistGradientBoostingClassifier has no parameter `max_itr`.",
        ),
        (only("lightgbm.LGBMClassifier", num_leafs=7), "Did you mean `num_leaves`?"),
        (only("xgboost.XGBClassifier", max_bins=7), "Did you mean `max_bin`?"),
        (only("sklearn.linear_model.LogisticRegression", c=1.0), "LogisticRegression has no parameter `c`."),
        ({"train.params.early_stopping": "auto"}, "params.yaml:35: train.params.early_stopping: "),
        ({"train.params.early_stopping": "auto"}, "makes HistGradientBoostingClassifier hold out shuffled rows."),
        (
            only("sklearn.ensemble.GradientBoostingClassifier", n_iter_no_change=5),
            "train.params.n_iter_no_change: n_iter_no_change = 5 makes GradientBoostingClassifier hold out shuffled",
        ),
        (only("sklearn.neural_network.MLPClassifier", early_stopping=True), "hold out shuffled rows."),
        (
            {"train.search": {"params": {"early_stopping": [False, "auto"]}}},
            "train.search.params.early_stopping: early_stopping = 'auto' makes",
        ),
        (only("xgboost.XGBClassifier", early_stopping_rounds=5), "asks for a validation set, which is not there."),
        (only("lightgbm.LGBMClassifier", early_stopping_round=5), "asks for a validation set, which is not there."),
        (
            only("sklearn.linear_model.LogisticRegressionCV"),
            "LogisticRegressionCV validates on folds of its own, which ignore time and groups. Name the plain",
        ),
        (REGRESSION | only("sklearn.linear_model.RidgeCV"), "RidgeCV validates on folds of its own"),
        (only("sklearn.calibration.CalibratedClassifierCV"), "with `train.search` or `train.calibrate`."),
        (only("sklearn.ensemble.StackingClassifier"), "StackingClassifier validates on folds of its own"),
        (only("sklearn.svm.SVC"), "SVC gives probabilities only with `probability: true`. Add it to `train.params`"),
        (only("sklearn.linear_model.SGDClassifier"), "only with `loss: log_loss` or `loss: modified_huber`."),
        (
            PRIVATE | only("sklearn.neighbors.KNeighborsClassifier"),
            'train.estimator: "sklearn.neighbors.KNeighborsClassifier" keeps training rows in its graph, and with them',
        ),
    ],
)
def test_an_estimator_that_does_not_fit_is_named(overrides: dict[str, Any], sentence: str, said: Any) -> None:
    assert sentence in said(overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        only("sklearn.linear_model.LogisticRegression", C=0.5),
        only("sklearn.ensemble.RandomForestClassifier", n_estimators=10),
        only("sklearn.neighbors.KNeighborsClassifier"),
        only("sklearn.neural_network.MLPClassifier"),
        only("sklearn.naive_bayes.GaussianNB"),
        only("sklearn.svm.SVC", probability=True),
        only("sklearn.linear_model.SGDClassifier", loss="log_loss"),
        only("sklearn.linear_model.SGDClassifier") | {"train.search": {"params": {"loss": ["log_loss", "hinge"]}}},
        {"train.params.early_stopping": True, "train.params.n_iter_no_change": 5},
        PRIVATE | only("sklearn.linear_model.LogisticRegression"),
        only("lightgbm.LGBMClassifier", num_leaves=7, pos_subsample=0.5, colsample_bynode=0.5),
        only("xgboost.XGBClassifier", max_depth=3, eta=0.3),
        MULTICLASS | only("xgboost.XGBRFClassifier"),
        REGRESSION | only("sklearn.linear_model.PoissonRegressor", alpha=0.1),
        REGRESSION | only("lightgbm.LGBMRegressor"),
    ],
)
def test_estimators_of_three_libraries_pass(overrides: dict[str, Any], said: Any) -> None:
    assert said(overrides) == ""


def test_what_the_conversion_needs_must_be_installed(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    find = Modules.spec

    def without_onnxmltools(self: Modules, module: str) -> Any:
        if module == "onnxmltools":
            raise NotFound("", module, [])
        return find(self, module)

    monkeypatch.setattr(Modules, "spec", without_onnxmltools)
    assert "models of lightgbm become ONNX through `onnxmltools`, which is not installed." in said(
        only("lightgbm.LGBMClassifier")
    )
    assert said(only("sklearn.naive_bayes.GaussianNB")) == ""


OWN = """
from sklearn.neighbors import KNeighborsClassifier

class Near(KNeighborsClassifier): ...
from sklearn.ensemble import HistGradientBoostingClassifier as Base
import sklearn.base as sk

class Mine(Base):
    def __init__(self, depth=3, **others):
        super().__init__(**others)

class Bare:
    def __init__(self, depth=3): ...
    def predict(self, x): ...
    def predict_proba(self, x): ...

class Mixed(sk.RegressorMixin, sk.BaseEstimator):
    def predict(self, x): ...

Alias = Mine
"""


def test_own_estimators_are_read_with_their_bases(said: Any) -> None:
    assert said(only("shop.Mine", depth=3, learning_rate=0.1), OWN) == ""
    assert said(only("shop.Alias", depth=3), OWN) == ""
    assert said(only("shop.Bare", depth=3), OWN) == ""
    assert "Mine has no parameter `dept`. Allowed: categorical_features" in said(only("shop.Mine", dept=3), OWN)
    assert "Bare has no parameter `deep`." in said(only("shop.Bare", deep=3), OWN)
    assert "keeps training rows in its graph" in said(PRIVATE | only("shop.Near"), OWN)
    assert '"shop.Mixed" is a regressor' in said(only("shop.Mixed"), OWN)


def test_a_class_that_source_does_not_tell_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "computed_shop.py").write_text(
        "def __getattr__(name):\n"
        "    if name != 'Lazy':\n        raise AttributeError(name)\n"
        "    return type('Lazy', (), {'__init__': lambda self, depth=3: None, 'predict': None})\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert read_signature("computed_shop.Lazy", Modules()).parameters == ("depth",)
    with pytest.raises(NotFound):
        read_signature("computed_shop.Other", Modules())


def test_source_and_import_agree_on_every_estimator_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.utils import all_estimators

    monkeypatch.setattr(signature, "_imported", lambda path: pytest.fail(f"{path} had to be imported"))
    modules = Modules()
    for name, found in all_estimators():
        read = read_signature(f"{found.__module__}.{name}", modules)
        assert list(read.parameters) == list(inspect.signature(found).parameters), name
        assert not read.open
        assert ("predict_proba" in read.methods) == hasattr(found, "predict_proba"), name
        mixins = {base.__name__ for base in found.__mro__}
        if "ClassifierMixin" in mixins:
            assert read.kind == "classifier", name
        elif "RegressorMixin" in mixins:
            assert read.kind == "regressor", name


SHOP = """
from json import loads as renamed

def load(start, end): ...

class Loader: ...

raise RuntimeError("was run")
"""


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("shop:load", ""),
        ("shop:renamed", ""),
        ("shop:laod", "ingest.source: `shop` has no function `laod`. It has: load, renamed. Did you mean `load`?"),
        (
            "shp:load",
            "ingest.source: there is no module `shp`. Install it, or write it under src/. Did you mean `shop`?",
        ),
        ("shop.tables:load", "ingest.source: `shop` has no module `tables`."),
        ("shop:Loader", "ingest.source: `shop:Loader` is a class. Name a function (start, end) -> DataFrame."),
        ("shop.load", 'ingest.source: "shop.load" does not fit. Expected: a function (start, end) -> DataFrame'),
    ],
)
def test_the_source_function_is_looked_for_without_running_it(source: str, sentence: str, said: Any) -> None:
    assert sentence in said(SOURCE | {"ingest.source": source}, SHOP)
    assert bool(sentence) == bool(said(SOURCE | {"ingest.source": source}, SHOP))


def test_reading_a_spec_imports_no_heavy_library(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    code = "import sys; from pathlib import Path; from lockstep.spec import read_spec; read_spec(Path(sys.argv[1]))\n"
    code += "print(sorted({'numpy', 'pandas', 'sklearn', 'dvc'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code, str(path)], text=True, capture_output=True)
    assert done.stdout.strip() == "[]", done.stderr
