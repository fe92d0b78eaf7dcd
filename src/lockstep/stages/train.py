"""train: training rows → ONNX graph, contract, provenance."""

from __future__ import annotations

from lockstep.running.process import main
from lockstep.running.stage import Files, Output, Stage
from lockstep.spec import Spec

STAGE = Stage(
    name="train",
    spec=("contract", "split", "train", "evaluate.primary", "evaluate.threshold"),
    reads={"training": "data/prepared/training.parquet"},
    writes={
        "model": Output(path="model/model.onnx"),
        "linear": Output(path="model/linear.onnx"),
        "contract": Output(path="model/contract.json"),
        "provenance": Output(path="model/provenance.parquet"),
        "training": Output(path="model/training.json"),
    },
)


def run(spec: Spec, files: Files) -> None:
    """Fit, export, compare; nothing is written unless the graph agrees with the estimator."""
    import json

    from lockstep.models.fitting import fit
    from lockstep.rows.prepared import read_rows
    from lockstep.rows.tables import write_parquet
    from lockstep.running import console

    fitted = fit(spec, read_rows(files.read("training")), console.say)
    files.write("model").write_bytes(fitted.graph)
    files.write("linear").write_bytes(fitted.linear)
    files.write("contract").write_text(fitted.learned.to_json(), encoding="utf-8")
    write_parquet(fitted.provenance, files.write("provenance"))
    record = json.dumps(fitted.record, indent=1, sort_keys=True, allow_nan=False)
    files.write("training").write_text(record + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main(STAGE, run))
