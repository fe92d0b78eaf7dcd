"""Two models compared as one script by hand, as a careful person would write it without Lockstep.

    python benchmarks/compare_by_hand.py CHAMPION CHALLENGER HOLDOUT.parquet

It loads both models, encodes the holdout for each, and bootstraps the four metrics' differences over days, 1,000 times,
in two ways: `plain` puts the drawn days' rows together and asks scikit-learn (only `TAKEN` resamples are run);
`histograms` counts a day's rows by score first, as Lockstep does.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pandas as pd
from scipy import stats
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

RESAMPLES, TAKEN, BINS = 1000, 40, 256
METRICS = {
    "roc_auc": roc_auc_score,
    "average_precision": average_precision_score,
    "log_loss": log_loss,
    "brier": brier_score_loss,
}


def predictions(folder: Path, rows: pd.DataFrame) -> np.ndarray:
    """The model's answers (n,): columns in the order of its contract, labels as codes, moments as their parts."""
    columns = []
    for feature in json.loads((folder / "contract.json").read_text())["features"]:
        values = rows[feature["column"]]
        if feature["labels"]:
            codes = pd.Categorical(values, categories=feature["labels"]).codes
            columns.append(np.where(codes < 0, np.nan, codes))
        elif feature["parts"]:
            columns += [getattr(values.dt, part).to_numpy() for part in feature["parts"]]
        else:
            columns.append(values.to_numpy("float32", na_value=np.nan))
    matrix = np.column_stack(columns).astype("float32")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession((folder / "model.onnx").read_bytes(), options)
    return np.clip(session.run(None, {session.get_inputs()[0].name: matrix})[1][:, 1].astype(float), 1e-6, 1 - 1e-6)


def plain(y: np.ndarray, models: list[np.ndarray], days: np.ndarray, resamples: int) -> dict[str, float]:
    """Standard errors of the differences: days drawn, their rows put together, every metric anew."""
    random = np.random.default_rng(1)
    of_day = [np.flatnonzero(days == day) for day in np.unique(days)]
    differences = []
    for _ in range(resamples):
        rows = np.concatenate([of_day[day] for day in random.integers(0, len(of_day), len(of_day))])
        differences.append([m(y[rows], models[1][rows]) - m(y[rows], models[0][rows]) for m in METRICS.values()])
    return dict(zip(METRICS, np.std(differences, axis=0, ddof=1), strict=True))


def histograms(y: np.ndarray, models: list[np.ndarray], days: np.ndarray, resamples: int) -> dict[str, float]:
    """The same from counts a day and score bin, and sums a day."""
    _, days = np.unique(days, return_inverse=True)
    number = int(days.max()) + 1
    weights = np.random.default_rng(1).multinomial(number, np.full(number, 1 / number), resamples).astype(float)
    found = []
    for p in models:
        bins = np.searchsorted(np.unique(np.quantile(p, np.linspace(0, 1, BINS + 1)[1:-1])), p)
        table = np.zeros((2, number, BINS))
        np.add.at(table, (y.astype(int), days, bins), 1)
        negative, positive = ((weights @ table[side])[:, ::-1] for side in (0, 1))
        tp, fp = positive.cumsum(1), negative.cumsum(1)
        sums = (
            weights
            @ np.stack(
                [
                    np.bincount(days, v, number)
                    for v in (-np.log(np.where(y == 1, p, 1 - p)), (p - y) ** 2, np.ones(len(y)))
                ]
            ).T
        )
        auc = (negative * (tp - positive / 2)).sum(1) / (tp[:, -1] * fp[:, -1])
        ap = (positive * tp / np.maximum(tp + fp, 1)).sum(1) / tp[:, -1]
        found.append([auc, ap, sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2]])
    return dict(zip(METRICS, np.std(np.subtract(*found[::-1]), axis=1, ddof=1), strict=True))


def main(champion: Path, challenger: Path, holdout: Path) -> None:
    """Print differences with intervals; then the seconds of both bootstraps (`measured`: of what ran of them)."""
    rows = pd.read_parquet(holdout)
    y = rows["late"].astype(float).to_numpy()
    days = rows["scheduled_departure"].to_numpy("datetime64[D]").astype(int)
    models = [predictions(folder, rows) for folder in (champion, challenger)]
    values = {name: metric(y, models[1]) - metric(y, models[0]) for name, metric in METRICS.items()}
    middle = time.perf_counter()
    plain(y, models, days, TAKEN)
    last = time.perf_counter()
    errors = histograms(y, models, days, RESAMPLES)
    end = time.perf_counter()
    number = len(np.unique(days))
    reach = stats.t.ppf(0.975, number - 1) * np.sqrt(number / (number - 1))
    for name, value in values.items():
        print(f"{name}: {value:+.4f} ± {reach * errors[name]:.4f}")
    print(f"measured={end - middle:.3f}\nplain={(last - middle) * RESAMPLES / TAKEN:.3f}")
    print(f"histograms={end - last:.3f}\ntaken={TAKEN}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
