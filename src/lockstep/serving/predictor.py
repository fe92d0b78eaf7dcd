"""The model as it answers: rows are judged, encoded, predicted. No HTTP here, and no log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockstep.errors import InputError
from lockstep.models import model
from lockstep.models.model import Floats, Model
from lockstep.serving.answers import Answer, answers_of, shortest
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
        self.model: Model = model.load(folder)
        self.learned = self.model.learned
        self.fingerprint = of_folder(folder)
        self.checker = Checker(self.learned)
        self.golden = Golden.of_folder(folder)
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


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Rows as a caller would send them, and what the model said of each when it was made."""

    rows: tuple[dict[str, Any], ...]
    predictions: tuple[Any, ...]

    @classmethod
    def of_folder(cls, folder: Path) -> Golden:
        """Those of a model's folder. Raises `InputError` when there are none to be read."""
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
        return golden
