"""What differs between two spec files, key by key, as short text. Values are bare: today's rules need not hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain, islice
from typing import Any

from lockstep.remotes.config import without_secrets
from lockstep.report.change import SpecChange
from lockstep.spec import scalars

LENGTH = 60
"""Characters of a value or a key that are shown."""

MOST = 8
"""Items of a list that are named; the others are counted."""

WHOLE = frozenset({("evaluate", "threshold")})
"""Keys whose value is one choice: shown whole, though some choices are written as a mapping."""

ABSENT = object()
"""Stands for a key that is not there, which is not the same as one that holds nothing."""

NODES, DEPTH = 300_000, 50
"""Values, and levels of them, up to which a file is walked through: aliases make a few lines endless."""

Path = tuple[str, ...]
Difference = tuple[Path, Any, Any]


def spec_changes(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> tuple[SpecChange, ...]:
    """Each key that changed, in the order of `after`, then what is gone. The contract's columns are left out: see
    `contract_changes`.
    """
    found = (difference for difference in differences(before, after) if not _is_contract(difference[0]))
    return tuple(change for difference in found for change in _said(*difference))


def _is_contract(path: Path) -> bool:
    """The columns, or all of a contract that one side lacks: it may name values of private columns."""
    return path == ("contract",) or path[:2] == ("contract", "columns")


def comparable(value: Any) -> bool:
    """Is it small enough to walk through? Aliases of YAML can make it endless."""
    level, seen = [value], 0
    for _ in range(DEPTH):
        below = [item for each in level for item in _below(each)]
        seen += sum(1 + len(item) // LENGTH if isinstance(item, str) else 1 for item in below)
        if not below or seen > NODES:
            return not below
        level = below
    return False


def _below(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return islice(chain(value, value.values()), NODES)
    return islice(value, NODES) if isinstance(value, list | tuple | set) else ()


def differences(before: Any, after: Any, path: Path = ()) -> Iterator[Difference]:
    """The keys below `path` at which two values differ, as deep as mappings go."""
    if same(before, after):
        return
    if not _walked(before, after) or path in WHOLE:
        yield path, before, after
        return
    old, new = _keys(before), _keys(after)
    for key in [*new, *(key for key in old if key not in new)]:
        yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), (*path, key))


def same(one: Any, other: Any) -> bool:
    """Are they equal, as DVC sees it? 1 is 1.0 but not true, and what is not a number equals itself."""
    if type(one) is not type(other) and not (_number(one) and _number(other)):
        return False
    if isinstance(one, Mapping):
        old, new = _keys(one), _keys(other)
        return old.keys() == new.keys() and all(same(old[key], new[key]) for key in old)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)


def dotted(path: Iterable[str]) -> str:
    """A key path as people write it, shortened."""
    return cut(".".join(path))


def cut(words: str, most: int = LENGTH) -> str:
    """At most `most` characters.

    >>> cut("abcdef", 4)
    'abc…'
    """
    return words if len(words) <= most else f"{words[: most - 1]}…"


def text(value: Any) -> str:
    """A value as the file would hold it on one line, not shortened; passwords in URLs are taken out.

    >>> text(True), text(3.0), text("3"), text("LGA"), text(["a", None]), text({"maximise": "f1"})
    ('true', '3.0', '"3"', 'LGA', '[a, null]', '{maximise: f1}')
    """
    if value is ABSENT:
        return ""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{text(key)}: {text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, set):
        return "{" + ", ".join(sorted(map(text, value))) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(text, value)) + "]"
    if isinstance(value, str):
        return _words(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 1000:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value.isoformat() if isinstance(value, date) else json.dumps(value, default=str)


def _words(value: str) -> str:
    """Bare where a reader would take it for text, else in quotes."""
    plain = value == value.strip() and (len(value) > LENGTH or isinstance(scalars.value(value), str))
    return without_secrets(value if plain else json.dumps(value, ensure_ascii=False))


def _walked(before: Any, after: Any) -> bool:
    sides = [side for side in (before, after) if side is not ABSENT]
    return all(isinstance(side, Mapping) for side in sides) and any(sides)


def _keys(value: Any) -> dict[str, Any]:
    """A mapping's items by the key as text: YAML has other keys than text."""
    return {} if value is ABSENT else {key if isinstance(key, str) else text(key): item for key, item in value.items()}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said(path: Path, before: Any, after: Any) -> Iterator[SpecChange]:
    sides = [side for side in (before, after) if side is not ABSENT]
    if any(sides) and all(isinstance(side, list) for side in sides):
        yield from _list(path, *([] if side is ABSENT else side for side in (before, after)))
    else:
        old, new = _pair(_short(path, before, after), _short(path, after, before))
        yield SpecChange(path=dotted(path), before=old, after=new)


def _short(path: Path, value: Any, other: Any) -> str:
    """The value's text; of a dotted path to a class only the class, where that tells the two apart."""
    last = [side.rpartition(".")[2] if isinstance(side, str) else None for side in (value, other)]
    is_class = path == ("train", "estimator") and last[0] and last[0] != last[1]
    return str(last[0]) if is_class else text(value)


def _pair(before: str, after: str) -> tuple[str, str]:
    """Both shortened; two long values that begin alike are shown from where they differ."""
    if before == after:
        return cut(before), "another value, which is not shown"
    short = cut(before), cut(after)
    if short[0] != short[1]:
        return short
    apart = (at for at, (old, new) in enumerate(zip(before, after, strict=False)) if old != new)
    start = max(0, next(apart, min(len(before), len(after))) - LENGTH // 3)
    return cut(f"…{before[start:]}"), cut(f"…{after[start:]}")


def _list(path: Path, before: list[Any], after: list[Any]) -> Iterator[SpecChange]:
    old, new = Counter(map(text, before)), Counter(map(text, after))
    gone, come = list((old - new).elements()), list((new - old).elements())
    if not gone and not come:
        yield SpecChange(path=dotted(path), before="the same items", after="in another order")
    elif any(isinstance(item, Mapping) for item in [*before, *after]):
        yield from (SpecChange(path=dotted(path), before=cut(item, 2 * LENGTH), after="", items=True) for item in gone)
        yield from (SpecChange(path=dotted(path), before="", after=cut(item, 2 * LENGTH), items=True) for item in come)
    else:
        yield SpecChange(path=dotted(path), before=named(gone), after=named(come), items=True)


def named(items: Sequence[str], most: int = MOST, length: int = LENGTH // 2) -> str:
    """Items in a row, each shortened to `length`; beyond `most` only how many there are.

    >>> named(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(cut(item, length) for item in items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown
