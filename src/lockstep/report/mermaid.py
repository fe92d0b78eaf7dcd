"""Static charts that GitHub draws: Mermaid's xychart-beta, within what it can do.

Its palette is set, since its own is nearly invisible; numbers have fixed decimals, since `1e-3` and `nan` are errors;
each series has a value for each label; bars begin at zero; at most ten labels.
"""

from __future__ import annotations

from math import ceil, floor, isfinite, log10

from lockstep.report.document import Chart

PALETTE = {"challenger": "#2f6fdb", "champion": "#d97b1d", "expected": "#8b949e"}
"""Visible on white and on black alike."""

LABELS = 10
_WIDTH, _HEIGHT = 640, 280


def chart(content: Chart) -> str:
    """The chart as Mermaid's text; "" for one that cannot be drawn: too few or too many labels, values not finite."""
    values = [value for series in content.series for value in series.values]
    whole = all(len(series.values) == len(content.labels) for series in content.series)
    if not (2 <= len(content.labels) <= LABELS and values and whole and all(map(isfinite, values))):
        return ""
    low, high = _ends(values)
    places = max(0, 3 - floor(log10(high - low)))
    palette = ", ".join(PALETTE[series.who] for series in content.series)
    labels = ", ".join(f'"{_quoted(label)}"' for label in content.labels)
    lines = [
        "---",
        "config:",
        "  xyChart:",
        f"    width: {_WIDTH}",
        f"    height: {_HEIGHT}",
        "  themeVariables:",
        "    xyChart:",
        f'      plotColorPalette: "{palette}"',
        "---",
        "xychart-beta",
        f'  x-axis "{_quoted(content.x)}" [{labels}]',
        f'  y-axis "{_quoted(content.y)}" {low:.{places}f} --> {high:.{places}f}',
    ]
    drawn = [f"  {each.kind} [{', '.join(f'{value:.{places}f}' for value in each.values)}]" for each in content.series]
    return "\n".join([*lines, *drawn])


def _ends(values: list[float]) -> tuple[float, float]:
    """Round ends of an axis that holds zero and all values."""
    low, high = min(0.0, *values), max(0.0, *values)
    if low == high:
        return 0.0, 1.0
    step = 10.0 ** floor(log10(high - low))
    step = step / 5 if (high - low) / step < 2 else step / 2 if (high - low) / step < 5 else step
    return floor(low / step) * step, ceil(high / step) * step


def _quoted(text: str) -> str:
    return " ".join(text.replace('"', "#quot;").split())
