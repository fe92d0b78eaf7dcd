"""Numbers as people read them: no more digits than their interval supports, a true minus, grouped thousands."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, isfinite, log10

from lockstep.statistics.intervals import Interval

NONE = "–"
"""Where there is no value."""

_LEAST, _MOST = 3, 6
_ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth")


def digits(interval: Interval | None) -> int:
    """Digits after the point: two significant ones of the half-width, which may be below zero for large numbers; three
    without an interval.

    >>> digits(Interval(value=0.034, low=0.017, high=0.051, blocks=92, kind="day"))
    3
    """
    if interval is None or interval.low is None or interval.high is None or interval.high <= interval.low:
        return _LEAST
    return max(-_MOST, min(_MOST, 1 - floor(log10((interval.high - interval.low) / 2))))


def number(value: float | None, places: int = _LEAST) -> str:
    """A value, or a dash.

    >>> number(0.67), number(1234.5, -2), number(-0.012), number(None)
    ('0.670', '1,200', '−0.012', '–')
    """
    if value is None or not isfinite(value):
        return NONE
    rounded = round(value, places) + 0.0
    return f"{rounded:,.{max(places, 0)}f}".replace("-", "−")


def signed(value: float | None, places: int = _LEAST) -> str:
    """A difference, with its sign.

    >>> signed(0.034), signed(-0.0124), signed(0.0)
    ('+0.034', '−0.012', '0.000')
    """
    text = number(value, places)
    return f"+{text}" if value is not None and isfinite(value) and round(value, places) > 0 else text


def reach(interval: Interval | None) -> str:
    """From where to where a difference reaches, or nothing.

    >>> reach(Interval(value=0.034, low=0.017, high=0.051, blocks=92, kind="day"))
    '+0.017 to +0.051'
    """
    if interval is None or interval.low is None or interval.high is None:
        return ""
    places = digits(interval)
    return f"{signed(interval.low, places)} to {signed(interval.high, places)}"


def difference(interval: Interval | None) -> str:
    """A difference with its interval, or with the reason why there is none.

    >>> difference(Interval(value=0.034, low=0.017, high=0.051, blocks=92, kind="day"))
    '+0.034 (+0.017 to +0.051)'
    """
    if interval is None:
        return NONE
    about = reach(interval) or interval.note
    return signed(interval.value, digits(interval)) + (f" ({about})" if about else "")


def count(n: int, noun: str, plural: str = "") -> str:
    """A number of things.

    >>> count(1, "gate"), count(1200, "row"), count(2, "holds", "hold")
    ('1 gate', '1,200 rows', '2 hold')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def ordinal(n: int) -> str:
    """Which one, in words up to the ninth.

    >>> ordinal(3), ordinal(12), ordinal(22), ordinal(101)
    ('Third', '12th', '22nd', '101st')
    """
    if 1 <= n <= len(_ORDINALS):
        return _ORDINALS[n - 1]
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def listed(items: Iterable[str]) -> str:
    """Words as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *rest, last = list(items) or [""]
    return f"{', '.join(rest)} and {last}" if rest else last


def percent(share: float) -> str:
    """A share in percent with two significant digits, or as many as tell nearly all from all.

    >>> percent(1.0), percent(0.5), percent(0.0025), percent(0.99996), percent(0.0)
    ('100 %', '50 %', '0.25 %', '99.996 %', '0 %')
    """
    value = 100 * share
    places = min(9, max(0, 1 - floor(log10(abs(value))))) if value else 0
    while places < _MOST and value < 100 and round(value, places) >= 100:
        places += 1
    text = number(value, places)
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def significant(value: float | None, figures: int = 2) -> str:
    """A measured size or time, with as many significant digits.

    >>> significant(0.0312), significant(4.1, 2), significant(0.0), significant(1234.0, 3)
    ('0.031', '4.1', '0', '1,230')
    """
    if value is None or not isfinite(value):
        return NONE
    if value == 0:
        return "0"
    return number(value, figures - 1 - floor(log10(abs(value))))
