"""When a gate holds, is broken, or cannot be told: pure decisions on intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lockstep.gates.outcome import State
from lockstep.statistics.intervals import LEVEL, Interval, t_quantile
from lockstep.statistics.slices import holm

POWER = 0.80


@dataclass(frozen=True, kw_only=True)
class Part:
    """One value of a column, or one tenth of the rows: what was found there, and what it means for the gate."""

    name: str
    interval: Interval
    state: State


def upward(interval: Interval, higher_is_better: bool) -> Interval:
    """The difference with its sign turned where lower is better, so that up is better."""
    if higher_is_better:
        return interval
    value, low, high = (None if end is None else -end for end in (interval.value, interval.low, interval.high))
    return replace(interval, value=value, low=high, high=low)


def no_drop(difference: Interval, tolerance: float) -> State:
    """Non-inferiority, of a difference whose up is better: holds when its lower bound is at least -tolerance, is broken
    when its upper bound is below that, and cannot be told otherwise, or without an interval.

    >>> drop = Interval(value=-0.01, low=-0.03, high=0.01, blocks=92, kind="day")
    >>> no_drop(drop, 0.03), no_drop(drop, 0.02), no_drop(replace(drop, high=-0.005), 0.0)
    ('holds', 'cannot tell', 'broken')
    """
    return reaches(difference.low, difference.high, -tolerance, at_least=True)


def reaches(low: float | None, high: float | None, limit: float, *, at_least: bool) -> State:
    """An interval, or an estimate as both its ends, against a limit: holds when all of it is on the asked side, is
    broken when none is, and cannot be told otherwise.

    >>> reaches(0.7, 0.7, 0.65, at_least=True), reaches(0.6, 0.7, 0.65, at_least=True)
    ('holds', 'cannot tell')
    >>> reaches(0.6, 0.7, 0.5, at_least=False)
    'broken'
    """
    if low is None or high is None:
        return "cannot tell"
    worse, better, asked = (low, high, limit) if at_least else (-high, -low, -limit)
    if worse >= asked:
        return "holds"
    return "broken" if better < asked else "cannot tell"


def smallest_drop(difference: Interval) -> float | None:
    """The true drop that these rows would find, as an interval wholly below zero, with 80 % power:
    (t(0.975) + t(0.80)) · standard error. None without an interval. Source: Bloom 1995, minimum detectable effects.
    """
    if difference.error is None or difference.degrees is None:
        return None
    tail = 1 - (1 - LEVEL) / 2
    return (t_quantile(tail, difference.degrees) + t_quantile(POWER, difference.degrees)) * difference.error


def within(gaps: Sequence[tuple[str, Interval]], most: float) -> list[Part]:
    """Each gap, in either direction, against the largest allowed.

    A gap holds when its interval lies inside ±most: to say so of all of them needs no adjustment. It is broken when
    it is surely larger, Holm-adjusted over the gaps, so that fair groups are called unfair with a chance of at most
    5 %, however many there are.
    """
    adjusted = holm([_chance(interval, most) for _, interval in gaps])
    return [
        Part(name=name, interval=interval, state=_gap_state(interval, most, p))
        for (name, interval), p in zip(gaps, adjusted, strict=True)
    ]


def _gap_state(gap: Interval, most: float, p: float | None) -> State:
    if gap.low is None or gap.high is None or p is None:
        return "cannot tell"
    if -most <= gap.low and gap.high <= most:
        return "holds"
    return "broken" if p <= 1 - LEVEL else "cannot tell"


def _chance(gap: Interval, most: float) -> float | None:
    """Two-sided p of "the gap is at most `most`", from the interval's own t; None without an interval."""
    from scipy.special import stdtr

    if gap.error is None or gap.degrees is None or gap.value is None:
        return None
    beyond = abs(gap.value) - most
    if gap.error == 0:
        return 0.0 if beyond > 0 else 1.0
    return min(1.0, float(2 * stdtr(gap.degrees, -beyond / gap.error)))


def gap_rank(part: Part) -> tuple[int, float]:
    """Sorts gaps: broken first, then what has an interval, by how large it may be."""
    low, high = part.interval.low, part.interval.high
    if low is None or high is None:
        return 2, 0.0
    return 0 if part.state == "broken" else 1, -max(abs(low), abs(high))


def together(states: Sequence[State]) -> State:
    """Of all parts: broken if one is, holds if all do.

    >>> together(["holds", "cannot tell"]), together(["cannot tell", "broken"]), together([])
    ('cannot tell', 'broken', 'cannot tell')
    """
    if "broken" in states:
        return "broken"
    return "holds" if states and all(state == "holds" for state in states) else "cannot tell"
