"""The scikit-learn pipeline of the peers: fitted in their own environments with the spec's estimator and parameters."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.serving.environments import PEERS, cache, environment
from benchmarks.workplace import ROOT
from lockstep.models.estimators import OURS
from lockstep.spec.reader import read_spec

TRAINING = ROOT / "data" / "prepared" / "training.parquet"
SCRIPT = PEERS / "pipeline.py"


def params() -> dict[str, Any]:
    """What the spec's training gives the estimator."""
    train = read_spec(ROOT / "params.yaml").train
    if train.estimator != "sklearn.ensemble.HistGradientBoostingClassifier":
        raise SystemExit(f"the peers' pipeline has another estimator than params.yaml ({train.estimator})")
    return OURS | train.params | {"random_state": train.seed}


def fitted(name: str) -> Path:
    """A folder with the pipeline fitted in an environment; fitted again when rows, parameters or versions changed."""
    home, given = environment(name), json.dumps(params(), sort_keys=True)
    state = TRAINING.read_bytes() + given.encode() + SCRIPT.read_bytes()
    folder = cache() / f"{home.name}-{hashlib.sha256(state).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    print(f"fitting the pipeline in {home.name}", file=sys.stderr)
    beside = folder.with_name(f".{folder.name}-{os.getpid()}")
    beside.mkdir(parents=True)
    try:
        (beside / "params.json").write_text(given)
        command = [home / "bin" / "python", "-W", "ignore", SCRIPT, TRAINING, beside / "params.json", beside]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the pipeline could not be fitted in {home.name}:\n{done.stdout}{done.stderr}")
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder
