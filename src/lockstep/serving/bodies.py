"""A request's body: JSON, strictly, in which every row that can be told apart is, so that all its faults are named."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson

from lockstep.serving.rows import STRANGERS, TWICE, Problem, presentable, rest

MOST_ROWS = 1000
MOST_BYTES = 4 << 20
"""Of one request; of a compressed body, after it was decompressed."""

MOST_MEMBERS = 50
"""Parts that were compressed each for itself: gzip allows any number, and each costs a look at all that follow."""


class BadRequest(Exception):
    """A request that cannot be answered: the status, a sentence that says why, and what the answer's head tells."""

    def __init__(self, status: int, sentence: str, *head: tuple[bytes, bytes]) -> None:
        super().__init__(sentence)
        self.status, self.head = status, head


@dataclass(frozen=True, slots=True)
class Body:
    """The items of a body. `single`: it was one object, not a list.

    `problems` are names given twice in an object; `fault` says why it is not JSON, though its items could be read.
    """

    items: list[Any]
    single: bool
    problems: list[Problem]
    fault: str = ""


class _Object(dict[str, Any]):
    """An object that remembers which of its names were given more than once."""

    twice: tuple[str, ...] = ()


def read(body: bytes) -> Body:
    """One object, or a list of 1 to 1,000 items. Raises `BadRequest`."""
    fault = ""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        content, fault = _leniently(body, error)
    single = isinstance(content, dict)
    items = [content] if single else content
    if not isinstance(items, list) or not items:
        raise BadRequest(400, f"the body must be one object or a list of 1 to {MOST_ROWS:,} of them")
    if len(items) > MOST_ROWS:
        raise BadRequest(413, f"a request may hold {MOST_ROWS:,} rows, this one holds {len(items):,}: send it in parts")
    return Body(items, single, [] if _is_plain(body, items) else _twice(body), fault)


def unzipped(body: bytes) -> bytes:
    """A gzip body's content. Raises `BadRequest` when it is damaged or too large."""
    content, rest = b"", body
    for _ in range(MOST_MEMBERS):
        unzip = zlib.decompressobj(wbits=31)
        try:
            content += unzip.decompress(rest, MOST_BYTES + 1 - len(content))
        except zlib.error as error:
            raise BadRequest(400, f"the body is not gzip, though content-encoding says so ({error})") from None
        if len(content) > MOST_BYTES:
            raise too_large()
        if not unzip.eof:
            raise BadRequest(400, "the gzip body ends too early")
        rest = unzip.unused_data
        if not rest:
            return content
    raise BadRequest(400, f"the gzip body has more than {MOST_MEMBERS} members: compress it as one")


def too_large() -> BadRequest:
    """The refusal of a body above `MOST_BYTES`. Its rest is not read: the connection ends."""
    return BadRequest(
        413, f"the body is larger than {MOST_BYTES >> 20} MiB: send it in parts", (b"connection", b"close")
    )


def _leniently(body: bytes, error: orjson.JSONDecodeError) -> tuple[Any, str]:
    """What a laxer reader makes of a body that is no JSON: a NaN or 1e400 is then named by its row and column."""
    fault = f"the body is not JSON: {error}"
    try:
        return json.loads(body.decode()), fault
    except (ValueError, RecursionError):
        raise BadRequest(400, fault) from None


def _is_plain(body: bytes, items: list[Any]) -> bool:
    """Is no name given twice? A colon follows each name, and all others stand in texts. False: it cannot be told."""
    if b"\\" in body:
        return False
    colons = 0
    for item in items:
        if item.__class__ is not dict:
            return False
        colons += len(item)
        for value in item.values():
            if value.__class__ is str:
                colons += value.count(":")
    return colons == body.count(b":")


def _twice(body: bytes) -> list[Problem]:
    """Names that an object of the body was given more than once. Raises `BadRequest` where Python cannot go so deep."""

    def note(pairs: list[tuple[str, Any]]) -> _Object:
        made = _Object(pairs)
        if len(made) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            made.twice = tuple(name for name, count in counts.items() if count > 1)
        return made

    try:
        content = json.loads(body, object_pairs_hook=note)
    except RecursionError:
        raise BadRequest(400, "the body is nested too deeply: no value of a row is a list or an object") from None
    found: list[Problem] = []
    for at, item in enumerate(content if isinstance(content, list) else [content]):
        if isinstance(item, _Object) and item.twice:
            named = item.twice[:STRANGERS]
            found += [
                Problem(row=at, column=presentable(name), value=None, rule=TWICE, withheld=True) for name in named
            ]
            found += rest(at, len(item.twice), TWICE)
    return found
