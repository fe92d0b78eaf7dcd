"""The model as it is served: an ONNX graph and its contract. What is evaluated is this, never a cousin of it.

Only the spec, numpy and onnxruntime: a service loads this module, and neither pandas nor scikit-learn.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lockstep.errors import InputError
from lockstep.models.encoding import Columns, Encoding, Feature, Style
from lockstep.spec import Contract, Task

if TYPE_CHECKING:
    import onnxruntime

Floats = npt.NDArray[np.float64]

GRAPH, LINEAR, CONTRACT = "model.onnx", "linear.onnx", "contract.json"


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A map from a score to a probability, straight between its points; one for each class, or one for binary."""

    x: tuple[tuple[float, ...], ...]
    y: tuple[tuple[float, ...], ...]

    def apply(self, scores: Floats) -> Floats:
        """Scores (n,) or (n, k) → probabilities of the same shape; classes are scaled to sum to one."""
        if scores.ndim == 1:
            return np.asarray(np.interp(scores, self.x[0], self.y[0]))
        mapped = np.column_stack(
            [np.interp(column, x, y) for column, x, y in zip(scores.T, self.x, self.y, strict=True)]
        )
        total = mapped.sum(axis=1, keepdims=True)
        even = np.full_like(mapped, 1 / mapped.shape[1])
        return np.asarray(np.divide(mapped, total, out=even, where=total > 0))


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What training adds to the declared contract. With the graph it is the whole model: `contract.json`."""

    contract: Contract
    encoding: Encoding
    style: Style
    classes: tuple[str, ...]
    dummy: tuple[float, ...]
    threshold: float | None
    calibration: Calibration | None
    estimator: str

    def to_json(self) -> str:
        """The file's text: sorted keys, so that its diff is readable."""
        content = asdict(self) | {"contract": self.contract.model_dump(mode="json", exclude_none=True)}
        content["features"] = content.pop("encoding")["features"]
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Learned:
        """Read back what `to_json` wrote."""
        content = json.loads(text)
        features = tuple(
            Feature(**feature | {"parts": tuple(feature["parts"]), "labels": tuple(feature["labels"])})
            for feature in content.pop("features")
        )
        points = content.pop("calibration")
        return cls(
            contract=Contract.model_validate(content.pop("contract")),
            encoding=Encoding(features),
            calibration=Calibration(**{axis: tuple(map(tuple, points[axis])) for axis in "xy"}) if points else None,
            classes=tuple(content.pop("classes")),
            dummy=tuple(content.pop("dummy")),
            **content,
        )

    @property
    def task(self) -> Task:
        """binary, multiclass or regression."""
        return self.contract.target.task

    @property
    def cut(self) -> float:
        """From which probability on a row is called positive; 0.5, which nothing reads, where there is no threshold."""
        return 0.5 if self.threshold is None else self.threshold

    def dummy_predictions(self, n: int) -> Floats:
        """What a model without features says of n rows: the training share of each class, or the training mean."""
        return np.full(n, self.dummy[-1]) if self.task != "multiclass" else np.tile(self.dummy, (n, 1))


@dataclass(frozen=True)
class Model:
    """A graph in memory, ready to predict."""

    learned: Learned
    session: onnxruntime.InferenceSession
    style: Style
    calibration: Calibration | None

    def predict(self, columns: Columns) -> Floats:
        """Columns of n values → probability of the positive class (n,), of each class (n, k), or the value (n,)."""
        return self.predict_matrix(self.learned.encoding.encode(columns, self.style))

    def predict_matrix(self, matrix: npt.NDArray[np.float32]) -> Floats:
        """The same from an encoded matrix. A row's prediction has the same bits alone and among others."""
        if len(matrix) == 1 and self.style == "indicators":
            # A product of one row takes another way through the processor than that of several, and rounds otherwise.
            return self.predict_matrix(np.repeat(matrix, 2, axis=0))[:1]
        name = self.session.get_inputs()[0].name
        raw = np.asarray(self.session.run([self.session.get_outputs()[-1].name], {name: matrix})[0], dtype=np.float64)
        scores = raw if self.learned.task == "multiclass" else raw[:, -1]
        return scores if self.calibration is None else self.calibration.apply(scores)


def load(folder: Path) -> Model:
    """The model of a folder. Raises `InputError` when a file is missing or damaged."""
    learned = load_contract(folder)
    return Model(learned, open_graph(_read(folder / GRAPH), folder / GRAPH), learned.style, learned.calibration)


def load_linear(folder: Path) -> Model:
    """The linear baseline that was trained beside the model of a folder, on the same rows and columns."""
    return Model(load_contract(folder), open_graph(_read(folder / LINEAR), folder / LINEAR), "indicators", None)


def load_contract(folder: Path) -> Learned:
    """The contract of a folder's model, with what training learned."""
    path = folder / CONTRACT
    try:
        return Learned.from_json(_read(path).decode())
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}). Restore it with `dvc checkout {path}`.") from error


def open_graph(graph: bytes, name: Path | str = GRAPH) -> onnxruntime.InferenceSession:
    """A session on one thread: batch predictions differ in their last bits between thread counts."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported; it reports to its maker otherwise
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except (
        failures.Fail,
        failures.InvalidArgument,
        failures.InvalidGraph,
        failures.InvalidProtobuf,
        failures.NotImplemented,
        failures.RuntimeException,
    ) as error:
        raise InputError(
            f"{name} is not a readable ONNX graph ({error}). Restore it with `dvc checkout {name}`."
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing. Run `dvc repro`, or `dvc checkout {path}` to restore it.") from None


def as_float32(values: npt.NDArray[Any]) -> list[Any]:
    """Predictions in the fewest digits that give back the same float32."""
    rounded = np.asarray(values, dtype=np.float32)
    return [float(str(value)) for value in rounded] if rounded.ndim == 1 else [as_float32(row) for row in rounded]
