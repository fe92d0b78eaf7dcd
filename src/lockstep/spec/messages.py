"""What pydantic found wrong, in plain sentences: the value, what is allowed, the nearest match, what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic_core import ErrorDetails

from lockstep.errors import nearest
from lockstep.spec import anatomy
from lockstep.spec.anatomy import KeyPath, Spot
from lockstep.spec.sections import Spec

Finding = tuple[KeyPath, str]
"""A key path and what is wrong there."""


def shown(value: Any) -> str:
    """A value as a reader of the file knows it, shortened.

    >>> shown("mile"), shown(True), shown([1, 2]), shown(None)
    ('"mile"', 'true', '[1, 2]', 'nothing')
    """
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def listed(words: Iterable[Any]) -> str:
    """Words in a row, as the file would hold them."""
    return ", ".join(word if isinstance(word, str) else shown(word) for word in words)


def findings(errors: Iterable[ErrorDetails]) -> Iterator[Finding]:
    """The place and the sentence of each of pydantic's errors, without those that another one explains."""
    errors = list(errors)
    unknown = [anatomy.locate(Spec, error["loc"]).path for error in errors if error["type"] == "extra_forbidden"]
    for error in errors:
        spot = anatomy.locate(Spec, error["loc"])
        if error["type"] == "missing" and _misspelt(spot, unknown):
            continue
        if isinstance(spot.shape.chosen_by, str) and error["type"] != "missing":
            yield _wrong_choice(error, spot)
        else:
            yield spot.path, _SENTENCES.get(error["type"], _other)(error, spot)


def _misspelt(spot: Spot, unknown: list[KeyPath]) -> bool:
    """Whether an unknown key beside the missing one is a misspelling of it."""
    beside = [str(path[-1]) for path in unknown if path[:-1] == spot.path[:-1]]
    return bool(nearest(str(spot.path[-1]), beside))


def _missing(error: ErrorDetails, spot: Spot) -> str:
    allowed = spot.shape.allowed
    return f"the key is missing. Add it: {_meaning(spot)}." + (f" Allowed: {listed(allowed)}." if allowed else "")


def _unknown_key(error: ErrorDetails, spot: Spot) -> str:
    assert spot.section is not None
    key, allowed = str(spot.path[-1]), sorted(anatomy.fields(spot.section))
    if key in spot.section.OTHERWISE:
        return f"this does not belong here (value {shown(error['input'])}): {spot.section.OTHERWISE[key]}."
    return f"unknown key (value {shown(error['input'])}). Allowed: {listed(allowed)}.{nearest(key, allowed)}"


def _not_among(error: ErrorDetails, spot: Spot) -> str:
    value, allowed = error["input"], spot.shape.allowed
    return f"{shown(value)} is not allowed. Allowed: {listed(allowed)}.{nearest(str(value), map(str, allowed))}"


def _wrong_choice(error: ErrorDetails, spot: Spot) -> Finding:
    """A section that should say of which kind it is, and does not or says it wrongly."""
    value, key, allowed = error["input"], str(spot.shape.chosen_by), list(spot.shape.choices)
    if not isinstance(value, dict):
        return spot.path, f"{shown(value)} is not a section. Write {{{key}: …}} with one of {listed(allowed)}."
    path = (*spot.path, key)
    if key not in value:
        near = next((other for other in value if nearest(key, [str(other)])), None)
        found = f" Did you mean it by `{near}`?" if near else ""
        return path, f"the key is missing. Add it. Allowed: {listed(allowed)}.{found}"
    return path, f"{shown(value[key])} is not allowed. Allowed: {listed(allowed)}.{nearest(str(value[key]), allowed)}"


def _not(kind: str) -> Callable[[ErrorDetails, Spot], str]:
    def sentence(error: ErrorDetails, spot: Spot) -> str:
        value = error["input"]
        advice = _expected(spot)
        if not advice and kind == "text" and isinstance(value, int | float):
            advice = f' Write "{shown(value)}" in quotes.'
        return f"{shown(value)} is not {kind}.{advice}"

    return sentence


def _empty(error: ErrorDetails, spot: Spot) -> str:
    return f"this is empty. Give at least one.{_expected(spot)}"


def _pattern(error: ErrorDetails, spot: Spot) -> str:
    return f"{shown(error['input'])} does not fit.{_expected(spot)}"


_LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _out_of_range(error: ErrorDetails, spot: Spot) -> str:
    limits = error.get("ctx", {})
    bounds = [f"{word} {_number(limits[name])}" for name, word in _LIMITS.items() if name in limits]
    return f"{shown(error['input'])} is out of range: it must be {' and '.join(bounds)}.{_expected(spot)}"


def _own_words(error: ErrorDetails, spot: Spot) -> str:
    return f"{shown(error['input'])} does not fit: {error.get('ctx', {}).get('error', error['msg'])}"


def _other(error: ErrorDetails, spot: Spot) -> str:
    return f"{shown(error['input'])} does not fit: {error['msg'][0].lower()}{error['msg'][1:]}.{_expected(spot)}"


def _meaning(spot: Spot) -> str:
    definition = spot.definition
    return definition.description if definition and definition.description else "it is needed"


def _expected(spot: Spot) -> str:
    return f" Expected: {_meaning(spot)}." if spot.definition and spot.definition.description else ""


_SENTENCES: dict[str, Callable[[ErrorDetails, Spot], str]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "literal_error": _not_among,
    "string_type": _not("text"),
    "int_type": _not("a whole number"),
    "int_from_float": _not("a whole number"),
    "float_type": _not("a number"),
    "bool_type": _not("true or false"),
    "list_type": _not("a list"),
    "dict_type": _not("a section of keys and values"),
    "model_type": _not("a section of keys and values"),
    "model_attributes_type": _not("a section of keys and values"),
    "string_pattern_mismatch": _pattern,
    "string_too_short": _empty,
    "too_short": _empty,
    "greater_than": _out_of_range,
    "greater_than_equal": _out_of_range,
    "less_than": _out_of_range,
    "less_than_equal": _out_of_range,
    "finite_number": _not("a finite number"),
    "value_error": _own_words,
}
