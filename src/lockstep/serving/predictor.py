"""The model as it answers: rows are judged, encoded, predicted. No HTTP here, and no log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lockstep.errors import InputError
from lockstep.models import model
from lockstep.models.model import CONTRACT, GRAPH, Floats, Learned, Model
from lockstep.serving.answers import Answer, answers_of, shortest
from lockstep.serving.cells import FLOAT32_MAX
from lockstep.serving.encoder import Encoder
from lockstep.serving.fingerprint import SHORT, of_folder
from lockstep.serving.rows import Checker, Problem, Typed

GOLDEN = "golden.json"
ENDLESS = "together these values lead the model beyond all finite numbers"


@dataclass(frozen=True, slots=True)
class Served:
    """What came of a request's rows: an answer for each, or problems and no answer at all."""

    answers: list[Answer]
    problems: list[Problem]
    unknown: dict[int, list[str]] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)


class Predictor:
    """A model of a folder, and the rules for its rows."""

    def __init__(self, folder: Path, version: str) -> None:
        self.model: Model = load(folder)
        self.learned = self.model.learned
        self.fingerprint = of_folder(folder)
        self.checker = Checker(self.learned)
        self.golden = Golden.of_folder(folder, self.learned)
        self._encoder = Encoder(self.learned.encoding, self.model.style)
        self._answers = answers_of(self.learned)
        self._features = [feature.column for feature in self.learned.encoding.features]
        self._same = {"version": version, "model": self.fingerprint[:SHORT]}

    def serve(self, rows: Sequence[Any], request: str) -> Served:
        """Answer all rows, or none. Raises nothing, whatever a caller sends."""
        typed, problems = self.checker.read(rows)
        if problems:
            return Served([], problems)
        predictions, unknown = self._predict(typed)
        answers = self._answers(predictions, {**self._same, "request": request})
        endless = [at for at, one in enumerate(answers) if one.get("probability", one.get("value")) is None]
        if endless:
            return Served([], [Problem(row=at, column=None, value=None, rule=ENDLESS, withheld=True) for at in endless])
        return Served(answers, [], unknown, self._missing(typed))

    def predictions(self, rows: Sequence[Any]) -> list[Any]:
        """What the model says of rows that break no rule, in the fewest digits of its float32."""
        return shortest(self._predict(self.checker.read(rows)[0])[0])

    def _predict(self, typed: list[Typed]) -> tuple[Floats, dict[int, list[str]]]:
        matrix, unknown = self._encoder.encode(typed)
        return self.model.predict_matrix(matrix), unknown

    def _missing(self, typed: list[Typed]) -> Counter[str]:
        return Counter(name for row in typed for name, value in zip(self._features, row, strict=True) if value is None)


def load(folder: Path) -> Model:
    """The model of a folder, which has answered once. Raises `InputError`, also when graph and contract do not fit."""
    loaded = model.load(folder)
    learned, slots = loaded.learned, len(loaded.learned.encoding.slots(loaded.style))
    expected = (1, len(learned.classes)) if learned.task == "multiclass" else (1,)
    try:
        found = loaded.predict_matrix(np.zeros((1, slots), dtype=np.float32)).shape
    except Exception as error:  # a graph that somebody else made may fail in any way; which one is told
        raise InputError(_unfit(folder, str(error).strip())) from error
    if found != expected:
        raise InputError(_unfit(folder, f"of one row it predicts {found}, the contract {expected}"))
    return loaded


def _unfit(folder: Path, why: str) -> str:
    return f"{folder / GRAPH} and {CONTRACT} do not belong together ({why}). Take both from one revision."


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Rows as a caller would send them, and what the model said of each when it was made."""

    rows: tuple[dict[str, Any], ...]
    predictions: tuple[Any, ...]

    @classmethod
    def of_folder(cls, folder: Path, learned: Learned) -> Golden:
        """Those of a model's folder. Raises `InputError` when there are none to be read, or they are another task's."""
        path = folder / GOLDEN
        try:
            content = json.loads(path.read_bytes())
            golden = cls(rows=tuple(content["rows"]), predictions=tuple(content["predictions"]))
        except FileNotFoundError:
            raise InputError(f"{path} is missing. `make repro` makes it, or restores it.") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error}). `make repro` restores it.") from error
        if not golden.rows or len(golden.rows) != len(golden.predictions):
            raise InputError(f"{path} holds no rows with their predictions. `make repro` makes it anew.")
        width = len(learned.classes) if learned.task == "multiclass" else None
        for at, (row, said) in enumerate(zip(golden.rows, golden.predictions, strict=True)):
            if not isinstance(row, dict) or not _is_prediction(said, width):
                raise InputError(f"{path}: row {at} or what was predicted of it is damaged. `make repro` restores it.")
        return golden


def _is_prediction(said: Any, width: int | None) -> bool:
    """A number that a float32 can be, or a list of `width` of them."""
    if width is not None:
        return isinstance(said, list) and len(said) == width and all(_is_prediction(one, None) for one in said)
    return isinstance(said, int | float) and not isinstance(said, bool) and abs(said) <= FLOAT32_MAX
