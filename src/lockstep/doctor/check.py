"""A check: what it is called, how it looks, and what mends what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from lockstep.doctor.clone import Clone
from lockstep.errors import LockstepError


class State(StrEnum):
    """`ok`; `warn`: it works, with less than there could be; `fail`: it does not; `unknown`: nobody could look."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


MARKS: Mapping[State, str] = {State.OK: "✓", State.WARN: "!", State.FAIL: "✗", State.UNKNOWN: "–"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a check found, in a sentence without a full stop, and the command that mends it where it is to be mended."""

    state: State
    said: str
    remedy: str = ""


def ok(said: str) -> Found:
    """As it should be."""
    return Found(state=State.OK, said=said)


def warn(said: str, remedy: str = "") -> Found:
    """It works, with less than there could be."""
    return Found(state=State.WARN, said=said, remedy=remedy)


def fail(said: str, remedy: str = "") -> Found:
    """It does not work."""
    return Found(state=State.FAIL, said=said, remedy=remedy)


def failed(error: LockstepError, state: State = State.FAIL) -> Found:
    """What an error says, with its remedy where it knows one."""
    return Found(state=state, said=getattr(error, "short", str(error)), remedy=getattr(error, "remedy", ""))


def unknown(said: str, remedy: str = "") -> Found:
    """Nobody could look."""
    return Found(state=State.UNKNOWN, said=said, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of `lockstep doctor`. An expected failure of `look` is found as a `fail`, or as `otherwise`."""

    title: str
    look: Callable[[Clone], Found]
    otherwise: State = State.FAIL


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one check found."""

    id: str
    title: str
    found: Found


def examine(clone: Clone, checks: Mapping[str, Check]) -> Iterator[Line]:
    """One line a check, as it is found."""
    for name, check in checks.items():
        try:
            found = check.look(clone)
        except LockstepError as error:
            found = failed(error, check.otherwise)
        yield Line(id=name, title=check.title, found=found)
