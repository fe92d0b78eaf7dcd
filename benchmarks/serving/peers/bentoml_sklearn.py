"""BentoML as its quickstart shows it, with the scikit-learn pipeline.

FITTED=FOLDER bentoml serve bentoml_sklearn:FlightDelays
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml
import joblib
import pandas as pd
from flight import Flight


@bentoml.service(resources={"cpu": "1"}, traffic={"timeout": 30}, workers=1)
class FlightDelays:
    """The service of a tutorial."""

    def __init__(self) -> None:
        self.model = joblib.load(Path(os.environ["FITTED"]) / "model.joblib")

    @bentoml.api
    def predict(self, flight: Flight) -> dict[str, Any]:
        """The probability that a flight is late."""
        frame = pd.DataFrame([flight.model_dump()])
        return {"probability": float(self.model.predict_proba(frame)[0, 1])}
