"""The small interpreter of GitHub's expressions says what GitHub would."""

from __future__ import annotations

import pytest

from loop.expressions import Expressions

KNOWN = Expressions(
    {"github": {"event_name": "push", "sha": "abc", "event": {"number": 3}}, "vars": {}, "steps": {}},
    {"always": lambda: True, "hashFiles": lambda name: f"hash of {name}"},
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.event_name == 'PUSH'", True),
        ("github.event.number", 3),
        ("github.event.pull_request.number || github.sha", "abc"),
        ("vars.ROLE != ''", False),
        ("vars.ROLE == '' && github.sha", "abc"),
        ("!(github.sha == 'abc') || false", False),
        ("hashFiles('dvc.lock')", "hash of dvc.lock"),
        ("'it''s'", "it's"),
    ],
)
def test_expressions(text: str, value: object) -> None:
    assert KNOWN.evaluate(text) == value


def test_text_is_filled() -> None:
    assert KNOWN.fill("a-${{ github.sha }}-${{ vars.NONE }}") == "a-abc-"


def test_after_a_failure_only_those_run_that_ask_for_it() -> None:
    assert not KNOWN.holds(None, well=False)
    assert not KNOWN.holds("github.sha == 'abc'", well=False)
    assert KNOWN.holds("always()", well=False)
    assert KNOWN.holds("${{ github.sha == 'abc' }}", well=True)


@pytest.mark.parametrize("text", ["github.sha >", "nobody.knows", "a b"])
def test_what_is_not_understood_is_not_guessed(text: str) -> None:
    with pytest.raises((AssertionError, IndexError)):
        KNOWN.evaluate(text)
