"""What a reader should know besides the headline, in sentences, the gravest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lockstep.comparison.result import Comparison, Rows, SliceRow
from lockstep.gates.outcome import Judgement
from lockstep.report.change import LEAKAGE, Change
from lockstep.report.document import Code, Strong, Words, prose, words
from lockstep.report.numbers import count, difference, listed, number, percent
from lockstep.report.slices import worse
from lockstep.spec import Spec
from lockstep.statistics.metrics import METRICS

MANY_LOOKS = 10
TRUST = "release.trust_pull_requests"
SHOWN = 3
"""Worse slices that are named; the others are counted."""


def findings(comparison: Comparison, judgement: Judgement, change: Change, spec: Spec) -> Iterator[Words]:
    """Everything that casts doubt on the headline, or that merging would bring along."""
    yield from _leaks(change)
    yield from _metrics(comparison)
    yield from _slices(comparison, spec)
    yield from _breaking(change)
    yield from _trusting(change)
    # Of models that cannot be compared it is said already why.
    if comparison.rows:
        yield from _left_out(comparison.rows)
        yield from () if comparison.verdict == "not comparable" else _exam(comparison.rows)
    yield from _data(change)
    yield from _unsure(judgement)
    yield from _seeds(comparison)
    yield from _looks(comparison)
    reasons = () if comparison.verdict in ("not comparable", "too few to say") else comparison.why
    for said in (*reasons, *comparison.notes, *change.notes):
        yield prose(said)


def _leaks(change: Change) -> Iterator[Words]:
    for name in change.exposed[:SHOWN]:
        why = ": the base says that it is known only after the outcome, and the model now reads it."
        yield words(Code(name), Strong(" may give the outcome away"), why)
    if len(change.exposed) > SHOWN:
        yield words(f"{len(change.exposed) - SHOWN:,} more columns that the base calls known after it are read now.")
    yield from _found(change, leaks=True)


def _data(change: Change) -> Iterator[Words]:
    yield from _found(change, leaks=False)


def _found(change: Change, *, leaks: bool) -> Iterator[Words]:
    """What prepare found that it had not found at the base."""
    found = [each for each in change.findings if (each.id == LEAKAGE) == leaks]
    for each in found[:SHOWN]:
        yield words(Strong("New in the data"), f", {each.id}: ", *prose(each.message))
    if len(found) > SHOWN:
        yield words(f"{count(len(found) - SHOWN, 'more finding')} of {LEAKAGE if leaks else 'prepare'} in the data.")


def _metrics(comparison: Comparison) -> Iterator[Words]:
    for row in comparison.metrics:
        if row.primary or row.difference is None:
            continue
        if row.word == "worse":
            yield words(Strong(f"{row.title} is worse"), f", {difference(row.difference)}.")
        elif row.word not in ("better", "identical", comparison.verdict) and row.word:
            yield words(f"{row.title}: {row.word}.")


def _slices(comparison: Comparison, spec: Spec) -> Iterator[Words]:
    primary = comparison.primary
    if primary is None:
        return
    found = worse(comparison.slices, primary.id)
    for row in found[:SHOWN]:
        yield words(*_named(row), Strong(" is worse"), f", {difference(row.difference)}{_tolerated(row, spec)}.")
    if len(found) > SHOWN:
        yield words(f"{count(len(found) - SHOWN, 'more slice is', 'more slices are')} worse by {primary.title}.")
    others = [(len(worse(comparison.slices, row.id)), row.title) for row in comparison.metrics if not row.primary]
    if any(n for n, _ in others):
        by = listed(f"{n:,} by {title}" for n, title in others if n)
        yield words(f"Slices that are worse by another metric: {by}.")


def _named(row: SliceRow) -> Words:
    return words(Code(f"{row.column} = {row.value}"))


def _tolerated(row: SliceRow, spec: Spec) -> str:
    """The words that a slice gate allows as much, or nothing."""
    gates: Iterable[object] = getattr(spec, "gates", ())
    asked = [
        float(getattr(gate, "tolerance", 0) or 0)
        for gate in gates
        if (getattr(gate, "against", None), getattr(gate, "slice", None), getattr(gate, "metric", None))
        == ("champion", row.column, row.metric)
    ]
    if not asked or row.difference is None or row.difference.low is None or row.difference.high is None:
        return ""
    up = METRICS[row.metric].higher_is_better
    drop = -row.difference.low if up else row.difference.high
    return f", within its gate's tolerance of {asked[0]:g}" if drop <= min(asked) else ""


def _breaking(change: Change) -> Iterator[Words]:
    broken = [part for part in change.contract if part.breaking]
    for part in broken[:SHOWN]:
        yield words(Strong("Breaks callers"), ": ", *prose(part.text.rstrip(".") + "."))
    if len(broken) > SHOWN:
        yield words(f"{count(len(broken) - SHOWN, 'more change')} of the contract would break callers.")


def _trusting(change: Change) -> Iterator[Words]:
    if any((key.path, key.after) == (TRUST, "true") for key in change.spec):
        why = " is true, the model that a pull request's run made is shipped by its hash, and not made again first."
        yield words(Strong("Releases would trust pull requests"), ": once ", Code(TRUST), why)


def _exam(rows: Rows) -> Iterator[Words]:
    if rows.labels_differ:
        share = percent(rows.labels_differ / max(rows.joined, 1))
        yield words(
            f"{rows.labels_differ:,} of {count(rows.joined, 'label')} that both branches hold differ ({share})."
        )
    for n, one, several in (
        (rows.relearned, "is a training row here", "are training rows here"),
        (
            rows.gone,
            "has no outcome here, moved in time, or is gone",
            "have no outcome here, moved in time, or are gone",
        ),
    ):
        if n:
            share = f" ({percent(n / rows.due)})" if rows.due else ""
            yield words(f"{count(n, 'row')} of the base's holdout{share} {one if n == 1 else several}.")


def _left_out(rows: Rows) -> Iterator[Words]:
    if rows.excluded:
        yield words(
            f"{count(rows.excluded, 'held-out row')} {_is(rows.excluded)} not compared: one of the models has trained "
            f"on {'it' if rows.excluded == 1 else 'them'}."
        )
    if rows.unmatched:
        yield words(
            f"{count(rows.unmatched, 'new row')} {_is(rows.unmatched)} not compared: the champion cannot read them."
        )


def _is(n: int) -> str:
    return "is" if n == 1 else "are"


def _unsure(judgement: Judgement) -> Iterator[Words]:
    for outcome in judgement.outcomes:
        if outcome.passes and outcome.state != "holds" and "first model" not in outcome.note:
            yield words(
                f"{outcome.title}: ", Strong(outcome.state), *prose(f"; {outcome.note or 'it passes all the same'}.")
            )


def _seeds(comparison: Comparison) -> Iterator[Words]:
    seeds, primary = comparison.seeds, comparison.primary
    if seeds is None or primary is None or not seeds.within:
        return
    yield words(
        "This fit, not necessarily this change: two fits that differ only in their seeds lie up to "
        f"{number(seeds.reach, 4)} apart in 95 of 100 cases ({count(len(seeds.values), 'refit')}; standard deviation "
        f"of one {number(seeds.spread, 4)}), and the difference is no larger."
    )


def _looks(comparison: Comparison) -> Iterator[Words]:
    if comparison.looks >= MANY_LOOKS:
        yield words(
            f"{comparison.looks:,} models have been shown this holdout. Of 40 changes that change nothing, one reads "
            "“better” with a chance of 64 %: a newer window is a fresh exam."
        )
