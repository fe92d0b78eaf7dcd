"""Many rows through the scikit-learn pipeline: pandas reads, the pipeline answers, pandas writes.

python batch_sklearn.py FITTED IN.parquet OUT.parquet
"""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import pandas as pd


def main(fitted: Path, source: Path, target: Path) -> None:
    """Score a file."""
    model = joblib.load(fitted / "model.joblib")
    scores = model.predict_proba(pd.read_parquet(source))[:, 1]
    pd.DataFrame({"probability": scores}).to_parquet(target, index=False)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
