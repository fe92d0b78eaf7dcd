"""What an image is asked before it may be pushed, and what is wrong with an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lockstep.errors import InputError
from lockstep.lock.shortly import shortened
from lockstep.models.model import Learned, load_contract
from lockstep.release.wanted import Wanted
from lockstep.serving.fingerprint import SHORT
from lockstep.serving.rows import Checker
from lockstep.spec import Column

MARKER = "lockstep-try-private"
"""A value that must not come back, nor be logged."""

CLOSE = 1e-6
"""A prediction so close to the threshold may fall on either side: it was rounded when it was written down."""

Row = dict[str, Any]
Judge = Callable[[Any], str]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request, the status that it must get, and what is wrong with the answer ("" if nothing).

    It adds so many `lines` to the prediction log.
    """

    method: str
    path: str
    status: int
    judge: Judge = lambda answer: ""
    body: Any = None
    lines: int = 0

    def request(self, number: int) -> list[Any]:
        """As `asker.ask` takes it."""
        headers = {"content-type": "application/json", "x-request-id": f"lockstep-try-{number}"}
        return [self.method, self.path, headers, None if self.body is None else json.dumps(self.body)]

    def wrong(self, status: int, text: str) -> str:
        """What is wrong with the answer; "" if nothing."""
        asked = f"{self.method} {self.path}"
        if status != self.status:
            return f"{asked} was answered with {status}, not {self.status}: {text[:300]}"
        try:
            found = self.judge(json.loads(text) if text[:1] in "{[" else text)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            found = f"the answer has another form ({type(error).__name__}: {error}): {text[:300]}"
        return f"{asked}: {found}" if found else ""


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Rows with the predictions that were written down when the model was judged."""

    learned: Learned
    rows: Sequence[Row]
    predictions: Sequence[Any]

    @classmethod
    def of(cls, model: Path) -> Golden:
        """Those of a folder that the contract lets through. Raises `InputError` when there are none."""
        learned = load_contract(model)
        content = json.loads((model / "golden.json").read_text(encoding="utf-8"))
        checker = Checker(learned)
        kept = [
            (row, said)
            for row, said in zip(content["rows"], content["predictions"], strict=True)
            if not checker.check([row])
        ]
        if not kept:
            raise InputError(f"{model / 'golden.json'} holds no row that the contract takes: nothing can be tried")
        return cls(learned=learned, rows=[row for row, _ in kept], predictions=[said for _, said in kept])


def questions(golden: Golden, wanted: Wanted) -> Iterator[Question]:
    """All that is asked, in order."""
    for path in ("/livez", "/readyz", "/metrics", "/contract", "/openapi.json"):
        yield Question(method="GET", path=path, status=200)
    yield Question(method="GET", path="/version", status=200, judge=_version(wanted))
    for row, said in zip(golden.rows, golden.predictions, strict=True):
        yield _predict(row, _same(golden.learned, [said], wanted), lines=1)
    yield _predict(list(golden.rows), _same(golden.learned, golden.predictions, wanted), lines=len(golden.rows))
    yield from _private(golden, wanted)
    yield from _bad(golden)


def _predict(body: Any, judge: Judge, lines: int = 0, status: int = 200) -> Question:
    return Question(method="POST", path="/predict", status=status, judge=judge, body=body, lines=lines)


def _version(wanted: Wanted) -> Judge:
    expected = {"version": wanted.version, "model": wanted.model[:SHORT], "commit": wanted.commit}

    def judge(answer: Any) -> str:
        return "".join(
            f"{key} is {answer.get(key)}, not {value}. " for key, value in expected.items() if answer.get(key) != value
        )

    return judge


def _same(learned: Learned, predictions: Sequence[Any], wanted: Wanted) -> Judge:
    """Judges an answer, or a list of them, by predictions."""
    return lambda said: _other(learned, said if isinstance(said, list) else [said], predictions, wanted)


def _other(learned: Learned, answers: Sequence[Any], predictions: Sequence[Any], wanted: Wanted) -> str:
    """Where answers differ from predictions, in any bit of a float32; or name another model."""
    if len(answers) != len(predictions):
        return f"{len(answers)} answers to {len(predictions)} rows"
    wrong = []
    for at, (answer, said) in enumerate(zip(answers, predictions, strict=True)):
        got, decided = _READ[learned.task](learned, answer, said)
        if not np.array_equal(np.asarray(got, np.float32), np.asarray(said, np.float32)):
            wrong.append(f"golden row {at} is predicted {got}, not {said}")
        elif not decided:
            wrong.append(f"golden row {at}: the label {answer.get('label')!r} does not fit the prediction {got}")
        elif (answer["model"], answer["version"]) != (wanted.model[:SHORT], wanted.version):
            wrong.append(f"the answer names model {answer['model']} {answer['version']}")
    return shortened(wrong)


def _binary(learned: Learned, answer: Row, said: Any) -> tuple[Any, bool]:
    near = abs(float(said) - learned.cut) < CLOSE
    return answer["probability"], near or answer["label"] is (float(said) >= learned.cut)


def _multiclass(learned: Learned, answer: Row, said: Any) -> tuple[Any, bool]:
    best = dict(zip(learned.classes, said, strict=True))
    fits = max(best.values()) - best[answer["label"]] < CLOSE
    return [answer["probabilities"][name] for name in learned.classes], fits


def _regression(learned: Learned, answer: Row, said: Any) -> tuple[Any, bool]:
    return answer["value"], True


_READ: Mapping[str, Callable[[Learned, Row, Any], tuple[Any, bool]]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "regression": _regression,
}


def _private(golden: Golden, wanted: Wanted) -> Iterator[Question]:
    """A row with values in private columns, which the log must not show."""
    columns = {name: column for name, column in golden.learned.contract.columns.items() if column.private}
    secrets = {
        name: value
        for name, column in columns.items()
        if (value := _secret(column)) is not None and _takes(golden, {name: value})
    }
    if secrets:
        yield _predict({**golden.rows[0], **secrets}, lambda answer: "", lines=1)


def _takes(golden: Golden, more: Row) -> bool:
    return not Checker(golden.learned).check([{**golden.rows[0], **more}])


def _secret(column: Column) -> Any:
    """A value that the column might hold; None for one that nothing could be recognised by."""
    allowed = getattr(column, "allowed", None)
    if column.type == "category":
        return allowed[0] if allowed else MARKER
    if column.type in ("number", "integer"):
        least = getattr(column, "min", None)
        return allowed[0] if allowed else 0 if least is None else least
    return "1999-12-31T23:59:00" if column.type == "datetime" else True


def _bad(golden: Golden) -> Iterator[Question]:
    """Rows that break the contract: each rule of each column alone, then all of them in one row."""
    row = golden.rows[0]
    cells = [cell for name in row for cell in _bad_cells(name, golden.learned.contract.columns[name])]
    yield _predict(
        [{**row, name: value} for name, value in cells],
        lambda answer: _unnamed(answer, {(at, name) for at, (name, _) in enumerate(cells)}),
        status=400,
    )
    yield _predict(
        {**row, **dict(cells)}, lambda answer: _unnamed(answer, {(0, name) for name, _ in cells}), status=400
    )
    yield Question(method="POST", path="/predict", status=400, body="not a row")


def _bad_cells(name: str, column: Column) -> Iterator[tuple[str, Any]]:
    yield name, {"not": "a value"}
    if column.missing == "refused" and not column.private:
        yield name, None
    for bound, step in (("min", -1), ("max", 1)):
        limit = getattr(column, bound, None)
        if isinstance(limit, int | float) and not isinstance(limit, bool):
            yield name, limit + step * max(1, abs(limit) / 1000) if column.type == "number" else limit + step
    if getattr(column, "allowed", None):
        yield name, -987654321 if column.type == "integer" else MARKER


def _unnamed(answer: Any, expected: set[tuple[int, str]]) -> str:
    """Bad cells that the refusal does not name, unless it says that there are more than it names."""
    named = {(problem["row"], problem["column"]) for problem in answer["problems"]}
    missed = expected - named
    if not named & expected or len(missed) > int(answer.get("more", 0)):
        return f"the refusal does not name {shortened([f'{name} of row {at}' for at, name in sorted(missed)])}"
    return ""


def wrong_in_log(lines: Sequence[str], golden: Golden, expected: int, wanted: Wanted) -> str:
    """What is wrong with the prediction log; "" if nothing."""
    private = {name for name, column in golden.learned.contract.columns.items() if column.private}
    entries = [json.loads(line) for line in lines]
    if len(entries) != expected:
        return f"the prediction log got {len(entries)} lines for {expected} rows"
    shown = private & {name for entry in entries for name in entry["columns"]}
    if shown or any(MARKER in line for line in lines):
        return f"the prediction log holds values of private columns ({shortened(sorted(shown))})"
    others = {entry["model"] for entry in entries} - {wanted.model[:SHORT]}
    return f"the prediction log names model {shortened(sorted(others))}" if others else ""
