"""A report in a terminal: all that the comment says, unfolded. Charts are left to their tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lockstep.markdown import line
from lockstep.report.document import (
    Alert,
    Block,
    Bullets,
    Code,
    Commands,
    Paragraph,
    Report,
    Strong,
    Table,
    Words,
    short,
)
from lockstep.report.numbers import count

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

LONGEST = 200
"""Characters of a piece of text."""

MOST = 30
"""Rows of a table, sentences of an alert."""

_COLOURS = {"good": "green", "careful": "yellow", "bad": "red", "unsure": "yellow"}
_ALERTS = {"caution": "red", "warning": "yellow", "note": "blue"}


def show(report: Report, console: Console) -> None:
    """Print it."""
    from rich.padding import Padding
    from rich.rule import Rule
    from rich.text import Text

    headline = Text(
        f"{report.mark.text} {line(report.headline, 2 * LONGEST)}", style=f"bold {_COLOURS[report.mark.tone]}"
    )
    console.print(Padding(headline, (1, 0)))
    for block in report.lead:
        _print(block, console)
    for fold in report.folds:
        console.print(Rule(Text(fold.summary, style="bold"), align="left", style="dim"))
        for block in fold.blocks:
            _print(block, console)


def _print(block: Block, console: Console) -> None:
    from rich.padding import Padding

    for piece in _pieces(block):
        console.print(Padding(piece, (0, 0, 1, 0)))


def _pieces(block: Block) -> Iterator[RenderableType]:
    if isinstance(block, Paragraph):
        yield text(block.text)
    elif isinstance(block, Alert):
        yield _alert(block)
    elif isinstance(block, Bullets):
        yield _joined([text(("• ", *item)) for item in block.items])
    elif isinstance(block, Commands):
        yield _joined([text((f"$ {each}",)) for each in block.lines])
    elif isinstance(block, Table):
        yield from _table(block)


def _alert(alert: Alert) -> RenderableType:
    from rich.panel import Panel
    from rich.text import Text

    shown = [text(sentence) for sentence in alert.sentences[:MOST]]
    if len(alert.sentences) > MOST:
        shown.append(Text(f"{count(len(alert.sentences) - MOST, 'more is', 'more are')} in the page."))
    colour = _ALERTS[alert.kind]
    return Panel(_joined(shown), title=alert.kind, title_align="left", border_style=colour)


def _table(content: Table) -> Iterator[RenderableType]:
    from rich import box
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for index, cell in enumerate(content.head):
        drawn.add_column(text(cell), justify="right" if index in content.right else "left")
    most = min(MOST, content.short or MOST)
    for cells in content.rows[:most]:
        drawn.add_row(*map(text, cells))
    yield drawn
    if len(content.rows) > most:
        yield Text(f"{count(len(content.rows) - most, 'more row is', 'more rows are')} in the page.", style="dim")


def _joined(texts: list[Text]) -> Text:
    from rich.text import Text

    return Text("\n").join(texts)


def text(content: Words) -> Text:
    """Running text: no markup and no escape sequence of the data is taken for one."""
    from rich.text import Text

    made = Text()
    for part in content:
        style = "cyan" if isinstance(part, Code) else "bold" if isinstance(part, Strong) else ""
        said = part if isinstance(part, str) else short(part.text, LONGEST) if isinstance(part, Code) else part.text
        before, after = (" " if said[:1].isspace() else ""), (" " if said.strip() and said[-1:].isspace() else "")
        made.append(f"{before}{line(said, LONGEST)}{after}", style=style)
    return made
