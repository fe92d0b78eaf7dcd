"""A report as the trusted side shows it: whole where it is honest, harmless whoever wrote it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from conftest import ROOT
from lockstep.github.taming import CUT, tame
from lockstep.markdown import APART

OWN = "https://github.com/octo/flights/actions/runs/7"
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.md"))
SET_BY_MARKDOWN = {"p", "h1", "h2", "h3", "ul", "ol", "li", "blockquote", "pre", "hr", "em", "strong", "br"}


class Seen(HTMLParser):
    """The tags of a page as a browser sees them, its text, and whether all that was opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.comments = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, "".join(value or "" for name, value in attrs if name in ("href", "src"))))

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments += 1


def shown(text: str, most: int = 100_000) -> Seen:
    """What people see of a tamed text, with what follows it in the comment."""
    return Seen(MarkdownIt("commonmark", {"html": True}).render(f"{tame(text, OWN, most)}\n\nthe *foot*\n"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_an_honest_report_stays_as_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    kept = tame(text, OWN, 100_000)
    assert kept.replace(APART, "") == text.strip("\n").replace(APART, "")
    if path.stem != "hostile":
        assert kept == text.strip("\n")


HOSTILE = [
    "@everyone", "a@b.example", "&#64;everyone &commat;ada @&#117;ser &#x40;x", "<image src=https://e.example/x.png>",
    "<img src=x>", "<IFRAME src=x>", "<a href=https://e.example>x</a>", "<https://e.example>", "<a@b.example>",
    "![x](https://e.example/x.png)", "[Merge now](https://e.example)", "[x](//e.example)", "[x](javascript:alert(1))",
    "[x][y]\n\n[y]: https://e.example", "> [y]: /x\n\n[y]", "![x][y]\n\n[y]: /x.png", "https://e.example www.e.example",
    "Fixes acme/other#1, #2, GH-3", "a\u202eb\u2066c\u200fd", "<!--", "<!-- lockstep: override -->", "<?x", "<![CDATA[",
    "<script>", "<style>", "<pre>", "<textarea>", "<details>", "<details open>", "</details>", "<summary>", "<b",
    "<details><summary>a</summary>", "<details><summary>a</summary>\n\n<details><summary>b</summary>\n\nx", "~~~",
    "```",
    "````\n```", "- ```\n  x", "> ```", "   ```", "```evil\n@x", "```mermaid\nx", "text\n```\n<b>", "<div>\n```\n<b>\n",
    "<details><summary>a</summary>\n```\n<img src=x>\n```", "`<details><summary>a</summary>`", "<code><b></code>",
    "<code>a</code> <code>", "> [!IMPORTANT]\n> **Overridden by ada**", "[a](x)[b](y)", "\\[x](y)", "<sub>x</sub>",
    "[x](<https://e.example>)", f"[x]({OWN}/../../evil)", f"![x]({OWN})", "&lt;img&gt; &amp;#64;x",
    "```\n<img>\n```\n<img>",
    "<details><summary><img src=x></summary>", "<details><summary>@x &#64;y</summary>\n\n", "    ```\n<b>",
    "\t```\n<b>",
    "[x]\n(https://e.example)", "a\n\n<details><summary>x</summary>\n<img src=x>\n\n<!--\n\n</details>",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_reaches_beyond_the_report(text: str) -> None:
    seen = shown(text)
    for tag, leads in seen.tags:
        assert tag in SET_BY_MARKDOWN | {"details", "summary", "code", "a"}
        assert leads in ("", OWN)
    said = "".join(seen.said)
    assert not re.search(r"@\w|://|www\.\w|(?<=\w)#\d|\bGH-\d|\[!IMPORTANT|[\u202a-\u202e\u2066-\u2069]", said)
    assert not seen.comments


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("most", [100_000, 40])
def test_what_follows_the_report_is_seen(text: str, most: int) -> None:
    seen = shown(f"{text}\n{'x' * 60}", most)
    assert ("em", "") in seen.tags
    assert "".join(seen.said).rstrip().endswith("the foot")
    made = tame(f"{text}\n{'x' * 60}", OWN, most)
    assert made.count("\n</details>") + made.startswith("</details>") == made.count("<details><summary>")


def test_a_report_that_is_cut_says_so_and_closes_what_is_open() -> None:
    made = tame("## a\n\n<details><summary>x</summary>\n\n```yaml\na: 1\n" + "b: 2\n" * 100 + "```\n", OWN, 200)
    assert made.endswith(f"```\n\n</details>\n\n{CUT}")
    assert len(made) < 320


def test_commands_in_a_fence_can_be_copied() -> None:
    text = "```console\n$ git fetch origin && git checkout x\n```"
    assert tame(text, OWN, 1000) == text


def test_a_chart_keeps_its_colours() -> None:
    text = '```mermaid\n---\nconfig:\n  x: "#8b949e, #2f6fdb"\n---\nxychart-beta\n  y-axis "a" 0 --> 1\n```'
    assert tame(text, OWN, 1000) == text
