"""The same job as one script by hand, as a careful person would write it without Lockstep: pandas, scikit-learn,
skl2onnx, one process, one thread, nothing cached.

It fetches and joins the flights and writes one parquet file a month, checks types, ranges and duplicate keys, hashes
the keys, splits by time, encodes, fits three folds for the threshold and then all rows, fits a linear baseline,
converts both to ONNX and compares 50,000 predictions, scores the holdout with a bootstrap over overlapping weeks for
four metrics, three models and nineteen slices, and writes curves, golden rows, a reference sample and a card.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import hashlib
import itertools
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pandas as pd
import yaml
from scipy import stats
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FROM, UNTIL, HOLDOUT, LABELS_KNOWN = map(pd.Timestamp, ("2013-01-01", "2013-11-01", "2013-08-01", "2013-07-31"))
KEY = ["carrier", "flight", "origin", "scheduled_departure"]
CATEGORIES = ["carrier", "origin", "destination", "manufacturer"]
PARTS = ["month", "weekday", "hour", "minute"]
RESAMPLES, BINS = 1000, 256


def fetch(out: Path) -> list[Path]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from flights.source import load
    paths = []
    for start in pd.date_range(FROM, UNTIL, freq="MS", inclusive="left"):
        rows = load(start, start + pd.DateOffset(months=1))
        path = out / f"{start:%Y-%m}.parquet"
        rows.to_parquet(path, index=False, compression="zstd")
        paths.append(path)
    return paths


def check(rows: pd.DataFrame, columns: dict[str, Any]) -> pd.Series:
    bad = rows.duplicated(KEY)
    for name, column in columns.items():
        values = rows[name]
        if column.get("missing") != "allowed":
            bad |= values.isna()
        if "min" in column:
            bad |= values < column["min"]
        if "max" in column:
            bad |= values > column["max"]
        if "allowed" in column:
            bad |= values.notna() & ~values.isin(column["allowed"])
        if column["type"] == "number":
            bad |= np.isinf(values)
    return bad


def hashes(rows: pd.DataFrame) -> np.ndarray:
    when = np.datetime_as_string(rows["scheduled_departure"].to_numpy("datetime64[us]")).tolist()
    keys = zip(
        rows["carrier"].tolist(), rows["flight"].astype(str).tolist(), rows["origin"].tolist(), when, strict=True
    )
    digests = b"".join(hashlib.blake2b("\x1f".join(key).encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, dtype="<u8")


def encode(rows: pd.DataFrame, numbers: list[str], labels: dict[str, list[str]], linear: bool) -> np.ndarray:
    out = [rows[name].to_numpy(dtype="float32", na_value=np.nan) for name in numbers]
    out += [getattr(rows["scheduled_departure"].dt, part).to_numpy("float32") for part in PARTS]
    for name in CATEGORIES:
        codes = pd.Categorical(rows[name], categories=labels[name]).codes.astype("float32")
        out.append(codes if linear else np.where(codes < 0, np.nan, codes).astype("float32"))
    if linear:
        out += [rows[name].isna().to_numpy("float32") for name in numbers]
    return np.column_stack(out)


def booster() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(learning_rate=0.06, max_leaf_nodes=63, random_state=7, early_stopping=False)


def baseline(numbers: int, labels: dict[str, list[str]]) -> Any:
    first = numbers + len(PARTS)
    cats = [np.arange(-1, len(labels[name]), dtype="float32") for name in CATEGORIES]
    steps = [
        ("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), list(range(first))),
        (
            "c",
            OneHotEncoder(categories=cats, handle_unknown="ignore", dtype=np.float32),
            list(range(first, first + len(CATEGORIES))),
        ),
        ("f", "passthrough", list(range(first + len(CATEGORIES), first + len(CATEGORIES) + numbers))),
    ]
    return make_pipeline(ColumnTransformer(steps), LogisticRegression(max_iter=200))


def graph(model: Any, x: np.ndarray, path: Path) -> ort.InferenceSession:
    onnx = to_onnx(model, x[:1], options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
    path.write_bytes(onnx.SerializeToString())
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path.read_bytes(), options)


def answers(session: ort.InferenceSession, x: np.ndarray) -> np.ndarray:
    return session.run(None, {session.get_inputs()[0].name: x})[1][:, 1].astype(float)


def intervals(y: np.ndarray, p: np.ndarray, days: np.ndarray) -> dict[str, list[float | None]]:
    """Four metrics with a bootstrap over overlapping weeks, on histograms so that it takes milliseconds."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    if y.min() == y.max():
        return {}
    values = [roc_auc_score(y, p), average_precision_score(y, p), log_loss(y, p), brier_score_loss(y, p)]
    days = days - days.min()
    span = int(days.max()) + 1
    if span < 70:
        return {
            name: [value, None, None] for name, value in zip(("auc", "ap", "log_loss", "brier"), values, strict=True)
        }
    bins = np.searchsorted(np.unique(np.quantile(p, np.linspace(0, 1, BINS + 1)[1:-1])), p)
    table = np.zeros((2, span, BINS))
    np.add.at(table, (y.astype(int), days, bins), 1)
    loss = np.stack(
        [np.bincount(days, v, span) for v in (-np.log(np.where(y == 1, p, 1 - p)), (p - y) ** 2, np.ones(len(y)))]
    )
    random = np.random.default_rng(1)
    weights = np.zeros((RESAMPLES, span))
    for row in weights:
        starts = np.bincount(random.integers(0, span - 6, span // 7), minlength=span)
        row[:] = np.convolve(starts, np.ones(7))[:span]
    negative, positive = (np.einsum("bd,dk->bk", weights, table[side])[:, ::-1] for side in (0, 1))
    tp, fp = positive.cumsum(1), negative.cumsum(1)
    auc = (negative * (tp - positive / 2)).sum(1) / (tp[:, -1] * fp[:, -1])
    ap = (positive * tp / np.maximum(tp + fp, 1)).sum(1) / tp[:, -1]
    sums = weights @ loss.T
    spread = np.std([auc, ap, sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2]], axis=1, ddof=1)
    blocks = span // 7
    reach = stats.t.ppf(0.975, blocks - 1) * spread * np.sqrt(blocks / (blocks - 1))
    names = ("auc", "ap", "log_loss", "brier")
    return {n: [v, v - r, v + r] for n, v, r in zip(names, values, reach, strict=True)}


def main(root: Path, out: Path) -> None:
    sys.path.insert(0, str(root / "src"))
    columns = yaml.safe_load((root / "params.yaml").read_text())["contract"]["columns"]
    hidden = [
        name for name, column in columns.items() if column.get("feature") is False or column.get("available") == "after"
    ]
    numbers = [n for n, c in columns.items() if c["type"] in ("number", "integer") and n not in hidden]
    parts = []
    for path in fetch(out):
        rows = pd.read_parquet(path)
        bad = check(rows, columns)
        rows[bad].to_parquet(out / f"bad-{path.name}", index=False)
        rows = rows[~bad & rows["late"].notna()]
        parts.append(rows.assign(key=hashes(rows)).sort_values(["scheduled_departure", "key"]))
    rows = pd.concat(parts, ignore_index=True)
    training = rows[rows["scheduled_departure"] < LABELS_KNOWN].reset_index(drop=True)
    holdout = rows[rows["scheduled_departure"] >= HOLDOUT].reset_index(drop=True)
    for name, part in (("training", training), ("holdout", holdout)):
        part.to_parquet(out / f"{name}.parquet", index=False, compression="zstd")
    pd.DataFrame({"key": np.sort(training["key"])}).to_parquet(out / "provenance.parquet", index=False)

    labels = {name: sorted(training[name].dropna().unique()) for name in CATEGORIES}
    x, y = encode(training, numbers, labels, linear=False), training["late"].astype(float).to_numpy()
    edges = np.linspace(0, len(y), 5).astype(int)
    folds = [(slice(0, a), slice(a, b)) for a, b in itertools.pairwise(edges[1:])]
    seen = [(y[judge], booster().fit(x[fit], y[fit]).predict_proba(x[judge])[:, 1]) for fit, judge in folds]
    precision, recall, thresholds = precision_recall_curve(*map(np.concatenate, zip(*seen, strict=True)))
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    threshold = float(thresholds[np.argmax(f1[:-1])])
    model = booster().fit(x, y)
    session = graph(model, x, out / "model.onnx")
    rows_compared = np.linspace(0, len(x) - 1, 50_000).astype(int)
    parity = np.abs(answers(session, x[rows_compared]) - model.predict_proba(x[rows_compared])[:, 1])
    assert (parity > 1e-3).mean() <= 1e-3
    plain = encode(training, numbers, labels, linear=True)
    linear_session = graph(baseline(len(numbers), labels).fit(plain, y), plain, out / "linear.onnx")

    xh, yh = encode(holdout, numbers, labels, linear=False), holdout["late"].astype(float).to_numpy()
    days = holdout["scheduled_departure"].to_numpy("datetime64[D]").astype(int)
    p = answers(session, xh)
    p_linear = answers(linear_session, encode(holdout, numbers, labels, linear=True))
    found = {
        name: intervals(yh, each, days)
        for name, each in (("model", p), ("linear", p_linear), ("dummy", np.full(len(yh), y.mean())))
    }
    for name in ("carrier", "origin"):
        for value in sorted(holdout[name].unique()):
            here = (holdout[name] == value).to_numpy()
            found[f"{name}={value}"] = intervals(yh[here], p[here], days[here])
    (out / "metrics.json").write_text(json.dumps({"threshold": threshold, **found}, indent=1))
    for name, (a, b, _) in {"roc": roc_curve(yh, p), "pr": precision_recall_curve(yh, p)}.items():
        keep = np.linspace(0, len(a) - 1, 200).astype(int)
        (out / f"{name}.json").write_text(json.dumps([[float(a[i]), float(b[i])] for i in keep]))
    pd.concat([training.nsmallest(10_000, "key"), holdout.nsmallest(10_000, "key")]).to_parquet(
        out / "reference.parquet"
    )
    golden = holdout.nsmallest(24, "key")
    (out / "golden.json").write_text(golden.to_json(orient="records", date_format="iso"))
    (out / "card.md").write_text(f"# flight-delays\n\n{json.dumps(found['model'])}\n")
    print(f"roc_auc={found['model']['auc'][0]:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
