"""Plain scalars of YAML: which ones every reader understands alike, and how to write the others.

PyYAML reads YAML 1.1; DVC reads YAML 1.2 with ruamel.yaml, which is laxer than the YAML 1.2 core schema that editors
follow. A scalar is accepted only where all three agree.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INTEGER = re.compile(r"^(?:[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(r"^(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?$")
_INFINITE = re.compile(r"^[-+]?\.(?:inf|Inf|INF)$")

_NOT_A_NUMBER = re.compile(r"^\.(?:nan|NaN|NAN)$")
_WORD = re.compile(r"^(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$")
_DATE = re.compile(r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:$|[Tt \t].*$)")
_SEXAGESIMAL = re.compile(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$")
_NUMBER_TO_SOME = re.compile(
    r"""^(?:[-+]?0b[01_]+
    |[-+]?0o?[0-7_]+
    |[-+][0-9_]+|[0-9][0-9_]*
    |[-+]?0x[0-9a-fA-F_]+
    |[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?
    |[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?)$""",
    re.VERBOSE,
)


def disagreement(text: str) -> str | None:
    """Why the plain scalar `text` is refused and how to write it; None where every reader agrees.

    >>> disagreement("0.001"), disagreement("true"), disagreement("LGA")
    (None, None, None)
    >>> disagreement("1e-3")
    'YAML 1.1 and 1.2 read `1e-3` differently. Write 0.001, or "1e-3" in quotes if text is meant.'
    """
    if any(agreed.match(text) for agreed in (_NULL, _BOOLEAN, _INTEGER, _FLOAT, _INFINITE)):
        return None
    if _NOT_A_NUMBER.match(text):
        return f"`{text}` is not equal to itself, so DVC would see a change at every run. Leave the key out."
    if _DATE.match(text):
        return f'DVC cannot read the unquoted date `{text}`. Write "{text}" in quotes.'
    if text in ("<<", "="):
        return f'`{text}` is not part of YAML 1.2. Write the keys out, or "{text}" in quotes if text is meant.'
    if _WORD.match(text):
        meant = "true" if text.lower() in ("yes", "on") else "false"
        return _differently(text, meant)
    if _SEXAGESIMAL.match(text):
        return f'YAML 1.1 and 1.2 read `{text}` differently. Write "{text}" in quotes.'
    return _differently(text, _plain_number(text)) if _NUMBER_TO_SOME.match(text) else None


def _differently(text: str, meant: str) -> str:
    return f'YAML 1.1 and 1.2 read `{text}` differently. Write {meant}, or "{text}" in quotes if text is meant.'


def _plain_number(text: str) -> str:
    """The number that `text` means to a person, spelt as every reader understands it.

    >>> [_plain_number(text) for text in ("010", "0o10", "1_000", "1e-3", "+.5", "1E-20", "0b11")]
    ['10', '8', '1000', '0.001', '0.5', '1.0e-20', '3']
    """
    digits = text.replace("_", "")
    try:
        number = int(digits, 0) if re.match(r"^[-+]?0[xob]", digits) else float(digits)
    except ValueError:
        return "a plain number"
    if isinstance(number, int) or re.match(r"^[-+]?[0-9]+$", digits):
        return str(int(digits) if not isinstance(number, int) else number)
    if math.isinf(number):
        return "a number that is not so large"
    mantissa, mark, exponent = repr(number).partition("e")
    return mantissa if not mark else f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}"


def value(text: str) -> Scalar:
    """What the plain scalar `text` means; for a refused one, the text itself.

    >>> value("12"), value("0x1F"), value("1."), value("~"), value("TRUE"), value("010")
    (12, 31, 1.0, None, True, '010')
    """
    if _NULL.match(text):
        return None
    if _BOOLEAN.match(text):
        return text.lower() == "true"
    if _INTEGER.match(text):
        return int(text, 16 if text.startswith("0x") else 10)
    if _FLOAT.match(text):
        return float(text)
    if _INFINITE.match(text):
        return -math.inf if text.startswith("-") else math.inf
    return text
