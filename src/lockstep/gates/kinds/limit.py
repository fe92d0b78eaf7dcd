"""A metric reaches a limit: by its estimate, or by the bound of its interval on the worse side."""

from __future__ import annotations

from lockstep.gates import scores, words
from lockstep.gates.decide import reaches
from lockstep.gates.evidence import Evidence
from lockstep.gates.finding import Found, blind, exam_of
from lockstep.spec import MetricLimit
from lockstep.statistics.metrics import METRICS


def title(gate: MetricLimit) -> str:
    return METRICS[gate.metric].title


def asks(gate: MetricLimit) -> str:
    word, side = ("at least", "lower") if gate.at_least is not None else ("at most", "upper")
    return f"{word} {words.limit(gate.limit)} ({gate.judge if gate.judge == 'estimate' else f'{side} bound'})"


def slack(gate: MetricLimit) -> float:
    return gate.limit if gate.at_least is None else -gate.limit


def find(gate: MetricLimit, evidence: Evidence) -> Found:
    exam = exam_of(evidence, tasks=METRICS[gate.metric].tasks)
    if isinstance(exam, Found):
        return exam
    value = scores.estimate(exam, gate.metric)
    if value is None:
        return blind(f"{METRICS[gate.metric].title} is not defined on these rows")
    at_least = gate.at_least is not None
    if gate.judge == "bound":
        interval = scores.own(exam, gate.metric)
        state = reaches(interval.low, interval.high, gate.limit, at_least=at_least)
        return Found(found=words.span(interval, [gate.limit], signed=False), state=state)
    why = scores.too_few(exam)
    state = "cannot tell" if why else reaches(value, value, gate.limit, at_least=at_least)
    return Found(found=words.beside(value, gate.limit), state=state, note=why)
