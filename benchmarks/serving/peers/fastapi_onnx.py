"""FastAPI and ONNX Runtime with hand-written validation: the strong peer, frozen so that no change can flatter us.

What a careful engineer writes for this one model who wants it fast: uvicorn on uvloop and httptools, orjson, the body
read by hand rather than through a model of the request, codes looked up in dictionaries, the bare graph on one thread,
the garbage collector frozen after loading. It checks every column as the contract does and names every bad cell. It
has no metrics, no prediction log, no request ids and knows no second model.

    MODEL=model uvicorn fastapi_onnx:app --loop uvloop --http httptools --no-access-log
"""

from __future__ import annotations

import gc
import json
import math
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, Request, Response

FOLDER = Path(os.environ["MODEL"])
VERSION = "v1.0.0"
NAN = math.nan
CONTRACT = json.loads((FOLDER / "contract.json").read_text())
THRESHOLD = CONTRACT["threshold"]
CODES = {
    feature["column"]: {label: float(code) for code, label in enumerate(feature["labels"])}
    for feature in CONTRACT["features"]
    if feature["labels"]
}
CARRIERS, ORIGINS, DESTINATIONS, MANUFACTURERS = (
    CODES[name] for name in ("carrier", "origin", "destination", "manufacturer")
)
AIRPORTS = frozenset({"EWR", "JFK", "LGA"})
# name, least, most, whole numbers only, may be missing; in the graph's order, before and after the manufacturer.
INFINITY = math.inf
NUMBERS = (
    ("scheduled_arrival", 0, 1440, True, False),
    ("distance", 0, INFINITY, False, False),
    ("temperature", -60, 130, False, True),
    ("dew_point", -80, 100, False, True),
    ("humidity", 0, 100, False, True),
    ("wind_direction", 0, 360, False, True),
    ("wind_speed", 0, 200, False, True),
    ("wind_gust", 0, 250, False, True),
    ("precipitation", 0, INFINITY, False, True),
    ("pressure", 850, 1100, False, True),
    ("visibility", 0, INFINITY, False, True),
    ("aircraft_year", 1940, 2013, True, True),
)
SEATS = ("seats", 1, INFINITY, True, True)
MOST_ROWS = 1000

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
SESSION = onnxruntime.InferenceSession(str(FOLDER / "model.onnx"), options, providers=["CPUExecutionProvider"])
INPUT, OUTPUT = SESSION.get_inputs()[0].name, [SESSION.get_outputs()[-1].name]

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


def number(row: dict[str, Any], rule: tuple[str, float, float, bool, bool], at: int, bad: list[Any]) -> float:
    """The number of a column, NaN where it is missing; what breaks the contract is added to `bad`."""
    name, least, most, whole, may_miss = rule
    value = row.get(name)
    if value is None:
        if not may_miss:
            bad.append({"row": at, "column": name, "value": None, "rule": "must be there"})
        return NAN
    kind = type(value)
    if kind is not int and (kind is not float or (whole and not value.is_integer())):
        bad.append({"row": at, "column": name, "value": value, "rule": "a whole number" if whole else "a number"})
        return NAN
    if not least <= value <= most:
        bad.append({"row": at, "column": name, "value": value, "rule": f"from {least} to {most}"})
    return value


def label(row: dict[str, Any], name: str, codes: dict[str, float], at: int, bad: list[Any]) -> float:
    """The code of a label that must be there, NaN where training never saw it."""
    value = row.get(name)
    if type(value) is not str or not value:
        bad.append({"row": at, "column": name, "value": value, "rule": "a text that must be there"})
        return NAN
    return codes.get(value, NAN)


def encoded(row: Any, at: int, bad: list[Any]) -> list[float]:
    """A row as the graph reads it: codes, parts of the moment, numbers."""
    if type(row) is not dict:
        bad.append({"row": at, "rule": "an object of columns"})
        return []
    if row.get("origin") not in AIRPORTS:
        bad.append({"row": at, "column": "origin", "value": row.get("origin"), "rule": "one of EWR, JFK, LGA"})
    values = [
        label(row, "carrier", CARRIERS, at, bad),
        label(row, "origin", ORIGINS, at, bad),
        label(row, "destination", DESTINATIONS, at, bad),
    ]
    text = row.get("scheduled_departure")
    try:
        when = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        bad.append({"row": at, "column": "scheduled_departure", "value": text, "rule": "a moment, ISO 8601"})
    else:
        values += (when.month, when.weekday(), when.hour, when.minute)
    values += [number(row, rule, at, bad) for rule in NUMBERS]
    maker = row.get("manufacturer")
    if maker is not None and type(maker) is not str:
        bad.append({"row": at, "column": "manufacturer", "value": maker, "rule": "a text"})
        maker = None
    values.append(MANUFACTURERS.get(maker, NAN))
    values.append(number(row, SEATS, at, bad))
    return values


def refused(message: str, problems: list[Any], status: int = 400) -> Response:
    """What breaks the contract, all of it."""
    body = orjson.dumps({"error": message, "problems": problems[:100]})
    return Response(body, status, media_type="application/json")


@app.post("/predict")
async def predict(request: Request) -> Response:
    """One row or a list of up to 1,000."""
    try:
        sent = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        return refused(f"not JSON: {error}", [])
    rows = sent if type(sent) is list else [sent]
    if not 1 <= len(rows) <= MOST_ROWS:
        return refused("from 1 to 1,000 rows", [])
    bad: list[Any] = []
    matrix = [encoded(row, at, bad) for at, row in enumerate(rows)]
    if bad:
        return refused("the row breaks the contract", bad)
    scores = SESSION.run(OUTPUT, {INPUT: np.array(matrix, dtype=np.float32)})[0][:, 1].tolist()
    answers = [
        {"label": score >= THRESHOLD, "probability": score, "threshold": THRESHOLD, "version": VERSION}
        for score in scores
    ]
    return Response(orjson.dumps(answers if rows is sent else answers[0]), media_type="application/json")


@app.get("/readyz")
async def ready() -> Response:
    """The graph is loaded before the first request is read."""
    return Response(b"ready")


gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 100)
