"""Markdown from values that nobody has vouched for."""

from __future__ import annotations

import pytest

from lockstep.markdown import APART, code, escape, label, line, table


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("a|b", "a\\|b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("&lt;", "&amp;lt;"),
        ("@everyone", f"@{APART}everyone"),
        ("http://evil.example", f"http:{APART}//evil.example"),
        ("www.evil.example", f"www.{APART}evil.example"),
        ("fixes #12", f"fixes \\#{APART}12"),
        ("`x`", "\\`x\\`"),
        ("![a](b)", "\\!\\[a\\](b)"),
        ("$x$", "\\$x\\$"),
        ("a\n\n# b\x00\u202e", "a \\# b"),
        ("- a", "\\- a"),
        ("12. a", "12\\. a"),
        ("12.", "12\\."),
        ("0.5", "0.5"),
        ("GH-12", f"GH-{APART}12"),
        (":tada: 12:30:45", f":{APART}tada: 12:{APART}30:45"),
        ("-5", "-5"),
        ("plain words, 3.5 %", "plain words, 3.5 %"),
    ],
)
def test_text_means_nothing_but_itself(text: str, harmless: str) -> None:
    assert escape(text) == harmless


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("dep_delay", "`dep_delay`"),
        ("a`b", "<code>a\\`b</code>"),
        ("a|b", "<code>a\\|b</code>"),
        ("<script>", "<code>&lt;script&gt;</code>"),
        ("http://evil.example", f"<code>http:{APART}//evil.example</code>"),
        ("a\nb", "`a b`"),
    ],
)
def test_nothing_breaks_out_of_code(name: str, span: str) -> None:
    assert code(name) == span


def test_long_labels_are_shortened() -> None:
    assert label("x" * 10_000) == "x" * 59 + "…"
    assert code("x" * 10_000) == "`" + "x" * 59 + "…`"
    assert label("x" * 60) == "x" * 60
    assert len(label("|" * 10_000)) == 2 * 59 + 1


def test_a_line_is_shortened_and_keeps_no_mark_that_cannot_be_seen() -> None:
    assert line("a\n\tb\x1b[31m\u202e c") == "a b [31m c"
    assert line("x" * 100, most=10) == "x" * 9 + "…"


def test_a_table_has_one_line_a_row() -> None:
    assert table(["a", "n"], [["x", "1"]], right=(1,)).splitlines() == ["| a | n |", "| --- | --: |", "| x | 1 |"]
