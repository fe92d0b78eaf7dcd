"""A table on a terminal: names, figures to the right, and which of them miss what is asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """A name, its figures, and whether they hold."""

    name: str
    values: tuple[str, ...]
    holds: bool = True


@dataclass(frozen=True, kw_only=True)
class Table:
    """A title, the figures' heads, and rows."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def holds(self) -> bool:
        """Whether every row does."""
        return all(row.holds for row in self.rows)

    def __str__(self) -> str:
        name = max(len(row.name) for row in self.rows) + 2
        columns = zip(self.heads, *(row.values for row in self.rows), strict=True)
        widths = [max(map(len, column)) + 2 for column in columns]
        lines = ["", self.title, _line("", self.heads, name, widths)]
        lines += [_line(row.name, row.values, name, widths) + ("" if row.holds else "   MISSED") for row in self.rows]
        return "\n".join(lines)


def _line(name: str, values: tuple[str, ...], wide: int, widths: list[int]) -> str:
    figures = "".join(value.rjust(width) for value, width in zip(values, widths, strict=True))
    return f"  {name:<{wide}}{figures}".rstrip()
