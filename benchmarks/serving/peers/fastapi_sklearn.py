"""FastAPI and the scikit-learn pipeline on a pandas frame, as tutorials do it.

FITTED=FOLDER uvicorn fastapi_sklearn:app --loop uvloop --http httptools --no-access-log
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI
from flight import Flight

model = joblib.load(Path(os.environ["FITTED"]) / "model.joblib")
app = FastAPI()


@app.post("/predict")
async def predict(flight: Flight) -> dict[str, Any]:
    """The probability that a flight is late."""
    frame = pd.DataFrame([flight.model_dump()])
    return {"probability": float(model.predict_proba(frame)[0, 1])}


@app.get("/readyz")
async def ready() -> str:
    """The pipeline is loaded before the first request is read."""
    return "ready"
