"""A repository with a commit to be the base and a work tree to be the change, of the files that `lockstep report` reads
without a model."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from conftest import lay
from lockstep.revision import Revision, resolve
from lockstep.spec import Spec
from worlds import CUSTOMERS

LOCK: dict[str, Any] = {
    "schema": "2.0",
    "stages": {
        "prepare": {
            "cmd": "p",
            "params": {"params.yaml": {"split": {"by": "time"}}},
            "outs": [{"path": "data/prepared/training.parquet", "md5": "d1"}],
        },
        "train": {
            "cmd": "t",
            "deps": [{"path": "data/prepared/training.parquet", "md5": "d1"}],
            "params": {"params.yaml": {"train": {"seed": 1}}, "versions.toml": {"numpy": "2.4.5"}},
            "outs": [{"path": "model/model.onnx", "md5": "m1"}],
        },
    },
}
ROWS = {"rows": 100, "training": 70, "holdout": 20, "gap": 0, "unlabelled": 5, "quarantine": 5}
METRICS: dict[str, Any] = {"data": {**ROWS, "blocks": 9, "block": "week"}, "quarantine": {"age:min": 5}}
SUMMARY: dict[str, Any] = {"rows": ROWS, "quarantine": {"age:min": 5}}
VERSIONS = 'python = "3.11"\nattrs = "1"\nnumpy = "2.4.5"\n'

FILES: dict[str, str] = {
    "params.yaml": yaml.safe_dump(CUSTOMERS, sort_keys=False),
    "dvc.lock": yaml.safe_dump(LOCK, sort_keys=False),
    "versions.toml": VERSIONS,
    "reports/metrics.json": json.dumps(METRICS),
    "Makefile": "help:\n",
    ".github/workflows/test.yml": "on: push\n",
    "src/lockstep/a.py": "",
    "src/flights/b.py": "",
    ".gitignore": "/data\n/model\n/ignored\n",
}
"""What the base commits; `summary.json` stands beside it, not in git."""


def repository(root: Path, **files: str | None) -> Revision:
    """Commit FILES, some of them replaced or (None) left out; the work tree is left as it was committed."""
    lay(root, {name: text for name, text in {**FILES, **files}.items() if text is not None})
    lay(root, {"data/prepared/summary.json": json.dumps(SUMMARY)})
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return commit(root)


def commit(root: Path) -> Revision:
    """Commit the work tree as it is."""
    for command in (["add", "-A"], ["commit", "-q", "-m", "as it is"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return resolve(root, "HEAD")


def spec_of(root: Path) -> Spec:
    """The work tree's spec, not checked against code."""
    return Spec.model_validate(yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8")))


def edited(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with another value at a dotted path."""
    made = copy.deepcopy(document)
    *above, last = path.split(".")
    place = made
    for key in above:
        place = place[key]
    place[last] = value
    return made


def write_reference(folder: Path, **columns: list[Any]) -> Path:
    """A model's folder with a reference.parquet of training rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = len(next(iter(columns.values())))
    pq.write_table(pa.table({**columns, "_side": ["training"] * rows}), folder / "reference.parquet")
    return folder
