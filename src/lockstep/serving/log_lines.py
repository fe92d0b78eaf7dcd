"""What the prediction log says of a request: a JSON line for each row, without what is private."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from lockstep.serving.fingerprint import SHORT
from lockstep.spec import Contract

PREDICTED = ("label", "probability", "probabilities", "value")
"""What a line takes from an answer."""

NONE: Mapping[int, Collection[str]] = MappingProxyType({})

Row = Mapping[str, Any]


def loggable(contract: Contract) -> frozenset[str]:
    """The columns that may be written: declared and not private. What else a caller sends is not written either."""
    return frozenset(name for name, column in contract.columns.items() if not column.private)


def is_sampled(request: str, share: float) -> bool:
    """Does a request belong to the share that is logged? It follows from its id, so feedback finds its prediction.

    >>> [is_sampled("a", share) for share in (0.0, 0.25, 0.75, 1.0)]
    [False, False, True, True]
    """
    if share >= 1:
        return True
    return int.from_bytes(hashlib.blake2b(request.encode(), digest_size=8).digest(), "big") < share * 2**64


class Waiting(NamedTuple):
    """One request's part of the log. Without a request's id its rows are items of feedback."""

    request: str | None
    moment: float
    size: int
    """Of its body, in bytes."""
    rows: Sequence[Row]
    answers: Sequence[Row]
    unknown: Mapping[int, Collection[str]]

    @property
    def memory(self) -> int:
        """Bytes that it takes while it waits, about: the body's values as objects, and an answer for each row."""
        return 3 * self.size + 800 * len(self.rows)


class Writing:
    """How requests become lines: what all of them say, and the columns that may be written."""

    def __init__(self, *, version: str, fingerprint: str, sample: float, columns: Collection[str]) -> None:
        self._same = {"version": version, "model": fingerprint[:SHORT], "sample": sample}
        self._columns = frozenset(columns)

    def lines(self, waiting: Waiting) -> Iterator[bytes]:
        """The lines of one request."""
        at = datetime.fromtimestamp(waiting.moment, UTC)
        if waiting.request is None:
            for item in waiting.rows:
                told = {name: item[name] for name in ("request", "row", "outcome")}
                yield _line({"kind": "feedback", "time": at, **told})
            return
        for number, (row, answer) in enumerate(zip(waiting.rows, waiting.answers, strict=True)):
            line = {"kind": "prediction", "time": at, "request": waiting.request, "row": number, **self._same}
            line["columns"] = row if row.keys() <= self._columns else self._only_loggable(row)
            line["unknown"] = list(waiting.unknown.get(number, ()))
            line |= {name: answer[name] for name in PREDICTED if name in answer}
            yield _line(line)

    def _only_loggable(self, row: Row) -> Row:
        return {name: value for name, value in row.items() if name in self._columns}


def _line(content: dict[str, Any]) -> bytes:
    # What orjson returns keeps its writing space, 8 kB a line; what + makes has the line's own size.
    return orjson.dumps(content, option=orjson.OPT_UTC_Z) + b"\n"
