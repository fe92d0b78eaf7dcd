"""A table of rows → the rows that may be served, with their predictions, and the refused ones with their reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lockstep.batch.cells import as_sent
from lockstep.batch.judge import Judge, Mask
from lockstep.errors import InputError, nearest
from lockstep.models.model import Floats, Learned
from lockstep.rows.roles import declared
from lockstep.serving.fingerprint import SHORT, of_folder
from lockstep.serving.predictor import ENDLESS, load
from lockstep.serving.rows import Checker, Problem
from lockstep.sources.csv_reader import Ragged
from lockstep.spec import Task

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER, REASONS = "_row", "_reasons"
"""The quarantine's columns: the row's number in the file, from 0, and the rules that it breaks."""

AT_ONCE = 1_000
"""Suspicious rows that are put into words at a time."""


@dataclass(frozen=True)
class Scored:
    """Of some rows: those that were predicted, and those that were refused, each in the file's order."""

    predicted: pa.Table
    refused: pa.Table
    unknown: Counter[str]


class Scorer:
    """A model of a folder, ready for the tables of one file.

    `names` are the file's columns; `without` those that it may lack; `prefix` begins the names of new columns. Raises
    `InputError` when a column is lacking, or would be there twice.
    """

    def __init__(self, folder: Path, names: Sequence[str], *, without: Collection[str], prefix: str) -> None:
        self._model = load(folder)
        self.learned: Learned = self._model.learned
        self.fingerprint = of_folder(folder)
        self._checker = Checker(self.learned)
        self._predictions = _TASKS[self.learned.task](self.learned, prefix)
        self._name_of_model = f"{prefix}model"
        self._insist_on(names, without)
        self._judges = list(self._judges_of(names))
        self._refuse_clashes(names)
        self._slots = self.learned.encoding.slots(self._model.style)

    @property
    def read(self) -> list[str]:
        """The file's columns that are judged. All others are carried along."""
        return [judge.name for judge in self._judges]

    @property
    def schema(self) -> list[tuple[str, pa.DataType]]:
        """The new columns and their types."""
        import pyarrow as pa

        return [*self._predictions.schema, (self._name_of_model, pa.string())]

    def score(self, table: pa.Table, first: int, ragged: Ragged) -> Scored:
        """Judge and predict n rows; `first` is the number of the first one in its file.

        Those in `ragged` (from 0, with the reason) are refused, whatever else they hold.
        """
        parts = {judge.name: judge(table.column(judge.name).combine_chunks()) for judge in self._judges}
        suspicious = np.zeros(len(table), dtype=bool)
        for part in parts.values():
            suspicious |= part.suspicious
        suspicious[[*ragged]] = False
        problems = list(self._problems(table, np.flatnonzero(suspicious)))
        problems += [Problem(row=row, column=None, value=None, rule=rule) for row, rule in ragged.items()]
        refused = np.zeros(len(table), dtype=bool)
        refused[[problem.row for problem in problems]] = True
        predictions = self._predict({name: part.matrix for name, part in parts.items()}, ~refused)
        endless = np.flatnonzero(~refused)[~_finite(predictions)]
        if len(endless):
            problems += [Problem(row=int(at), column=None, value=None, rule=ENDLESS) for at in endless]
            refused[endless] = True
            predictions = predictions[_finite(predictions)]
        unknown = {name: part.unknown & ~refused for name, part in parts.items() if part.unknown is not None}
        return Scored(
            self._with_predictions(table, ~refused, predictions),
            _with_reasons(table, problems, first),
            Counter({name: int(mask.sum()) for name, mask in unknown.items() if mask.any()}),
        )

    def _predict(self, matrices: dict[str, npt.NDArray[np.float32] | None], wanted: Mask) -> Floats:
        """Predictions of the wanted rows; a feature that the file lacks is missing in all of them."""
        n, at = len(wanted), 0
        whole = np.empty((n, len(self._slots)), dtype=np.float32)
        for judge in self._features():
            found = matrices.get(judge.name)
            part = judge.encode(_nothing(judge, n)) if found is None else found
            assert part is not None
            whole[:, at : at + part.shape[1]] = part
            at += part.shape[1]
        chosen = whole if wanted.all() else np.ascontiguousarray(whole[wanted])
        return self._model.predict_matrix(chosen) if len(chosen) else self._empty()

    def _empty(self) -> Floats:
        return np.empty((0, len(self.learned.classes)) if self.learned.task == "multiclass" else 0)

    def _problems(self, table: pa.Table, rows: npt.NDArray[np.int64]) -> Iterator[Problem]:
        """The rules, in the service's words, that suspicious rows break; none about those that it would serve.

        Without the nearest allowed label that a caller is told: looking for it takes too long for millions of rows.
        """
        for begin in range(0, len(rows), AT_ONCE):
            chosen = rows[begin : begin + AT_ONCE]
            sent = self.sent(table.select(self.read).take(_arrow(chosen)))
            for at, *values in zip(chosen.tolist(), *sent.values(), strict=True):
                for judge, value in zip(self._judges, values, strict=True):
                    rule = judge.rule(value)
                    if rule is not None:
                        yield Problem(row=at, column=judge.name, value=None, rule=rule)

    def sent(self, table: pa.Table) -> dict[str, list[Any]]:
        """The judged columns as a caller would send their values to the service."""
        return {
            judge.name: as_sent(table.column(judge.name).combine_chunks(), judge.name, judge.column)
            for judge in self._judges
        }

    def _with_predictions(self, table: pa.Table, kept: Mask, predictions: Floats) -> pa.Table:
        import pyarrow as pa

        rows = table if kept.all() else table.filter(_arrow(kept))
        columns = [*self._predictions(predictions), pa.repeat(self.fingerprint[:SHORT], len(rows))]
        for (name, type), values in zip(self.schema, columns, strict=True):
            rows = rows.append_column(pa.field(name, type), values)
        return rows

    def _features(self) -> Iterator[Judge]:
        columns = declared(self.learned.contract)
        for feature in self.learned.encoding.features:
            name = feature.column
            yield Judge(
                name=name,
                column=columns[name],
                read=self._checker.features[name],
                feature=feature,
                style=self._model.style,
            )

    def _judges_of(self, names: Sequence[str]) -> Iterator[Judge]:
        """Features, and other declared columns that callers may send, as far as the file has them."""
        yield from (judge for judge in self._features() if judge.name in names)
        contract = self.learned.contract
        for name, read in self._checker.others.items():
            if name in names and name in contract.columns and contract.columns[name].available != "after":
                column = contract.columns[name]
                yield Judge(name=name, column=column, read=read, feature=None, style=self._model.style)

    def _insist_on(self, names: Sequence[str], without: Collection[str]) -> None:
        for judge in self._features():
            if judge.name in names or judge.column.private or (judge.name in without and not judge.required):
                continue
            hint = nearest(judge.name, [name for name in names if name not in declared(self.learned.contract)])
            if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
                hint = " The file has one column: in a CSV here, commas separate columns."
            way = "" if judge.required else f" If it is to count as missing in every row, say `--without {judge.name}`."
            raise InputError(f"there is no column `{judge.name}`, which the model reads.{hint}{way}")
        features = {judge.name for judge in self._features()}
        for name in without:
            if name not in features:
                raise InputError(f"--without {name}: the model reads no such column.{nearest(name, features)}")
            if name in names:
                raise InputError(f"--without {name}: the file has this column. Leave the option out.")

    def _refuse_clashes(self, names: Sequence[str]) -> None:
        twice = [name for name, _ in self.schema if name in names]
        if twice:
            raise InputError(
                f"there is a column `{twice[0]}` already, and the predictions would bring one of that name. Rename it, "
                "or say `--prefix predicted_`, which then begins the names of all new columns."
            )


def _nothing(judge: Judge, n: int) -> npt.NDArray[Any]:
    if judge.column.type == "category":
        return np.full(n, None, dtype=object)
    return np.full(n, np.datetime64("NaT", "us")) if judge.column.type == "datetime" else np.full(n, np.nan)


def _finite(predictions: Floats) -> Mask:
    """Of n predictions, those that are finite as float32, which is what an answer holds."""
    with np.errstate(over="ignore"):
        finite = np.isfinite(predictions.astype(np.float32))
    return np.asarray(finite if finite.ndim == 1 else finite.all(axis=1))


def _with_reasons(table: pa.Table, problems: Sequence[Problem], first: int) -> pa.Table:
    """The refused rows, led by their number in the file and their reasons.

    Columns of the file that have these names make room, so that a mended quarantine can be sent again.
    """
    import pyarrow as pa

    reasons: dict[int, list[str]] = {}
    for problem in problems:
        where = "" if problem.column is None else f"{problem.column}: "
        reasons.setdefault(problem.row, []).append(f"{where}{problem.rule}")
    rows = sorted(reasons)
    refused = table.drop_columns([name for name in (NUMBER, REASONS) if name in table.column_names]).take(
        pa.array(rows, pa.int64())
    )
    listed = pa.array(["; ".join(reasons[row]) for row in rows], pa.string())
    numbers = pa.array([first + row for row in rows], pa.int64())
    return refused.add_column(0, REASONS, listed).add_column(0, NUMBER, numbers)


def _arrow(values: npt.NDArray[Any]) -> pa.Array:
    """An array of arrow's without missing values."""
    import pyarrow as pa

    if values.dtype == bool:
        bits = np.packbits(values, bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)])
    whole = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(whole.dtype), len(whole), [None, pa.py_buffer(whole)])


# New columns, named as the service names them.


class _Binary:
    def __init__(self, learned: Learned, prefix: str) -> None:
        import pyarrow as pa

        self._cut = learned.cut
        types = {"label": pa.bool_(), "probability": pa.float32(), "threshold": pa.float64()}
        self.schema = [(f"{prefix}{name}", type) for name, type in types.items()]

    def __call__(self, predictions: Floats) -> list[pa.Array]:
        import pyarrow as pa

        labels = _arrow(predictions >= self._cut)
        return [labels, _arrow(predictions.astype(np.float32)), pa.repeat(self._cut, len(predictions))]


class _Multiclass:
    def __init__(self, learned: Learned, prefix: str) -> None:
        import pyarrow as pa

        self._classes = np.array(learned.classes, dtype=object)
        names = ["probability", *(f"probabilities.{label}" for label in learned.classes)]
        self.schema = [(f"{prefix}label", pa.string()), *((f"{prefix}{name}", pa.float32()) for name in names)]

    def __call__(self, predictions: Floats) -> list[pa.Array]:
        import pyarrow as pa

        best, shown = predictions.argmax(axis=1), predictions.astype(np.float32)
        labels = pa.array(self._classes[best].tolist(), pa.string())
        return [labels, _arrow(shown[np.arange(len(best)), best]), *(_arrow(column) for column in shown.T)]


class _Regression:
    def __init__(self, learned: Learned, prefix: str) -> None:
        import pyarrow as pa

        self.schema = [(f"{prefix}value", pa.float32())]

    def __call__(self, predictions: Floats) -> list[pa.Array]:
        return [_arrow(predictions.astype(np.float32))]


_TASKS: Mapping[Task, type[_Binary | _Multiclass | _Regression]] = {
    "binary": _Binary, "multiclass": _Multiclass, "regression": _Regression,
}  # fmt: skip
