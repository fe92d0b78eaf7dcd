"""GitHub's expressions, as much as the workflows use: literals, contexts, operators, a few functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_][\w.-]*)|(?P<sign>==|!=|&&|\|\||[!(),]))"
)
_STATES = ("always", "success", "failure", "cancelled")


@dataclass
class Expressions:
    """Evaluates in `contexts` (github, vars, steps, …); functions by name."""

    contexts: Mapping[str, Any]
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def evaluate(self, text: str) -> Any:
        """The value of an expression without its `${{ }}`."""
        tokens, at = [], 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            assert found, f"not understood: {text[at:]}"
            tokens.append(found)
            at = found.end()
        value, rest = self._either(tokens)
        assert not rest, f"not understood: {text}"
        return value

    def fill(self, text: str) -> str:
        """Text with each `${{ }}` replaced."""
        return re.sub(r"\$\{\{(.*?)\}\}", lambda found: _shown(self.evaluate(found[1])), text)

    def holds(self, text: str | None, well: bool) -> bool:
        """Does a step's or a job's `if` hold, where all before went well or not?"""
        if text is None:
            return well
        plain = text.strip().removeprefix("${{").removesuffix("}}")
        value = bool(self.evaluate(plain))
        return value and (well or any(f"{state}()" in plain for state in _STATES))

    def _either(self, tokens: list[Any]) -> tuple[Any, list[Any]]:
        value, rest = self._both(tokens)
        while rest and rest[0]["sign"] == "||":
            other, rest = self._both(rest[1:])
            value = value or other
        return value, rest

    def _both(self, tokens: list[Any]) -> tuple[Any, list[Any]]:
        value, rest = self._compared(tokens)
        while rest and rest[0]["sign"] == "&&":
            other, rest = self._compared(rest[1:])
            value = value and other
        return value, rest

    def _compared(self, tokens: list[Any]) -> tuple[Any, list[Any]]:
        value, rest = self._one(tokens)
        if rest and rest[0]["sign"] in ("==", "!="):
            other, after = self._one(rest[1:])
            return (_same(value, other) == (rest[0]["sign"] == "==")), after
        return value, rest

    def _one(self, tokens: list[Any]) -> tuple[Any, list[Any]]:
        first, rest = tokens[0], tokens[1:]
        if first["sign"] == "!":
            value, rest = self._one(rest)
            return not value, rest
        if first["sign"] == "(":
            value, rest = self._either(rest)
            return value, rest[1:]
        if first["text"]:
            return first["text"][1:-1].replace("''", "'"), rest
        if first["number"]:
            return int(first["number"]), rest
        if rest and rest[0]["sign"] == "(":
            return self._called(first["name"], rest[1:])
        return self._named(first["name"]), rest

    def _called(self, name: str, tokens: list[Any]) -> tuple[Any, list[Any]]:
        arguments = []
        while tokens[0]["sign"] != ")":
            value, tokens = self._either(tokens)
            arguments.append(value)
            tokens = tokens[1:] if tokens[0]["sign"] == "," else tokens
        return {**BUILT_IN, **self.functions}[name](*arguments), tokens[1:]

    def _named(self, name: str) -> Any:
        if name in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[name]
        value: Any = self.contexts
        assert name.partition(".")[0] in self.contexts, f"no context `{name}`"
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


BUILT_IN: Mapping[str, Callable[..., Any]] = {
    "contains": lambda text, part: _shown(part).casefold() in _shown(text).casefold(),
    "startsWith": lambda text, start: _shown(text).casefold().startswith(_shown(start).casefold()),
}
"""Functions that ask nothing of a run."""


def _same(one: Any, other: Any) -> bool:
    """As GitHub compares: text without case, absent like empty text."""
    if isinstance(one, str) or isinstance(other, str):
        return _shown(one).casefold() == _shown(other).casefold()
    return bool(one == other)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
