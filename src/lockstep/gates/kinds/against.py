"""A metric is not worse than another model's beyond a tolerance: on all rows, or for each value of a column."""

from __future__ import annotations

from lockstep.comparison.result import Exam
from lockstep.gates import scores, words
from lockstep.gates.decide import Part, no_drop, together, upward
from lockstep.gates.evidence import Evidence
from lockstep.gates.finding import Found, beside_the_question, blind, exam_of
from lockstep.spec import MetricAgainst
from lockstep.statistics.intervals import Interval
from lockstep.statistics.metrics import METRICS


def title(gate: MetricAgainst) -> str:
    by = f", by {gate.slice}" if gate.slice else ""
    return f"{METRICS[gate.metric].title} against {gate.against}{by}"


def asks(gate: MetricAgainst) -> str:
    change = "drop" if METRICS[gate.metric].higher_is_better else "rise"
    return f"no {change} beyond {words.limit(gate.tolerance)}" if gate.tolerance else f"no {change}"


def slack(gate: MetricAgainst) -> float:
    return gate.tolerance


def find(gate: MetricAgainst, evidence: Evidence) -> Found:
    comparison = evidence.comparison
    if gate.against == scores.CHAMPION and comparison.verdict == "first model":
        return beside_the_question("first model: judged on its absolute gates")
    if gate.against == scores.CHAMPION and comparison.verdict == "not comparable":
        return blind("; ".join(["not comparable", *comparison.why]))
    exam = exam_of(evidence, tasks=METRICS[gate.metric].tasks, opponent=gate.against, column=gate.slice)
    if isinstance(exam, Found):
        return exam
    return _on_all(gate, evidence, exam) if gate.slice is None else _on_each(gate, gate.slice, evidence, exam)


def _on_all(gate: MetricAgainst, evidence: Evidence, exam: Exam) -> Found:
    difference = scores.difference(evidence.comparison, exam, gate.metric, gate.against)
    state = no_drop(_upward(gate, difference), gate.tolerance)
    return Found(
        found=words.span(difference, _asked(gate)),
        state=state,
        smallest_drop=words.drop([difference]),
    )


def _on_each(gate: MetricAgainst, column: str, evidence: Evidence, exam: Exam) -> Found:
    found, left_out = scores.by_slice(evidence.comparison, exam, gate.metric, gate.against, column)
    parts = sorted((_part(gate, name, difference) for name, difference in found), key=lambda part: _rank(gate, part))
    states = [part.state for part in parts]
    state = together([*states, "cannot tell"] if left_out else states)
    return Found(
        found=words.worst(parts, _asked(gate), "values"),
        state=state,
        smallest_drop=words.drop([difference for _, difference in found]),
        note=f"not looked at, as they have the fewest rows: {left_out:,}" if left_out else "",
    )


def _part(gate: MetricAgainst, name: str, difference: Interval) -> Part:
    return Part(name=name, interval=difference, state=no_drop(_upward(gate, difference), gate.tolerance))


def _rank(gate: MetricAgainst, part: Part) -> tuple[int, float]:
    """Broken first, then what has an interval, by how far down it may be."""
    turned = _upward(gate, part.interval)
    if turned.low is None or turned.high is None:
        return 2, 0.0
    return (0, turned.high) if part.state == "broken" else (1, turned.low)


def _upward(gate: MetricAgainst, difference: Interval) -> Interval:
    return upward(difference, METRICS[gate.metric].higher_is_better)


def _asked(gate: MetricAgainst) -> list[float]:
    """The tolerance as the end of an interval would meet it."""
    return [-gate.tolerance if METRICS[gate.metric].higher_is_better else gate.tolerance]
