"""Many rows as one script by hand: pyarrow reads, codes are looked up column by column, the bare graph answers on one
thread, pyarrow writes. It checks nothing.

    python batch_onnx.py MODEL IN.parquet OUT.parquet [whole]

OUT holds the predictions, and with `whole` the columns of IN before them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS = 65_536
FROM_MONDAY = 3  # 1970-01-01 was a Thursday


def moment(values: np.ndarray) -> list[np.ndarray]:
    """Month, weekday, hour and minute."""
    months, days, minutes = (values.astype(f"datetime64[{unit}]").astype(np.int64) for unit in "MDm")
    return [months % 12 + 1, (days + FROM_MONDAY) % 7, minutes // 60 % 24, minutes % 60]


def encoded(batch: pa.RecordBatch, features: list[dict[str, Any]]) -> np.ndarray:
    """The matrix that the graph reads."""
    parts: list[np.ndarray] = []
    for feature in features:
        values = batch.column(feature["column"])
        if feature["labels"]:
            codes = pc.index_in(values, pa.array(feature["labels"], values.type))
            parts.append(pc.cast(codes, pa.float32()).to_numpy(zero_copy_only=False))
        elif feature["parts"]:
            parts += moment(values.to_numpy(zero_copy_only=False))
        else:
            parts.append(values.to_numpy(zero_copy_only=False))
    matrix = np.empty((len(batch), len(parts)), np.float32)
    for position, part in enumerate(parts):
        matrix[:, position] = part
    return matrix


def main(model: Path, source: Path, target: Path, *whole: str) -> None:
    """Score a file."""
    contract = json.loads((model / "contract.json").read_bytes())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model / "model.onnx"), options)
    given, asked = session.get_inputs()[0].name, [session.get_outputs()[-1].name]
    file = pq.ParquetFile(source)
    columns = None if whole else [feature["column"] for feature in contract["features"]]
    before = file.schema_arrow if whole else pa.schema([])
    schema = pa.schema([*before, ("label", pa.bool_()), ("probability", pa.float32())])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in file.iter_batches(ROWS, columns=columns):
            scores = session.run(asked, {given: encoded(batch, contract["features"])})[0][:, 1]
            kept = batch.columns if whole else []
            made = [*kept, pa.array(scores >= contract["threshold"]), pa.array(scores)]
            writer.write_batch(pa.record_batch(made, schema))


if __name__ == "__main__":
    pa.set_cpu_count(1)
    main(*map(Path, sys.argv[1:4]), *sys.argv[4:])
