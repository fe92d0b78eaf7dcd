"""Markdown for people, from values that nobody has vouched for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A Markdown table; `right` lists the columns of numbers."""
    rule = ["--:" if position in right else "---" for position in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])


def escape(text: str) -> str:
    """Text from the spec or the data, harmless in Markdown and in a table's cell."""
    flat = " ".join(text.split())
    for character in "\\`*_{}[]<>|#@":
        flat = flat.replace(character, "\\" + character if character not in "<>@" else f"&#{ord(character)};")
    return flat
