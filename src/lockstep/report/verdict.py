"""The verdict: whether this change may be merged, in a headline that a reader can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lockstep import judging
from lockstep.comparison.result import Comparison
from lockstep.comparison.result import Verdict as Word
from lockstep.gates.outcome import Judgement, Outcome
from lockstep.markdown import line
from lockstep.release.tags import Released
from lockstep.report.change import Change
from lockstep.report.document import Code, Mark, Strong, Words, prose, words
from lockstep.report.findings import findings
from lockstep.report.numbers import count, listed
from lockstep.report.record import Document
from lockstep.spec import Spec

__all__ = ["Document", "Verdict", "conclude"]

LOOSENED = 120
"""Characters of what was loosened in the headline; all of it follows below."""

REASONS = 8
"""Reasons of a kind that are named before the figures; the others are counted."""

UNJUDGED: Mapping[str, str] = {
    "not comparable": "not comparable with its base",
    "too few to say": "too few rows to say",
}
"""Words that are never green: nothing was shown, and no gate can mend that."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`cautions` say why a change is refused, and what it loosens; `warnings` what else a reader should know; `notes`
    that a release is brought back, and what would refuse it if it were a change.
    """

    conclusion: Literal["success", "failure"]
    word: Word
    mark: Mark
    headline: str
    cautions: tuple[Words, ...] = ()
    warnings: tuple[Words, ...] = ()
    notes: tuple[Words, ...] = ()


def conclude(comparison: Comparison, judgement: Judgement, change: Change, spec: Spec) -> Verdict:
    """Success when something could be said, every gate passes, and a worse model has a gate of the base that allows
    it. A release that is brought back passes whatever is said of it: it was judged when it was new.
    """
    refusals = [*_refusals(comparison, judgement, spec)]
    asides = [*_asides(judgement, change)]
    if change.rollback:
        return _rollback(comparison, judgement, change, spec, refusals, asides)
    careful = bool(asides) or change.leaks
    outcome = _outcome(comparison, judgement, bool(refusals), careful)
    return Verdict(
        conclusion="failure" if refusals else "success",
        word=comparison.verdict,
        mark=Mark("bad" if refusals else "careful" if careful or comparison.verdict == "worse" else "good"),
        headline=f"{spec.project.name}: {outcome}{_beside(comparison)}{_but(change, asides)}",
        cautions=(*_named(refusals), *_loosened(judgement), *_judges(change)),
        warnings=tuple(findings(comparison, judgement, change, spec)),
    )


def _rollback(
    comparison: Comparison, judgement: Judgement, change: Change, spec: Spec, refusals: list[Words], asides: list[str]
) -> Verdict:
    assert change.rollback is not None
    return Verdict(
        conclusion="success",
        word=comparison.verdict,
        mark=Mark("careful" if asides or change.leaks else "good"),
        headline=f"{spec.project.name}: rollback to {change.rollback.version}{_but(change, asides)}",
        cautions=(*_loosened(judgement), *_judges(change)),
        warnings=tuple(findings(comparison, judgement, change, spec)),
        notes=(*_brought_back(change.rollback, bool(refusals)), *_named(refusals)),
    )


def _brought_back(release: Released, doubted: bool) -> Iterator[Words]:
    yield words(
        Strong(f"This is {release.version} again"), ", as it was released from ", Code(release.commit[:7]),
        ": model, code, spec and lock. Comparison and gates are shown for information, and do not decide.",
    )  # fmt: skip
    if doubted:
        yield words("They would not let it in as a change:")


def _refusals(comparison: Comparison, judgement: Judgement, spec: Spec) -> Iterator[Words]:
    primary = comparison.primary
    if comparison.verdict in UNJUDGED:
        yield from _unjudged(comparison)
    elif primary is None or primary.values.get("challenger") is None:
        title = primary.title if primary else f"`{spec.evaluate.primary}`"
        yield prose(f"{title} of this change is not defined on these rows: nothing can be said.")
    elif comparison.verdict == "worse":
        yield from _worse(judgement, primary.id)
    for outcome in judgement.outcomes:
        # Where models cannot be compared, no gate that compares them can tell: that is said already.
        if not outcome.passes and (outcome.state == "broken" or comparison.verdict not in UNJUDGED):
            yield refusal(outcome)


def _worse(judgement: Judgement, metric: str) -> Iterator[Words]:
    if judgement.on_worse == "unsaid":
        gate = f"`{{metric: {metric}, against: champion, tolerance: …}}`"
        yield prose(
            f"It is worse, and no gate of the base says how much worse is allowed. {gate} does, once the base has it."
        )
    elif judgement.on_worse == "refused" and judgement.passes:
        yield words("It is worse, and the base's gate cannot tell whether by more than it allows.")


def _named(refusals: list[Words]) -> Iterator[Words]:
    yield from refusals[:REASONS]
    if len(refusals) > REASONS:
        yield words(f"{count(len(refusals) - REASONS, 'more reason')}: the gates are all listed below.")


def _unjudged(comparison: Comparison) -> Iterator[Words]:
    primary = comparison.primary
    note = primary.difference.note if primary and primary.difference else ""
    reasons = comparison.why or ((note,) if note else (UNJUDGED[comparison.verdict],))
    for reason in reasons:
        yield prose(sentence(reason))


def refusal(outcome: Outcome) -> Words:
    """Why a gate does not pass."""
    whose = " (a gate of the base)" if outcome.origin == "base" else ""
    return words(
        Strong(outcome.title),
        *prose(f"{whose}: {outcome.state}. Asked: {outcome.asked}. Found: "),
        *prose(ended(outcome.found)),
        *prose(f" {sentence(outcome.note)}" if outcome.note else ""),
    )


def ended(text: str) -> str:
    """With a point at its end.

    >>> ended("0.704"), ended("It is so. ")
    ('0.704.', 'It is so.')
    """
    return f"{text.rstrip()}{'' if text.rstrip().endswith(('.', '!', '?')) else '.'}"


def sentence(text: str) -> str:
    """Begins large and ends with a point.

    >>> sentence("the split changed")
    'The split changed.'
    """
    return f"{text[:1].upper()}{ended(text[1:])}" if text else ""


def _outcome(comparison: Comparison, judgement: Judgement, refused: bool, careful: bool) -> str:
    word = comparison.verdict
    if word in UNJUDGED:
        return UNJUDGED[word]
    broken = sum(not outcome.passes for outcome in judgement.outcomes)
    if refused:
        return f"{word}, refused by {count(broken, 'gate')}" if broken else f"{word}, refused"
    if not judgement.outcomes:
        return f"{word}, and there are no gates"
    if word == "worse":
        return f"{word}, within its gates"
    return f"{word}, its gates hold" if careful else f"{word}, safe to merge"


def _beside(comparison: Comparison) -> str:
    """The other metrics that are worse, beside the word that the primary one decides."""
    worse = [row.title for row in comparison.metrics if row.word == "worse" and not row.primary]
    others = "also worse" if comparison.verdict == "worse" else "worse"
    return f"; {others} by {listed(worse)}" if worse else ""


def _but(change: Change, asides: list[str]) -> str:
    leak = "; a column may give the outcome away" if change.leaks else ""
    return leak + (f"; it {' and '.join(asides)}" if asides else "")


def _asides(judgement: Judgement, change: Change) -> Iterator[str]:
    if judgement.loosened:
        more = f", and {len(judgement.loosened) - 1:,} more" if len(judgement.loosened) > 1 else ""
        yield f"asks less than its base ({line(judgement.loosened[0], LOOSENED)}{more})"
    if change.judges:
        yield f"changes what judges it ({listed(judging.groups(change.judges))})"


def _loosened(judgement: Judgement) -> Iterator[Words]:
    for loosened in judgement.loosened[:REASONS]:
        kind, colon, what = sentence(loosened).partition(": ")
        yield words(Strong(kind), colon, *prose(what))
    if len(judgement.loosened) > REASONS:
        yield words(f"It asks less than its base in {count(len(judgement.loosened) - REASONS, 'more way')}.")


def _judges(change: Change) -> Iterator[Words]:
    if change.judges:
        shown = [*change.judges[:5], *([f"{len(change.judges) - 5:,} more"] if len(change.judges) > 5 else [])]
        names = listed(f"`{path}`" if path in change.judges else path for path in shown)
        yield words(Strong("What judges"), *prose(f" is changed by this branch itself: {names}."))
