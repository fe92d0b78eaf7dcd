"""The same estimator behind scikit-learn's own column handling, as a team without Lockstep would keep it: one pickle.

    python pipeline.py TRAINING.parquet PARAMS.json FOLDER

fits it and writes FOLDER/model.joblib and, where MLflow is installed, FOLDER/mlflow. It runs in a peer's environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

LABELS = ["carrier", "origin", "destination", "manufacturer"]
MOMENT = "scheduled_departure"
NUMBERS = [
    "scheduled_arrival",
    "distance",
    "temperature",
    "dew_point",
    "humidity",
    "wind_direction",
    "wind_speed",
    "wind_gust",
    "precipitation",
    "pressure",
    "visibility",
    "aircraft_year",
    "seats",
]


def parts(frame: pd.DataFrame) -> np.ndarray:
    """Month, weekday, hour and minute of the moment, (n, 4)."""
    moments = pd.to_datetime(frame[MOMENT]).dt
    return np.column_stack([moments.month, moments.weekday, moments.hour, moments.minute])


def pipeline(params: dict[str, object]) -> Pipeline:
    """The unfitted pipeline, from a frame of raw columns to a probability."""
    labels = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    columns = ColumnTransformer(
        [
            ("labels", labels, LABELS),
            ("moment", FunctionTransformer(parts), [MOMENT]),
            ("numbers", "passthrough", NUMBERS),
        ]
    )
    # float32 as the graph reads it: on float64 a row at a split's edge would go the other way.
    return make_pipeline(columns, FunctionTransformer(np.float32), HistGradientBoostingClassifier(**params))


def main(training: Path, params: Path, folder: Path) -> None:
    """Fit and write."""
    rows = pd.read_parquet(training)
    fitted = pipeline(json.loads(params.read_bytes()))
    fitted.fit(rows[[*LABELS, MOMENT, *NUMBERS]], rows["late"].astype(bool))
    joblib.dump(fitted, folder / "model.joblib")
    try:
        import mlflow.sklearn
    except ImportError:
        return
    mlflow.sklearn.save_model(
        fitted,
        str(folder / "mlflow"),
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        code_paths=[__file__],
        pip_requirements=[],
    )


if __name__ == "__main__":
    # Pickled functions are found again by the module's name, not by __main__.
    sys.path.insert(0, str(Path(__file__).parent))
    import pipeline as module

    module.main(*map(Path, sys.argv[1:4]))
