"""prepare: raw partitions → training rows, holdout, quarantine."""

from __future__ import annotations

from lockstep.running.process import main
from lockstep.running.stage import Files, Output, Stage
from lockstep.spec import Spec

STAGE = Stage(
    name="prepare",
    spec=("ingest.from", "ingest.until", "contract", "split"),
    reads={"raw": "data/raw"},
    writes={
        "training": Output(path="data/prepared/training.parquet"),
        "holdout": Output(path="data/prepared/holdout.parquet"),
        "quarantine": Output(path="data/prepared/quarantine.parquet"),
        "summary": Output(path="data/prepared/summary.json"),
    },
)


def run(spec: Spec, files: Files) -> None:
    """Sort the raw rows, one partition in memory at a time."""
    import json

    from lockstep.rows.prepared import Preparation, arrow_schema, as_table, column_names, quarantine_schema
    from lockstep.rows.tables import ParquetWriter, read_frame
    from lockstep.running import console
    from lockstep.sources.partitions import read_manifest

    raw = files.read("raw")
    partitions = [partition for partition in read_manifest(raw).partitions if partition.rows]
    preparation = Preparation(spec)
    schema = arrow_schema(spec.contract)
    refused = quarantine_schema(column_names([partition.path(raw) for partition in partitions]))
    with (
        ParquetWriter(files.write("training"), schema) as training,
        ParquetWriter(files.write("holdout"), schema) as holdout,
        ParquetWriter(files.write("quarantine"), refused) as quarantine,
    ):
        for partition in console.track(partitions, "preparing"):
            rows = preparation.sort(read_frame(partition.path(raw)), partition.name)
            training.write(as_table(rows.training, schema))
            holdout.write(as_table(rows.holdout, schema))
            quarantine.write(as_table(rows.quarantine, refused))
    summary = preparation.summary()
    files.write("summary").write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    console.say(preparation.story())
    for finding in summary["findings"]:
        console.say(f"{finding['level']} [{finding['id']}] {finding['message']}")


if __name__ == "__main__":
    raise SystemExit(main(STAGE, run))
