"""The limit: ASGI, orjson and the bare graph. No check of anything, one answer to one path.

MODEL=model uvicorn bare_asgi:app --loop uvloop --http httptools --no-access-log
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

FOLDER = Path(os.environ["MODEL"])
FEATURES = [
    (feature["column"], feature["type"], {label: float(code) for code, label in enumerate(feature["labels"])})
    for feature in json.loads((FOLDER / "contract.json").read_text())["features"]
]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
SESSION = onnxruntime.InferenceSession(str(FOLDER / "model.onnx"), options, providers=["CPUExecutionProvider"])
INPUT, OUTPUT = SESSION.get_inputs()[0].name, [SESSION.get_outputs()[-1].name]
TYPE = (b"content-type", b"application/json")


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """One row in, its probability out."""
    if scope["type"] != "http":
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    answer = predicted(orjson.loads(body)) if scope["method"] == "POST" else b"ready"
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [TYPE, (b"content-length", b"%d" % len(answer))],
        }
    )
    await send({"type": "http.response.body", "body": answer})


def predicted(row: dict[str, Any]) -> bytes:
    """The answer to a row that is believed to be whole."""
    values: list[float | None] = []
    for name, kind, codes in FEATURES:
        value = row[name]
        if kind == "category":
            values.append(codes.get(value, math.nan))
        elif kind == "datetime":
            when = datetime.fromisoformat(value)
            values += (when.month, when.weekday(), when.hour, when.minute)
        else:
            values.append(math.nan if value is None else value)
    score = SESSION.run(OUTPUT, {INPUT: np.array([values], dtype=np.float32)})[0]
    return orjson.dumps({"probability": float(score[0, 1])})


gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 100)
