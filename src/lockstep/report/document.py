"""What a report is made of. Markdown, the page and the terminal each set it in their own way.

All text here is plain: whoever sets it escapes it and shortens it. Tables are whole: whoever sets them may leave rows
out, and says how many.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from lockstep.markdown import line


@dataclass(frozen=True)
class Code:
    """A name, set as code."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Text that catches the eye."""

    text: str


@dataclass(frozen=True)
class Link:
    """Words that lead to an address which is ours, never one from the data."""

    text: str
    to: str


Tone = Literal["good", "careful", "bad", "unsure"]


@dataclass(frozen=True)
class Mark:
    """A sign that is seen before anything is read."""

    tone: Tone

    @property
    def text(self) -> str:
        """The sign, where there is nothing better to draw it with."""
        return {"good": "✅", "careful": "⚠️", "bad": "❌", "unsure": "❔"}[self.tone]


Part = str | Code | Strong | Link | Mark
Words = tuple[Part, ...]
"""A piece of running text."""

Cells = tuple[Words, ...]


def words(*parts: Part) -> Words:
    """Parts as running text; empty ones fall out."""
    return tuple(part for part in parts if part != "")


LONGEST = 2000
"""Characters of a sentence that anybody is shown."""


def prose(sentence: str) -> Words:
    """A sentence in which backticks mark code, as many before as after; what is beyond `LONGEST` is cut.

    >>> prose("run `make repro` first"), prose("`` a`b `` is worse")
    (('run ', Code(text='make repro'), ' first'), (Code(text='a`b'), ' is worse'))
    """
    text = sentence if len(sentence) <= LONGEST else f"{sentence[:LONGEST]}…"
    parts: list[Part] = []
    end = 0
    for found in _CODE.finditer(text):
        parts += [text[end : found.start()], Code(_inside(found[2]))]
        end = found.end()
    return words(*parts, text[end:])


_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def _inside(text: str) -> str:
    padded = text.startswith(" ") and text.endswith(" ") and "`" in text
    return text[1:-1] if padded else text


def quoted(name: str) -> str:
    """A name from the data as code within a sentence: `prose` gives it back, whatever backticks it holds.

    >>> quoted("LGA"), quoted("a`b")
    ('`LGA`', '`` a`b ``')
    """
    fence = "`" * (1 + max(map(len, re.findall("`+", name)), default=0))
    return f"{fence} {name} {fence}" if len(fence) > 1 else f"`{name}`" if name else "an empty text"


MARK = 6
"""Digits of the hash that tells shortened names apart."""


def short(name: str, most: int) -> str:
    """A name on one line of at most `most` characters. One that is cut ends in digits of its hash, so that two that
    begin alike stay two.

    >>> short("abc", 20), short("x" * 30, 20)
    ('abc', 'xxxxxxxxxxxxx…666a59')
    """
    flat = line(name)
    if len(flat) <= most or most <= 2 * MARK:
        return line(name, most)
    digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()
    return f"{flat[: most - MARK - 1].rstrip()}…{digest[:MARK]}"


def plain(text: Words) -> str:
    """The words without their dress.

    >>> plain(("run ", Code("make repro")))
    'run make repro'
    """
    return "".join(part if isinstance(part, str) else part.text for part in text)


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Running text."""

    text: Words


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Sentences that must not be overlooked. A caution stops a reader, a warning slows one down."""

    kind: Literal["caution", "warning", "note"]
    sentences: tuple[Words, ...]


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """A list."""

    items: tuple[Words, ...]


@dataclass(frozen=True, kw_only=True)
class Commands:
    """Lines to type into a shell. They hold nothing from the data."""

    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells, the most important first; `right` lists the columns of numbers. `short` is how many rows people
    are shown at first, where that is not all of them.
    """

    head: Cells
    rows: tuple[Cells, ...]
    right: tuple[int, ...] = ()
    short: int | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line, or one set of bars from zero; a value for each label of its chart. `who` gives it its colour."""

    kind: Literal["line", "bar"]
    who: Literal["challenger", "champion", "expected"]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A small static chart, for where nothing can be touched. Its numbers stand in a table beside it. It has no legend:
    the caption says what is what.
    """

    caption: str
    x: str
    y: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A place for an interactive plot, by name; only the page has it."""

    name: Literal["differences", "slices", "curves", "drift"]


Block = Paragraph | Alert | Bullets | Commands | Table | Chart | Plot


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Details under a line that says what they amount to. The line holds nothing from the data."""

    name: str
    summary: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of it: a headline with its mark, what everybody reads, what can be unfolded. `data` is what plots draw."""

    mark: Mark
    headline: str
    project: str
    lead: tuple[Block, ...]
    folds: tuple[Fold, ...]
    data: dict[str, Any] = field(default_factory=dict)
