"""YAML as DVC reads it: ruamel.yaml's reading of version 1.2, at the speed of PyYAML's C parser.

PyYAML alone reads version 1.1. DVC writes the text `yes` into dvc.lock without quotes, and the number 0.00001 as
`1e-05`: read as 1.1 the first would be a truth value and the second a text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
_BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_FLOAT = re.compile(
    r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
    |[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)
_INTEGER = re.compile(r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|[0-9][0-9_]*|0x[0-9a-fA-F_]+)$")
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")


class _Loader(yaml.CSafeLoader):
    """Without 1.1's words, octals, sexagesimals; and a date stays the text it is, since only its text is compared."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  (PyYAML's own way of inheriting)

    def integer(self, node: yaml.ScalarNode) -> int:
        """`010` is ten, `0o10` eight."""
        digits = str(self.construct_scalar(node)).replace("_", "")
        return int(digits, 0) if re.match(r"^[-+]?0[xob]", digits) else int(digits)


_Loader.add_implicit_resolver(f"{_TAG}bool", _BOOLEAN, list("tTfF"))
_Loader.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))
_Loader.add_implicit_resolver(f"{_TAG}int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}null", _NULL, ["~", "n", "N", ""])
_Loader.add_implicit_resolver(f"{_TAG}merge", re.compile(r"^<<$"), ["<"])
_Loader.add_constructor(f"{_TAG}int", _Loader.integer)


def load(text: str | bytes) -> Any:
    """The one document in `text`. Raises `yaml.YAMLError`.

    >>> load("[yes, 1e-05, 010, 1:30, 2013-01-01, true]")
    ['yes', 1e-05, 10, '1:30', '2013-01-01', True]
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506  (it is a safe loader)
