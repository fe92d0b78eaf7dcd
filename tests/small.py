"""A small table of customers and the spec for it, for the tests of the pipeline's nouns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lockstep.rows.prepared import Preparation, arrow_schema, as_table
from lockstep.spec import Spec

TARGETS: dict[str, dict[str, Any]] = {
    "binary": {"column": "left", "task": "binary", "positive": "yes"},
    "multiclass": {"column": "plan", "task": "multiclass"},
    "regression": {"column": "spent", "task": "regression"},
}

METRICS = {
    "binary": ["roc_auc", "log_loss"],
    "multiclass": ["log_loss", "accuracy"],
    "regression": ["rmse", "mae"],
}

ESTIMATORS = {
    "binary": "sklearn.ensemble.HistGradientBoostingClassifier",
    "multiclass": "sklearn.ensemble.HistGradientBoostingClassifier",
    "regression": "sklearn.ensemble.HistGradientBoostingRegressor",
}


def a_table(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Customers over four months: two numbers, two categories, gaps, an outcome for each task."""
    random = np.random.default_rng(seed)
    city = random.choice(["Bonn", "Kiel", "Ulm"], rows)
    age = random.normal(45, 12, rows).round(1)
    visits = random.poisson(5, rows)
    device = np.where(random.random(rows) < 0.1, None, random.choice(["phone", "tablet"], rows))
    income = np.where(random.random(rows) < 0.15, np.nan, random.normal(30, 8, rows).round(2))
    score = (age - 45) / 12 + (city == "Kiel") - 0.3 * visits + np.isnan(income) + random.normal(0, 1, rows)
    return pd.DataFrame(
        {
            "customer": np.arange(rows),
            "since": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(np.sort(random.integers(0, 120 * 24, rows)), unit="h"),
            "city": city,
            "device": device,
            "age": age,
            "income": income,
            "visits": visits,
            "email": [f"c{number % 700}@example.org" for number in range(rows)],
            "left": np.where(score > -1, "yes", "no"),
            "plan": np.select([score > 0, score > -2], ["gold", "silver"], "basic"),
            "spent": (50 + 10 * score).round(2),
        }
    )


def a_spec(task: str = "binary", **sections: dict[str, Any]) -> Spec:
    """The spec for it; keyword arguments update whole keys of a section: `train={"seed": 3}`."""
    document: dict[str, Any] = {
        "project": {"name": "customers", "question": "Will this customer leave?"},
        "ingest": {"files": "customers.csv", "from": "2024-01-01", "until": "2024-04-30"},
        "contract": {
            "key": ["customer"],
            "time": "since",
            "target": TARGETS[task],
            "columns": {
                "customer": {"type": "integer", "feature": False},
                "since": {"type": "datetime", "parts": ["weekday", "hour"]},
                "city": {"type": "category"},
                "device": {"type": "category", "missing": "allowed"},
                "age": {"type": "number", "unit": "year"},
                "income": {"type": "number", "missing": "allowed"},
                "visits": {"type": "integer", "min": 0},
                "email": {"type": "category", "private": True, "missing": "allowed"},
            },
        },
        "split": {"by": "time", "holdout": "1 month"},
        "train": {"estimator": ESTIMATORS[task], "params": {"max_iter": 30}, "seed": 1},
        "evaluate": {"metrics": METRICS[task], "primary": METRICS[task][0], "slices": ["city"]},
    }
    for section, changes in sections.items():
        document[section] = {**document[section], **changes} if section != "split" else changes
    return Spec.model_validate(document)


def prepare(spec: Spec, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Training rows, holdout and summary, typed as the stage would read them back."""
    preparation = Preparation(spec)
    made = preparation.sort(table)
    summary = preparation.summary()
    return _read_back(spec, made.training), _read_back(spec, made.holdout), summary


def _read_back(spec: Spec, rows: pd.DataFrame) -> pd.DataFrame:
    import tempfile
    from pathlib import Path

    from lockstep.rows.prepared import read_rows
    from lockstep.rows.tables import write_parquet

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        write_parquet(as_table(rows, arrow_schema(spec.contract)), path)
        return read_rows(path)
