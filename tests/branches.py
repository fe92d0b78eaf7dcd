"""A small repository with branches for the comparison: git, dvc.lock and DVC's cache as the pipeline would leave them.

    branch = Branches(tmp_path)
    branch.build(a_spec(), a_table())        the work tree holds what the stages make of the table; dvc.lock names it
    base = branch.commit("base")             a `Revision`
    branch.build(a_spec(train={"seed": 2}))
    branch.compare(base)

No DVC is run, and the files of equal specs on equal tables are made once for all tests of a process.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import yaml

from lockstep.comparison.compare import compare
from lockstep.comparison.result import Comparison, MetricRow
from lockstep.evaluation import evaluate
from lockstep.lock import fresh
from lockstep.models.fitting import fit
from lockstep.models.model import load, load_linear
from lockstep.revision import Revision, git, resolve
from lockstep.rows.prepared import Preparation, arrow_schema, as_table, quarantine_schema, read_rows
from lockstep.rows.tables import write_parquet
from lockstep.spec import Spec
from small import a_spec, a_table

CACHE = ".dvc/cache/files/md5"
STAGES = {
    "prepare": ("data/prepared", ("training.parquet", "holdout.parquet", "quarantine.parquet", "summary.json")),
    "train": ("model", ("model.onnx", "linear.onnx", "contract.json", "provenance.parquet")),
    "evaluate": ("model", ("golden.json", "reference.parquet")),
}
PATHS = [f"{folder}/{file}" for folder, files in STAGES.values() for file in files]
_BUILT: dict[str, dict[str, bytes]] = {}


class Branches:
    """One work tree in a git repository of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.spec: Spec
        self.stale: list[str] = []
        git(root, "init", "--quiet", "--initial-branch=main")
        (root / ".gitignore").write_text("/data/\n/model/\n/.dvc/\n")

    def build(self, spec: Spec, table: pd.DataFrame) -> None:
        """Make the files of all stages from the raw table, keep them in DVC's cache, write params.yaml and dvc.lock."""
        self.spec = spec
        key = json.dumps(bare(spec)) + table.to_csv()
        if key not in _BUILT:
            self.prepare(spec, table)
            self.train(spec)
            self.evaluate(spec)
            _BUILT[key] = {path: (self.root / path).read_bytes() for path in PATHS}
        for path, content in _BUILT[key].items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(content)
        (self.root / "params.yaml").write_text(yaml.safe_dump(bare(spec), sort_keys=False))
        self.lock()

    def prepare(self, spec: Spec, table: pd.DataFrame) -> None:
        """Write data/prepared."""
        folder = self.root / "data/prepared"
        folder.mkdir(parents=True, exist_ok=True)
        preparation = Preparation(spec)
        made = preparation.sort(table.reset_index(drop=True))
        for name in ("training", "holdout"):
            write_parquet(as_table(getattr(made, name), arrow_schema(spec.contract)), folder / f"{name}.parquet")
        refused = quarantine_schema(list(table.columns))
        write_parquet(as_table(made.quarantine, refused), folder / "quarantine.parquet")
        (folder / "summary.json").write_text(json.dumps(preparation.summary()))

    def train(self, spec: Spec) -> None:
        """Write what train makes of data/prepared."""
        folder = self.root / "model"
        folder.mkdir(exist_ok=True)
        made = fit(spec, read_rows(self.root / "data/prepared/training.parquet"), lambda _: None)
        (folder / "model.onnx").write_bytes(made.graph)
        (folder / "linear.onnx").write_bytes(made.linear)
        (folder / "contract.json").write_text(made.learned.to_json())
        write_parquet(made.provenance, folder / "provenance.parquet")

    def evaluate(self, spec: Spec) -> None:
        """Write what evaluate makes of both."""
        model, prepared = self.root / "model", self.root / "data/prepared"
        found = evaluate(
            spec,
            load(model),
            load_linear(model),
            training=read_rows(prepared / "training.parquet"),
            holdout=read_rows(prepared / "holdout.parquet"),
            summary=json.loads((prepared / "summary.json").read_text()),
        )
        (model / "golden.json").write_text(json.dumps(found.documents["golden"]))
        write_parquet(found.reference, model / "reference.parquet")

    def lock(self) -> None:
        """dvc.lock for the work tree as it is; every output into DVC's cache."""
        params = {
            "ingest.until": self.spec.ingest.until,
            **{key: bare(self.spec)[key] for key in ("contract", "split")},
        }
        stages = {
            name: {
                "cmd": f"python -m lockstep.stages.{name}",
                **({"params": {"params.yaml": params}} if name == "prepare" else {}),
                "outs": [self._out(f"{folder}/{file}") for file in files],
            }
            for name, (folder, files) in STAGES.items()
        }
        text = yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False)
        (self.root / "dvc.lock").write_text(text)

    def _out(self, path: str) -> dict[str, Any]:
        file = self.root / path
        md5 = md5_of(file)
        kept = self.object(md5)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, kept)
        return {"path": path, "hash": "md5", "md5": md5, "size": file.stat().st_size}

    def object(self, md5: str) -> Path:
        """Where DVC's cache has it."""
        return self.root / CACHE / md5[:2] / md5[2:]

    def kept(self, path: str) -> Path:
        """Where DVC's cache has a file of the work tree."""
        return self.object(md5_of(self.root / path))

    def commit(self, message: str = "a commit") -> Revision:
        """Commit everything that git keeps."""
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", "--message", message)
        return resolve(self.root, "HEAD")

    def compare(self, base: Revision | None, **options: Any) -> Comparison:
        """The work tree against a revision; dvc.lock is stale as far as `stale` says."""
        with mock.patch.object(fresh, "stale", return_value=self.stale):
            return compare(self.root, self.spec, base, **options)

    def compared(
        self, before: Spec, after: Spec, *, then: pd.DataFrame | None = None, now: pd.DataFrame | None = None
    ) -> Comparison:
        """The base made of `before` and the table `then`, this branch of `after` and `now`."""
        self.build(before, a_table() if then is None else then)
        base = self.commit("base")
        self.build(after, a_table() if now is None else now)
        return self.compare(base)


WORSE: dict[str, Any] = {"params": {"max_iter": 1}}
"""What makes a model worse: `a_spec(train=WORSE)`."""


def columns(**changes: Any) -> dict[str, Any]:
    """The contract's columns, changed; None takes one away. For `a_spec(contract=columns(…))`."""
    found = bare(a_spec())["contract"]["columns"] | changes
    return {"columns": {name: column for name, column in found.items() if column is not None}}


def values(row: MetricRow) -> Mapping[str, Any]:
    """A metric by who answers."""
    return row.values  # noqa: PD011  (no data frame)


def bare(spec: Spec) -> dict[str, Any]:
    """The spec as params.yaml holds it."""
    return spec.model_dump(mode="json", exclude_none=True, by_alias=True)


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()
