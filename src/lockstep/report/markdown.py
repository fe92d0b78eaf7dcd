"""A report as Markdown for a comment: always below what a comment holds, and harmless whatever the data hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape as html_escape

from lockstep.markdown import LABEL, code, escape, table
from lockstep.report import mermaid
from lockstep.report.document import (
    Alert,
    Block,
    Bullets,
    Chart,
    Code,
    Commands,
    Fold,
    Link,
    Mark,
    Paragraph,
    Part,
    Report,
    Strong,
    Table,
    Words,
    short,
)
from lockstep.report.numbers import count

MOST = 60_000
"""Characters. GitHub refuses a comment of more than 65,536, and what posts it adds some."""

HEADLINE = 400
_ADDRESS = re.compile(r"https?://[\w.:/-]+")


@dataclass(frozen=True, kw_only=True)
class Room:
    """How much of a report is set: rows of a table, sentences of an alert or a list, characters of a piece of text."""

    rows: int
    sentences: int
    text: int


ROOMS = (
    Room(rows=60, sentences=12, text=300),
    Room(rows=30, sentences=12, text=200),
    Room(rows=15, sentences=8, text=120),
    Room(rows=8, sentences=6, text=80),
    Room(rows=4, sentences=4, text=60),
    Room(rows=2, sentences=3, text=40),
)
"""Tried in this order until a report fits."""


def render(report: Report) -> str:
    """The report, in as much room as a comment gives it."""
    for room in ROOMS:
        text = _report(report, room)
        if len(text) <= MOST:
            return text
    raise AssertionError(f"a report of {len(text):,} characters in its smallest form")


def _report(report: Report, room: Room) -> str:
    pieces = [f"## {report.mark.text} {escape(report.headline, HEADLINE)}"]
    pieces += [piece for block in report.lead for piece in _block(block, room)]
    pieces += [_fold(fold, room) for fold in report.folds]
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def _fold(fold: Fold, room: Room) -> str:
    inside = "\n\n".join(piece for block in fold.blocks for piece in _block(block, room) if piece)
    # A blank line ends raw HTML: what stands between the tags is Markdown again.
    return f"<details><summary>{html_escape(fold.summary)}</summary>\n\n{inside}\n\n</details>"


def _block(block: Block, room: Room) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield inline(block.text, 4 * room.text)
    elif isinstance(block, Alert):
        yield _alert(block, room)
    elif isinstance(block, Bullets):
        yield "\n".join(f"- {inline(item, room.text)}" for item in block.items)
    elif isinstance(block, Commands):
        yield "\n".join(["```console", *(f"$ {line}" for line in block.lines), "```"])
    elif isinstance(block, Table):
        yield from _table(block, room)
    elif isinstance(block, Chart):
        drawn = mermaid.chart(block)
        if drawn:
            yield escape(block.caption)
            yield f"```mermaid\n{drawn}\n```"


def _alert(alert: Alert, room: Room) -> str:
    shown = [inline(sentence, room.text) for sentence in alert.sentences[: room.sentences]]
    if len(alert.sentences) > len(shown):
        shown.append(f"{count(len(alert.sentences) - len(shown), 'more is', 'more are')} in the full report.")
    lines = shown if len(shown) == 1 else [f"- {sentence}" for sentence in shown]
    return "\n".join([f"> [!{alert.kind.upper()}]", *(f"> {line}" for line in lines)])


def _table(content: Table, room: Room) -> Iterator[str]:
    most = min(room.rows, content.short or room.rows)
    rows = [[inline(cell, room.text) for cell in cells] for cells in content.rows[:most]]
    yield table([inline(cell, room.text) for cell in content.head], rows, right=content.right)
    left = len(content.rows) - len(rows)
    if left:
        yield f"{count(left, 'more row is', 'more rows are')} in the full report."


def inline(text: Words, most: int) -> str:
    """Running text, escaped, on one line, shortened to about `most` visible characters.

    >>> inline(("a|b ", Code("x"), Strong(" worse")), 60)
    'a\\\\|b `x` **worse**'
    >>> inline(("a b c", Code("x" * 50), "y", "z"), 10)
    'a b c`xxxx…`…'
    """
    made, left = "", most
    for index, part in enumerate(text):
        made += _part(part, left)
        left -= len(part if isinstance(part, str) else part.text)
        if left <= 0 and index < len(text) - 1:
            return f"{made.strip().removesuffix('…')}…"
    return made.strip()


def _part(part: Part, most: int) -> str:
    if isinstance(part, Code):
        return code(short(part.text, min(most, LABEL)))
    if isinstance(part, Link):
        return f"[{escape(part.text)}]({part.to})" if _ADDRESS.fullmatch(part.to) else escape(part.text)
    if isinstance(part, Mark):
        return part.text
    # Escaping takes the space around a part away, and it is what keeps parts apart.
    text = part if isinstance(part, str) else part.text
    before, after = (" " if text[:1].isspace() else ""), (" " if text.strip() and text[-1:].isspace() else "")
    inside = escape(text, most)
    return f"{before}{f'**{inside}**' if isinstance(part, Strong) and inside else inside}{after}"
