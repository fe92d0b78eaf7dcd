"""Markdown for people, from values that nobody has vouched for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

LABEL = 60
"""Characters of a label or a name that are shown; a value of the data may be a whole document."""

APART = "\u200b"
"""A space without width. After it a platform finds no address and no mention to link, however it was escaped."""

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_ESCAPED = str.maketrans(_ENTITIES | {character: "\\" + character for character in "\\`*_{}[]|#~$!"})
_LINKED = re.compile(r"@|://|(?<=www)\.|#(?=\d)|(?<=\bgh)-(?=\d)|:(?=[a-z0-9_+-]+:)", re.IGNORECASE)
"""Where a platform would see a mention, an address, an issue, a picture of a :word:."""
_BEGINS_A_BLOCK = re.compile(r"^(?:[-+=](?=[-+= ]|$)|\d+(?=[.)](?: |$)))")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A Markdown table; `right` lists the columns of numbers."""
    rule = ["--:" if position in right else "---" for position in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])


def escape(text: str, most: int | None = None) -> str:
    """Text from the spec or the data as one line, harmless in Markdown and in a table's cell; `most` shortens it.

    >>> escape("a|b <i>"), escape("x" * 70, most=5)
    ('a\\\\|b &lt;i&gt;', 'xxxx…')
    """
    flat = _LINKED.sub(_apart, line(text, most))
    block = _BEGINS_A_BLOCK.match(flat)
    escaped = flat.translate(_ESCAPED)
    if block is None:
        return escaped
    return f"\\{escaped}" if block.end() == 1 and not flat[0].isdigit() else f"{block[0]}\\{escaped[block.end() :]}"


def label(text: str) -> str:
    """A label or a name from the data as text, shortened: see `escape`."""
    return escape(text, LABEL)


def code(text: str, most: int = LABEL) -> str:
    """A name as code, shortened. One that a code span cannot hold, or a cell, is escaped text inside <code>.

    >>> code("age"), code("a`b")
    ('`age`', '<code>a\\\\`b</code>')
    """
    flat = line(text, most)
    plain = flat and not re.search(r"[`|<>&@\\]|://", flat)
    return f"`{flat}`" if plain else f"<code>{escape(flat)}</code>"


def line(text: str, most: int | None = None) -> str:
    """Text as one line of visible characters, no marks that turn the direction of reading; `most` shortens it.

    Not yet escaped for anything.

    >>> line(" a\\n\\u202eb "), line("x" * 70, most=5)
    ('a b', 'xxxx…')
    """
    short = text if most is None else text[: 4 * most]
    flat = " ".join("".join(each if each.isprintable() else " " for each in short).split())
    cut = most is not None and (len(flat) > most or len(short) < len(text))
    return f"{flat[: (most or 0) - 1].rstrip()}…" if cut else flat


def _apart(found: re.Match[str]) -> str:
    return f":{APART}//" if found[0] == "://" else f"{found[0]}{APART}"
