"""A report as one page that asks the network for nothing: style, script and numbers are inside.

Its Content-Security-Policy names the style and the script by their hashes, so that nothing else can run in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

from lockstep.markdown import line
from lockstep.report.document import Report, short
from lockstep.statistics import curves

ASSETS = Path(__file__).parent / "assets"
LONGEST = 160
"""Characters of a name or a value in a plot."""

LONGEST_TEXT = 400
"""Characters of any other piece of text."""

ROOMS = (500, 100, 20)
"""Rows of a table: tried in this order until the page is small enough to be sent and opened."""

SENTENCES = 24
"""Sentences of an alert: they stand before the figures."""

MOST = 8_000_000
"""Bytes of a page."""

POINTS = 5
"""So many times the rows of a table are drawn in a plot, and never less than a curve has points."""

_OPEN = ("slices", "curves")


def render(report: Report) -> str:
    """The whole page, in as much room as a page is given."""
    pages = (_page(report, most) for most in ROOMS)
    return next((page for page in pages if len(page.encode()) <= MOST), None) or _page(report, 1)


def _page(report: Report, most: int) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined)
    environment.filters["kind"] = lambda part: type(part).__name__
    environment.filters["line"] = _line
    environment.filters["short"] = partial(short, most=LONGEST_TEXT)
    style, script = ((ASSETS / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    page = environment.get_template("page.html").render(
        report=report,
        open=("gates", *_OPEN) if report.mark.tone == "bad" else _OPEN,
        most=most,
        said=min(most, SENTENCES),
        style=Markup(style),  # noqa: S704  (ours)
        style_hash=_hash(style),
        script=Markup(script),  # noqa: S704  (ours)
        script_hash=_hash(script),
        data=Markup(embedded(_cut(report.data, max(curves.POINTS, POINTS * most)))),  # noqa: S704  (escaped by `embedded`)
    )
    return page + "\n"


def embedded(value: Any) -> str:
    """JSON that may stand inside a script element: nothing in it can end that element.

    >>> embedded(["</script>", 0.5])
    '["\\\\u003c/script\\\\u003e", 0.5]'
    """
    text = json.dumps(_short(value), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _cut(value: Any, most: int) -> Any:
    """The same, each list with its first `most` items."""
    if isinstance(value, dict):
        return {name: _cut(each, most) for name, each in value.items()}
    return [_cut(each, most) for each in value[:most]] if isinstance(value, list) else value


def _short(value: Any) -> Any:
    """The same, each string as one short line."""
    if isinstance(value, str):
        return short(value, LONGEST)
    if isinstance(value, dict):
        return {short(name, LONGEST): _short(each) for name, each in value.items()}
    return [_short(each) for each in value] if isinstance(value, list | tuple) else value


def _line(text: str) -> str:
    """As one line, with the space around it: the page sets pieces of text one after another."""
    before, after = (" " if text[:1].isspace() else ""), (" " if text.strip() and text[-1:].isspace() else "")
    return f"{before}{line(text, LONGEST_TEXT)}{after}"


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
