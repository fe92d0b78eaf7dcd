"""evaluate: model and holdout → metrics with intervals, slices, curves, golden rows, reference, card."""

from __future__ import annotations

from lockstep.running.process import main
from lockstep.running.stage import Files, Output, Stage
from lockstep.spec import Spec

STAGE = Stage(
    name="evaluate",
    spec=("project", "split", "evaluate"),
    reads={
        "model": "model/model.onnx",
        "linear": "model/linear.onnx",
        "contract": "model/contract.json",
        "record": "model/training.json",
        "training": "data/prepared/training.parquet",
        "holdout": "data/prepared/holdout.parquet",
        "summary": "data/prepared/summary.json",
    },
    writes={
        "golden": Output(path="model/golden.json"),
        "reference": Output(path="model/reference.parquet"),
        "card": Output(path="model/card.md", kind="document"),
        "metrics": Output(path="reports/metrics.json", kind="metric"),
        "slices": Output(path="reports/slices.json", kind="document"),
        "calibration": Output(path="reports/calibration.json", kind="plot"),
        "roc": Output(path="reports/roc.json", kind="plot"),
        "precision_recall": Output(path="reports/precision_recall.json", kind="plot"),
    },
)


def run(spec: Spec, files: Files) -> None:
    """Score the ONNX graph on the holdout and write down what it is worth."""
    import json

    from lockstep import card
    from lockstep.evaluation import evaluate
    from lockstep.models import model
    from lockstep.rows.prepared import read_rows
    from lockstep.rows.tables import write_parquet
    from lockstep.running import console

    folder = files.read("model").parent
    found = evaluate(
        spec,
        model.load(folder),
        model.load_linear(folder),
        training=read_rows(files.read("training")),
        holdout=read_rows(files.read("holdout")),
        summary=json.loads(files.read("summary").read_text(encoding="utf-8")),
    )
    for name, content in found.documents.items():
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        files.write(name).write_text(text + "\n", encoding="utf-8")
    write_parquet(found.reference, files.write("reference"))
    record = json.loads(files.read("record").read_text(encoding="utf-8"))
    files.write("card").write_text(card.render(spec, found, record), encoding="utf-8")
    console.say(card.headline(spec, found))


if __name__ == "__main__":
    raise SystemExit(main(STAGE, run))
