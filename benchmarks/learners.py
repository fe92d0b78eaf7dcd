"""Boosted trees fitted by hand to the prepared training rows, with their makers' usual handling of categories."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import pandas as pd
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from lockstep.models import model
from lockstep.rows.contract import to_columns
from lockstep.rows.prepared import read_rows

PREPARED = Path("data/prepared")
NOT_FEATURES = ["flight", "dep_delay", "late", "_key", "scheduled_departure"]
CATEGORIES = ["carrier", "origin", "destination", "manufacturer"]


def features(rows: pd.DataFrame, like: pd.DataFrame | None = None) -> pd.DataFrame:
    """Numbers as they are, labels as pandas categories, and the parts of the departure."""
    made = rows.drop(columns=NOT_FEATURES)
    for name in CATEGORIES:
        kind = pd.CategoricalDtype(sorted(made[name].dropna().unique())) if like is None else like[name].dtype
        made[name] = made[name].astype(kind)
    when = rows["scheduled_departure"].dt
    return made.assign(month=when.month, weekday=when.weekday, hour=when.hour, minute=when.minute)


def ours() -> float:
    """The ROC AUC of this repository's model on the holdout, unrounded."""
    served, holdout = model.load(Path("model")), read_rows(PREPARED / "holdout.parquet")
    return roc_auc_score(holdout["late"].astype(int), served.predict(to_columns(holdout, served.learned.contract)))


def main() -> None:
    """Print the ROC AUC of each on the holdout, ours first."""
    print(f"this model={ours():.4f}")
    training, holdout = (pd.read_parquet(PREPARED / f"{side}.parquet") for side in ("training", "holdout"))
    x = features(training)
    xh, y, yh = features(holdout, x), training["late"].astype(int), holdout["late"].astype(int)
    for learner in (
        HistGradientBoostingClassifier(random_state=7, categorical_features="from_dtype"),
        HistGradientBoostingClassifier(
            random_state=7,
            learning_rate=0.06,
            max_leaf_nodes=63,
            early_stopping=False,
            categorical_features="from_dtype",
        ),
        lightgbm.LGBMClassifier(random_state=7, n_jobs=1, verbose=-1),
        lightgbm.LGBMClassifier(random_state=7, n_jobs=1, verbose=-1, learning_rate=0.06, num_leaves=63),
        xgboost.XGBClassifier(random_state=7, n_jobs=1, enable_categorical=True),
        xgboost.XGBClassifier(random_state=7, n_jobs=1, enable_categorical=True, learning_rate=0.06, max_depth=7),
    ):
        score = roc_auc_score(yh, learner.fit(x, y).predict_proba(xh)[:, 1])
        tuned = "learning rate 0.06" if 0.06 in learner.get_params().values() else "as it comes"
        print(f"{type(learner).__name__}, {tuned}={score:.4f}")


if __name__ == "__main__":
    main()
