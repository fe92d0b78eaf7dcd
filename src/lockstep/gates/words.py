"""Figures as a gate shows them: as many digits as the data support, and enough to see on which side of a limit."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isfinite, log10

from lockstep.gates.decide import Part, smallest_drop
from lockstep.gates.outcome import State
from lockstep.report.document import quoted, short
from lockstep.report.numbers import percent
from lockstep.statistics.intervals import Interval

MINUS = "\u2212"
MOST_DECIMALS = 9
LABEL = 40

_SAID: dict[State, str] = {"broken": "broken", "holds": "hold", "cannot tell": "cannot be told"}


def number(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number with fixed decimals and a real minus sign.

    >>> number(-0.0123, 3), number(0.5, 2, signed=True), number(-0.0001, 2, signed=True)
    ('−0.012', '+0.50', '0.00')
    """
    rounded = round(value, decimals) + 0.0
    sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
    return f"{sign}{abs(rounded):,.{max(0, decimals)}f}"


def limit(value: float) -> str:
    """A limit as the spec writes it.

    >>> limit(0.65), limit(20.0), limit(-1.5)
    ('0.65', '20', '−1.5')
    """
    return f"{MINUS if value < 0 else ''}{abs(value):,.9g}"


def beside(value: float, asked: float, decimals: int = 3) -> str:
    """A figure next to the limit that it is held against: never rounded onto it or over it.

    >>> beside(0.7041, 0.65), beside(0.64996, 0.65)
    ('0.704', '0.64996')
    """
    return number(value, _telling([value], [asked], decimals))


def figure(value: float) -> str:
    """A measured figure with three significant digits.

    >>> figure(0.04567), figure(12.345), figure(1234.0)
    ('0.0457', '12.3', '1,234')
    """
    return number(value, decimals(value))


def decimals(value: float) -> int:
    """How many decimals three significant digits take."""
    return _supported(abs(value)) + 1 if 0 < abs(value) < 100 else 0


def share(part: int, whole: int) -> str:
    """Some of all, with their share.

    >>> share(3, 1200), share(0, 0)
    ('3 of 1,200 (0.25 %)', '0 of 0')
    """
    return f"{part:,} of {whole:,}" + (f" ({percent(part / whole)})" if whole else "")


def span(interval: Interval, asked: Sequence[float] = (), *, signed: bool = True) -> str:
    """Estimate and interval, or the estimate and why there is none.

    >>> span(Interval(value=0.0341, low=0.0172, high=0.051, blocks=92, kind="day"))
    '+0.034 (+0.017 to +0.051)'
    """
    value, low, high = interval.value, interval.low, interval.high
    if value is None:
        return interval.note or "not defined"
    if low is None or high is None:
        return f"{number(value, 3, signed=signed)} ({interval.note})"
    decimals = _telling([low, high], asked, _supported((high - low) / 2))
    return f"{number(value, decimals, signed=signed)} ({_ends(low, high, decimals, signed=signed)})"


def _ends(low: float, high: float, decimals: int, *, signed: bool) -> str:
    return f"{number(low, decimals, signed=signed)} to {number(high, decimals, signed=signed)}"


def _supported(half_width: float) -> int:
    """Decimals that show two significant digits of a half-width."""
    if not isfinite(half_width) or half_width <= 0:
        return 3
    return min(MOST_DECIMALS, max(0, 1 - floor(log10(half_width))))


def _telling(values: Sequence[float], asked: Sequence[float], decimals: int) -> int:
    """The decimals, and more of them while rounding moves a value onto a limit or across it."""
    while decimals < MOST_DECIMALS and any(
        _side(round(value, decimals), other) != _side(value, other) for value in values for other in asked
    ):
        decimals += 1
    return decimals


def _side(value: float, other: float) -> int:
    return (value > other) - (value < other)


def label(name: str) -> str:
    """A value of the data as code, shortened, and told from others that begin alike."""
    return quoted(short(name, LABEL))


def drop(differences: Sequence[Interval]) -> str:
    """The smallest drop that is found with 80 % power, or from which to which it reaches, over several.

    >>> drop([Interval(value=0.0, low=-0.2, high=0.2, error=0.1, degrees=91.0, blocks=92, kind="day")])
    '0.28'
    """
    found = sorted(least for each in differences if (least := smallest_drop(each)))
    if not found:
        return ""
    return " to ".join(dict.fromkeys(number(end, _supported(end)) for end in (found[0], found[-1])))


def worst(parts: Sequence[Part], asked: Sequence[float], noun: str) -> str:
    """The first of sorted parts, which is furthest out, and how many of all stand how."""
    first, states = parts[0], [part.state for part in parts]
    counted = ", ".join(f"{states.count(state)} {said}" for state, said in _SAID.items() if state in states)
    return f"worst is {label(first.name)} with {span(first.interval, asked)}; of {len(parts)} {noun} {counted}"
