"""What differs between two contracts, in sentences, and whether it breaks those who call the service.

A caller sends the columns that the model sees and reads the answer. So a change breaks callers when a request that was
right before is refused or means something else, or when the answer does. What a caller sends beyond those columns is
ignored: a column that is no longer read breaks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from lockstep.report.change import ContractChange
from lockstep.report.document import quoted
from lockstep.report.spec_changes import cut, named, same, text
from lockstep.spec import parse_moment

Said = tuple[str, bool]
"""What changed, and whether that breaks a caller who sends the column."""

Columns = Mapping[str, "Declared"]

UNREADABLE = ContractChange(
    text="the base's contract cannot be read, so nobody can say whether its callers still get an answer",
    breaking=True,
    short="the base's cannot be read",
)


class Declared(dict[str, Any]):
    """A column as the file declares it; what the file leaves out has its default."""

    DEFAULTS: Mapping[str, Any] = {
        "missing": "refused", "unknown": "served", "private": False, "feature": True, "unit": "", "about": "",
    }  # fmt: skip

    def __missing__(self, key: str) -> Any:
        return self.DEFAULTS.get(key)

    @property
    def sent(self) -> bool:
        """Does a caller send it?"""
        seen = self["feature"] is True and self["available"] != "after"
        return seen and (self["type"] != "datetime" or bool(self["parts"]))


def contract_changes(
    before: Any, after: Mapping[str, Any], classes: tuple[Collection[str], Collection[str]] = ((), ())
) -> tuple[ContractChange, ...]:
    """Differences of two contracts as bare values, those that break callers first; `classes` are the learned ones of
    several, before and after.

    A private column's bounds and labels are not told. A `before` that cannot be read counts as breaking: see
    `UNREADABLE`.
    """
    old, new = columns_of(before), columns_of(after)
    if not old:
        return (UNREADABLE,)
    found = [change for name in {**new, **old} for change in _column(name, old.get(name), new.get(name))]
    found += [*_roles(before, after), *_target(before.get("target"), after.get("target")), *_classes(*classes)]
    return tuple(sorted(found, key=lambda change: not change.breaking))


def columns_of(contract: Any) -> dict[str, Declared]:
    """The columns by name, as far as they can be read."""
    columns = contract.get("columns") if isinstance(contract, Mapping) else None
    if not isinstance(columns, Mapping):
        return {}
    return {str(name): Declared(column) for name, column in columns.items() if _readable(column)}


def exposed(before: Any, after: Any) -> tuple[str, ...]:
    """Columns that `before` declares to be known only after the outcome, and that the model of `after` reads."""
    old, new = columns_of(before), columns_of(after)
    return tuple(cut(name) for name in new if new[name].sent and name in old and old[name]["available"] == "after")


def private_columns(contract: Any) -> set[str]:
    """The names of the columns that must not leave training. What is said in a way unknown today counts as private."""
    return {name for name, column in columns_of(contract).items() if column["private"] is not False}


def _readable(column: Any) -> bool:
    return isinstance(column, Mapping) and all(isinstance(key, str) for key in column)


def _column(name: str, old: Declared | None, new: Declared | None) -> Iterator[ContractChange]:
    column, short = quoted(cut(name)), cut(name)
    if old is None or new is None:
        text_, breaking = _come(new) if old is None and new is not None else _gone(old)
        sign = "+" if old is None else "−"
        yield ContractChange(text=f"{column} {text_}", breaking=breaking, short=f"{sign} {short}")
        return
    if new.sent and not old.sent:
        needed = new["missing"] != "allowed"
        yield ContractChange(text=f"{column} is read by the model now: {_how(new)}", breaking=needed, short=short)
    elif old.sent and not new.sent:
        said = "is no longer read by the model: callers may leave it out"
        yield ContractChange(text=f"{column} {said}", breaking=False, short=short)
    for said, breaks in _attributes(old, new):
        yield ContractChange(text=f"{column}: {said}", breaking=breaks and old.sent and new.sent, short=short)


def _come(new: Declared) -> Said:
    if not new.sent:
        return "is new, but callers do not send it", False
    return f"is new: {_how(new)}", new["missing"] != "allowed"


def _gone(old: Declared | None) -> Said:
    sent = old is not None and old.sent
    return ("is gone: callers may leave it out" if sent else "is gone; callers did not send it"), False


def _how(new: Declared) -> str:
    return "callers may leave it out" if new["missing"] == "allowed" else "callers must send it"


def _attributes(old: Declared, new: Declared) -> Iterator[Said]:
    """Everything that differs within a column that both have. Bounds of one type say nothing about another's."""
    if not same(old["type"], new["type"]):
        yield f"{text(old['type'])} → {text(new['type'])}", True
    else:
        yield from (said for attribute in ATTRIBUTES for said in attribute(old, new))
    yield from _private(old, new)
    yield from _missing(old, new)
    if not same(old["about"], new["about"]):
        yield "described in other words", False


def _unit(old: Declared, new: Declared) -> Iterator[Said]:
    """A unit where none was stated, or none any longer, is a matter of documentation."""
    if same(old["unit"], new["unit"]):
        return
    unit = [cut(text(column["unit"])) if column["unit"] else "not stated" for column in (old, new)]
    yield f"unit {unit[0]} → {unit[1]}", bool(old["unit"] and new["unit"])


def _smallest(old: Declared, new: Declared) -> Iterator[Said]:
    yield from _bound("smallest", old, new, "min", lambda before, after: after > before)


def _largest(old: Declared, new: Declared) -> Iterator[Said]:
    yield from _bound("largest", old, new, "max", lambda before, after: after < before)


def _bound(word: str, old: Declared, new: Declared, key: str, tighter: Callable[[Any, Any], bool]) -> Iterator[Said]:
    before, after = old[key], new[key]
    if same(before, after):
        return
    shown = _told(old, new, f"{_or_none(before)} → {_or_none(after)}")
    breaks = after is not None and (before is None or _tighter(before, after, tighter))
    yield f"{word} value accepted{shown}, {'narrower' if breaks else 'wider'}", breaks


def _tighter(before: Any, after: Any, tighter: Callable[[Any, Any], bool]) -> bool:
    """What cannot be put in order counts as tighter."""
    try:
        pair = [parse_moment(side) if isinstance(side, str) else side for side in (before, after)]
        return tighter(*pair)
    except (TypeError, ValueError):
        return True


def _allowed(old: Declared, new: Declared) -> Iterator[Said]:
    before, after = old["allowed"], new["allowed"]
    lists = [list(map(text, side)) if isinstance(side, list) else None for side in (before, after)]
    if lists[0] is None or lists[1] is None:
        if lists[0] is None and lists[1] is None:
            return
        told = _told(old, new, named(lists[1] if lists[1] is not None else lists[0] or []))
        word = "only these values are accepted now" if lists[1] is not None else "not only these values are accepted"
        yield f"{word}{told}", lists[1] is not None
        return
    for word, one, other in (("no longer", lists[0], lists[1]), ("now also", lists[1], lists[0])):
        differ = [item for item in dict.fromkeys(one) if item not in set(other)]
        if differ:
            yield f"values accepted {word}{_told(old, new, named(differ))}", word == "no longer"


def _parts(old: Declared, new: Declared) -> Iterator[Said]:
    if not same(old["parts"], new["parts"]):
        yield f"the model sees {_parts_of(old)} → {_parts_of(new)}", False


def _parts_of(column: Declared) -> str:
    parts = column["parts"]
    return named([text(part) for part in parts]) if isinstance(parts, list) and parts else "none of its parts"


def _max_values(old: Declared, new: Declared) -> Iterator[Said]:
    if not same(old["max_values"], new["max_values"]):
        yield f"most labels in training {_or_none(old['max_values'])} → {_or_none(new['max_values'])}", False


def _unknown(old: Declared, new: Declared) -> Iterator[Said]:
    """A label that training never saw: who sent one got an answer while it was served."""
    if not same(old["unknown"], new["unknown"]):
        served = new["unknown"] == "served"
        said = "labels that training never saw are"
        yield f"{said} {'served now, and counted' if served else 'refused now'}", not served


def _available(old: Declared, new: Declared) -> Iterator[Said]:
    if not same(old["available"], new["available"]):
        known = [cut(text(column["available"])) if column["available"] else "not stated" for column in (old, new)]
        yield f"known before or after the moment of prediction: {known[0]} → {known[1]}", False


ATTRIBUTES = (_unit, _smallest, _largest, _allowed, _parts, _max_values, _unknown, _available)


def _private(old: Declared, new: Declared) -> Iterator[Said]:
    if not same(old["private"], new["private"]):
        yield ("private from now on" if new["private"] is True else "no longer private"), False


def _missing(old: Declared, new: Declared) -> Iterator[Said]:
    if not same(old["missing"], new["missing"]):
        allowed = new["missing"] == "allowed"
        yield ("may be missing now" if allowed else "may no longer be missing"), not allowed


def _told(old: Declared, new: Declared, words: str) -> str:
    """Words from a column's values, unless it is private on one of the sides."""
    return "" if old["private"] is not False or new["private"] is not False else f": {words}"


def _or_none(value: Any) -> str:
    return "none" if value is None else cut(text(value))


def _roles(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[ContractChange]:
    """Which columns identify a row and place it in time. Callers send columns, whatever their role."""
    for key, words in (("key", "the key of a row"), ("time", "the time of a row")):
        if not same(before.get(key), after.get(key)):
            shown = f"{_or_none(before.get(key))} → {_or_none(after.get(key))}"
            yield ContractChange(text=f"{words}: {shown}", breaking=False, short=words)


TARGET: Mapping[str, tuple[str, bool]] = {
    "column": ("is another column", True),
    "task": ("is of another kind", True),
    "positive": ("counts another value as positive", True),
    "unit": ("has another unit", True),
    "known_after": ("is known at another time", False),
    "about": ("is described in other words", False),
}
"""What a change to the target's keys means, and whether that is another answer for callers."""


def _target(before: Any, after: Any) -> Iterator[ContractChange]:
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        if not same(before, after):
            yield ContractChange(text="the target is declared in another way", breaking=True, short="the target")
        return
    for key, (words, breaking) in TARGET.items():
        old, new = before.get(key), after.get(key)
        if not same(old, new):
            shown = "" if key == "about" else f": {_or_none(old)} → {_or_none(new)}"
            yield ContractChange(text=f"the target {words}{shown}", breaking=breaking, short="the target")


def _classes(before: Collection[str], after: Collection[str]) -> Iterator[ContractChange]:
    """The answer lists a probability for each learned class."""
    if not before or not after:
        return
    for word, one, other in (("no longer has", before, after), ("now has", after, before)):
        differ = [item for item in one if item not in set(other)]
        if differ:
            yield ContractChange(
                text=f"the answer {word} the classes: {named(differ)}", breaking=True, short="the answer's classes"
            )
