"""Scores: every model answers the same rows, and metrics, slices and words follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lockstep.comparison.result import Exam, Floats, MetricRow, SliceRow
from lockstep.models.model import Model
from lockstep.rows.contract import labels_of, to_columns, to_target
from lockstep.spec import GroupSplit, Spec
from lockstep.statistics.blocks import Blocks, blocks_of
from lockstep.statistics.intervals import Interval, p_value, paired_intervals
from lockstep.statistics.metrics import METRICS, Metric
from lockstep.statistics.slices import MOST, holm, names_of

CHALLENGER, LINEAR, DUMMY, CHAMPION = "challenger", "linear", "dummy", "champion"
TOO_FEW = "too few to say"
ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Pupil:
    """A model and the rows (n,) as it reads them."""

    model: Model
    rows: pd.DataFrame


def sit(spec: Spec, rows: pd.DataFrame, pupils: Mapping[str, Pupil], slices: Sequence[str]) -> Exam:
    """Let every pupil answer the `rows` (n,) of this branch; `challenger` is one of them and brings the dummy."""
    challenger = pupils["challenger"].model.learned
    classes = _classes(pupils.values())
    y = to_target(rows, challenger.contract.target, classes)
    answers = _answers(pupils)
    answers[DUMMY] = challenger.dummy_predictions(len(rows))
    if challenger.task == "multiclass":
        learned = {name: pupil.model.learned.classes for name, pupil in pupils.items()} | {DUMMY: challenger.classes}
        unseen = bool((y < 0).any())
        y = np.where(y < 0, len(classes), y)
        answers = {name: _spread(p, learned[name], classes, unseen) for name, p in answers.items()}
    cuts = {name: pupil.model.learned.cut for name, pupil in pupils.items()} | {DUMMY: challenger.cut}
    return Exam(
        task=challenger.task,
        y=y,
        predictions=answers,
        thresholds=cuts,
        blocks=blocks(spec, rows),
        slices={name: slice_values(rows[name]) for name in slices},
    )


def _classes(pupils: Iterable[Pupil]) -> list[str]:
    """The classes that any of them knows, sorted."""
    return sorted({label for pupil in pupils for label in pupil.model.learned.classes})


def _spread(p: Floats, known: Sequence[str], classes: Sequence[str], unseen: bool) -> Floats:
    """Probabilities (n, known) spread over all `classes`, and over one more for labels `unseen` by all; else zero."""
    wide = np.zeros((len(p), len(classes) + unseen))
    wide[:, [classes.index(label) for label in known]] = p
    return wide


def _answers(pupils: Mapping[str, Pupil]) -> dict[str, Floats]:
    """What each says of its rows; columns and matrices that two of them share are made once."""
    made: list[tuple[Any, Any]] = []
    found = {}
    for name, pupil in pupils.items():
        learned = pupil.model.learned
        read = (id(pupil.rows), learned.encoding, pupil.model.style)
        matrix = next((matrix for known, matrix in made if known == read), None)
        if matrix is None:
            columns = to_columns(pupil.rows, learned.contract)
            matrix = learned.encoding.encode(columns, pupil.model.style)
            made.append((read, matrix))
        found[name] = pupil.model.predict_matrix(matrix)
    return found


def blocks(spec: Spec, rows: pd.DataFrame) -> Blocks:
    """Rows that depend on each other: groups under a group split, else days, else each row by itself."""
    if isinstance(spec.split, GroupSplit):
        return blocks_of(len(rows), groups=rows[spec.split.column].astype("str"))
    time = spec.contract.time
    return blocks_of(len(rows), times=rows[time].to_numpy() if time else None)


def slice_values(values: pd.Series[Any]) -> npt.NDArray[Any]:
    """A column's values (n,) as slices read them: whole numbers as float64, anything else as labels."""
    if pd.api.types.is_bool_dtype(values.dtype):
        values = values.map({True: "true", False: "false"})
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.to_numpy(dtype="float64", na_value=np.nan)
    return labels_of(values)


def silent(exam: Exam) -> dict[str, int]:
    """Who gives something that is not a number, and for how many rows."""
    counts = {
        name: int((~np.isfinite(p).reshape(len(p), -1).all(axis=1)).sum()) for name, p in exam.predictions.items()
    }
    return {name: rows for name, rows in counts.items() if rows}


def without(exam: Exam, names: Iterable[str]) -> Exam:
    """The exam as those sat it who are not named."""
    left_out = set(names)
    return replace(exam, predictions={name: p for name, p in exam.predictions.items() if name not in left_out})


def metric_rows(exam: Exam, ids: Sequence[str], primary: str, *, identical: bool = False) -> tuple[MetricRow, ...]:
    """Each metric, by who answers, and challenger minus champion where there is one."""
    differences = _differences(exam, ids, np.ones(len(exam), bool)) if "champion" in exam.predictions else {}
    rows = []
    for id in ids:
        metric, difference = METRICS[id], differences.get(id)
        values = {name: _value(metric, exam, name) for name in exam.predictions}
        rows.append(
            MetricRow(
                id=id,
                title=metric.title,
                higher_is_better=metric.higher_is_better,
                primary=id == primary,
                values=values,
                difference=difference,
                word="" if difference is None else "identical" if identical else word_of(difference, metric),
            )
        )
    return tuple(rows)


def _value(metric: Metric, exam: Exam, name: str) -> float | None:
    found = metric(exam.y, exam.predictions[name], exam.thresholds[name]) if len(exam) else float("nan")
    return found if np.isfinite(found) else None


def _differences(exam: Exam, ids: Iterable[str], rows: npt.NDArray[np.bool_]) -> dict[str, Interval]:
    whole = bool(rows.all())
    return paired_intervals(
        ids,
        exam.y[rows],
        exam.predictions["challenger"][rows],
        exam.predictions["champion"][rows],
        exam.blocks if whole else exam.blocks.take(rows),
        thresholds=(exam.thresholds["challenger"], exam.thresholds["champion"]),
    )


def word_of(difference: Interval, metric: Metric) -> str:
    """What may be said of a difference: its interval lies on one side of zero, or nothing was shown.

    >>> word_of(Interval(value=0.1, low=0.05, high=0.15, blocks=90, kind="day"), METRICS["log_loss"])
    'worse'
    """
    if difference.low is None or difference.high is None:
        return TOO_FEW
    if difference.low <= 0 <= difference.high:
        return "no difference shown"
    return "better" if (difference.low > 0) == metric.higher_is_better else "worse"


def slice_rows(exam: Exam, ids: Sequence[str], *, identical: bool = False) -> tuple[tuple[SliceRow, ...], int]:
    """Every value of every slice column by every metric, Holm-adjusted over the slices of a metric; and how many values
    beyond the `MOST` largest of a column were left out.
    """
    found: dict[str, list[SliceRow]] = {id: [] for id in ids}
    left_out = 0
    if CHAMPION not in exam.predictions:
        return (), 0
    for column, values in exam.slices.items():
        names, at = names_of(values)
        counts = np.bincount(at, minlength=len(names))
        largest = sorted(np.argsort(-counts, kind="stable")[:MOST].tolist())
        left_out += len(names) - len(largest)
        for index in largest:
            here = at == index
            differences = _differences(exam, ids, here)
            part = Exam(
                task=exam.task, y=exam.y[here], thresholds=exam.thresholds, blocks=exam.blocks,
                predictions={name: exam.predictions[name][here] for name in ("challenger", "champion")},
            )  # fmt: skip
            for id in ids:
                found[id].append(
                    SliceRow(
                        column=column,
                        value=names[index],
                        rows=int(counts[index]),
                        metric=id,
                        challenger=_value(METRICS[id], part, "challenger"),
                        champion=_value(METRICS[id], part, "champion"),
                        difference=differences[id],
                        p=None,
                        word="identical" if identical else "",
                    )
                )
    return tuple(row for id in ids for row in _judged(found[id], METRICS[id], identical)), left_out


def _judged(rows: Sequence[SliceRow], metric: Metric, identical: bool) -> list[SliceRow]:
    """The rows of one metric with Holm's p and the word that follows from it."""
    adjusted = holm([p_value(row.difference) if row.difference else None for row in rows])
    return [
        replace(row, p=p, word="identical" if identical else _word(row, p, metric))
        for row, p in zip(rows, adjusted, strict=True)
    ]


def _word(row: SliceRow, p: float | None, metric: Metric) -> str:
    if p is None or row.difference is None or row.difference.value is None:
        return TOO_FEW
    if p > ALPHA:
        return "no difference shown"
    return "better" if (row.difference.value > 0) == metric.higher_is_better else "worse"
