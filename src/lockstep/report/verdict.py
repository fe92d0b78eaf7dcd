"""The verdict: whether this change may be merged, in a headline that a reader can act on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lockstep.comparison.result import Comparison
from lockstep.comparison.result import Verdict as Word
from lockstep.gates.outcome import Judgement, Outcome
from lockstep.markdown import line
from lockstep.report.change import Change
from lockstep.report.document import Mark, Strong, Words, prose, words
from lockstep.report.findings import findings
from lockstep.report.numbers import count, listed
from lockstep.report.record import Document
from lockstep.spec import Spec

__all__ = ["Document", "Verdict", "conclude"]

JUDGES: Mapping[str, str] = {
    ".github/": "workflows",
    ".ci/": "workflows",
    "requirements/": "requirements",
    "pyproject.toml": "requirements",
    "Makefile": "the pipeline",
    "dvc.yaml": "the pipeline",
    ".dvcignore": "the pipeline",
    ".dvc/": "remotes",
    ".gitattributes": "how locks are merged",
    "src/lockstep/": "Lockstep itself",
}
"""What a changed path is called in the headline, by how it begins."""

LOOSENED = 120
"""Characters of what was loosened in the headline; all of it follows below."""

UNJUDGED: Mapping[str, str] = {
    "not comparable": "not comparable with its base",
    "too few to say": "too few rows to say",
}
"""Words that are never green: nothing was shown, and no gate can mend that."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`cautions` say why a change is refused, and what it loosens; `warnings` what else a reader should know."""

    conclusion: Literal["success", "failure"]
    word: Word
    mark: Mark
    headline: str
    cautions: tuple[Words, ...] = ()
    warnings: tuple[Words, ...] = ()


def conclude(comparison: Comparison, judgement: Judgement, change: Change, spec: Spec) -> Verdict:
    """Success when something could be said, every gate passes, and a worse model has a gate that allows it."""
    refusals = [*_refusals(comparison, judgement, spec)]
    asides = [*_asides(judgement, change)]
    worse = comparison.verdict == "worse"
    return Verdict(
        conclusion="failure" if refusals else "success",
        word=comparison.verdict,
        mark=Mark("bad" if refusals else "careful" if asides or worse else "good"),
        headline=f"{spec.project.name}: {_outcome(comparison, judgement, bool(refusals), bool(asides))}{_but(asides)}",
        cautions=(*refusals, *_loosened(judgement), *_judges(change)),
        warnings=tuple(findings(comparison, judgement, change, spec)),
    )


def _refusals(comparison: Comparison, judgement: Judgement, spec: Spec) -> Iterator[Words]:
    primary = comparison.primary
    if comparison.verdict in UNJUDGED:
        yield from _unjudged(comparison)
    elif primary is None or primary.values.get("challenger") is None:
        title = primary.title if primary else f"`{spec.evaluate.primary}`"
        yield prose(f"{title} of this change is not defined on these rows: nothing can be said.")
    elif comparison.verdict == "worse" and not _asks_against_champion(spec):
        yield prose("It is worse, and no gate says how much worse is allowed: `{against: champion, tolerance: …}`.")
    for outcome in judgement.outcomes:
        # Where models cannot be compared, no gate that compares them can tell: that is said already.
        if not outcome.passes and (outcome.state == "broken" or comparison.verdict not in UNJUDGED):
            yield refusal(outcome)


def _unjudged(comparison: Comparison) -> Iterator[Words]:
    primary = comparison.primary
    note = primary.difference.note if primary and primary.difference else ""
    reasons = comparison.why or ((note,) if note else (UNJUDGED[comparison.verdict],))
    for reason in reasons:
        yield prose(sentence(reason))


def refusal(outcome: Outcome) -> Words:
    """Why a gate does not pass."""
    whose = " (a gate of the base)" if outcome.origin == "base" else ""
    note = f" {sentence(outcome.note)}" if outcome.note else ""
    return words(
        Strong(outcome.title),
        *prose(f"{whose}: {outcome.state}. Asked: {outcome.asked}. Found: {ended(outcome.found)}{note}"),
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


def _asks_against_champion(spec: Spec) -> bool:
    gates: Iterable[object] = getattr(spec, "gates", ())
    return any(getattr(gate, "against", None) == "champion" for gate in gates)


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


def _but(asides: list[str]) -> str:
    return f"; it {' and '.join(asides)}" if asides else ""


def _asides(judgement: Judgement, change: Change) -> Iterator[str]:
    if judgement.loosened:
        more = f", and {len(judgement.loosened) - 1:,} more" if len(judgement.loosened) > 1 else ""
        yield f"asks less than its base ({line(judgement.loosened[0], LOOSENED)}{more})"
    if change.judges:
        yield f"changes what judges it ({listed(judged(change.judges))})"


def judged(paths: Iterable[str]) -> list[str]:
    """What changed paths are called, each once.

    >>> judged([".github/workflows/test.yml", "src/lockstep/cli.py", "src/lockstep/errors.py"])
    ['workflows', 'Lockstep itself']
    """
    names = [next((name for start, name in JUDGES.items() if path.startswith(start)), "other files") for path in paths]
    return [*dict.fromkeys(names)]


def _loosened(judgement: Judgement) -> Iterator[Words]:
    for loosened in judgement.loosened:
        kind, colon, what = sentence(loosened).partition(": ")
        yield words(Strong(kind), colon, *prose(what))


def _judges(change: Change) -> Iterator[Words]:
    if change.judges:
        shown = [*change.judges[:5], *([f"{len(change.judges) - 5:,} more"] if len(change.judges) > 5 else [])]
        names = listed(f"`{path}`" if path in change.judges else path for path in shown)
        yield words(Strong("What judges"), *prose(f" is changed by this branch itself: {names}."))
