"""What can be unfolded: gates, slices, what changed, what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lockstep.comparison.result import Comparison, MetricRow, SliceRow
from lockstep.gates.outcome import Judgement, Outcome
from lockstep.report.change import Change, SpecChange
from lockstep.report.document import (
    Block,
    Bullets,
    Cells,
    Code,
    Fold,
    Mark,
    Paragraph,
    Plot,
    Strong,
    Table,
    Words,
    prose,
    words,
)
from lockstep.report.numbers import NONE, count, difference, digits, number, significant
from lockstep.report.slices import worse, worst_first

MARKS = {"holds": Mark("good"), "broken": Mark("bad"), "cannot tell": Mark("unsure")}
SHOWN = 25
"""Rows of a long table that people are shown at first."""

HOLM = (
    "Words hold for all slices of a metric together (Holm), intervals for each alone: one that excludes zero may be "
    "chance among so many."
)


def gates(judgement: Judgement) -> Fold | None:
    """Every gate: what it asked, what it found."""
    outcomes = sorted(judgement.outcomes, key=lambda outcome: (outcome.passes, outcome.state == "holds"))
    if not outcomes:
        return None
    holding = sum(outcome.state == "holds" for outcome in outcomes)
    head = tuple(words(name) for name in ("gate", "asked", "found", "smallest drop it would find", ""))
    return Fold(
        name="gates",
        summary=f"Gates: {holding:,} of {len(outcomes):,} hold",
        blocks=(Table(head=head, rows=tuple(_gate(outcome) for outcome in outcomes)),),
    )


def _gate(outcome: Outcome) -> Cells:
    base = " (the base's gate)" if outcome.origin == "base" else ""
    note = words("; ", *prose(outcome.note)) if outcome.note else ()
    passes = ", passes" if outcome.passes and outcome.state != "holds" else ""
    return (
        prose(outcome.title + base),
        prose(outcome.asked),
        (*prose(outcome.found), *note),
        prose(outcome.smallest_drop),
        words(MARKS[outcome.state], f" {outcome.state}{passes}"),
    )


def slices(comparison: Comparison) -> Fold | None:
    """The primary metric on every slice, the worst first, and what is worse by another metric."""
    primary = comparison.primary
    if primary is None or not comparison.slices:
        return None
    ours = worst_first(comparison.slices, primary.id)
    bad = worse(comparison.slices, primary.id)
    others = [(row, worse(comparison.slices, row.id)) for row in comparison.metrics if not row.primary]
    blocks: list[Block] = [Plot(name="slices"), _slice_table(primary, ours)]
    for row, found in others:
        if found:
            blocks += [Paragraph(text=words(f"Worse by {row.title}:")), _slice_table(row, found)]
    if comparison.slices_left_out:
        text = f"{count(comparison.slices_left_out, 'smaller value is', 'smaller values are')} left out."
        blocks.append(Paragraph(text=words(text)))
    if _compared(comparison):
        blocks.append(Paragraph(text=words(HOLM)))
    other = sum(len(found) for _, found in others)
    summary = (
        f"Slices: {len(bad):,} of {len(ours):,} worse (Holm)" if _compared(comparison) else f"Slices: {len(ours):,}"
    )
    return Fold(
        name="slices",
        summary=summary + (f", {other:,} worse by another metric" if other else ""),
        blocks=tuple(blocks),
    )


def _compared(comparison: Comparison) -> bool:
    return any(row.difference for row in comparison.slices)


def _slice_table(metric: MetricRow, rows: list[SliceRow]) -> Table:
    paired = any(row.difference for row in rows)
    names = [
        "slice",
        "rows",
        *(["champion"] if paired else []),
        "this change",
        *(["difference (95 %)", ""] if paired else []),
    ]
    names[0] = f"{metric.title} {'↑' if metric.higher_is_better else '↓'} where"
    return Table(
        head=tuple(words(name) for name in names),
        rows=tuple(_slice(row, paired=paired) for row in rows),
        right=(1, 2, 3) if paired else (1, 2),
        short=SHOWN,
    )


def _slice(row: SliceRow, *, paired: bool) -> Cells:
    places = max(digits(row.difference), 0)
    cells = [words(Code(f"{row.column} = {row.value}")), words(f"{row.rows:,}")]
    if not paired:
        return (*cells, words(number(row.challenger, places)))
    return (
        *cells,
        words(number(row.champion, places)),
        words(number(row.challenger, places)),
        words(difference(row.difference)),
        words(Strong(row.word)) if row.word == "worse" else words(row.word),
    )


def changed(change: Change) -> Fold | None:
    """Every changed key, every stage with its reasons, every library version that moved."""
    blocks = [*_changed(change)]
    if not blocks:
        return None
    reran = sum(stage.state == "reran" for stage in change.stages)
    parts = [f"{count(len(change.spec), 'key')} of the spec"] if change.spec else []
    parts += [f"{reran:,} of {count(len(change.stages), 'stage')} reran"] if change.stages else []
    parts += [f"{count(len(change.versions), 'library version')} moved"] if change.versions else []
    return Fold(name="change", summary=f"Change: {', '.join(parts)}", blocks=tuple(blocks))


def _changed(change: Change) -> Iterator[Block]:
    for title, changes in (("params.yaml", change.spec), ("library", change.versions)):
        if changes:
            rows = tuple((words(Code(c.path)), *_values(c)) for c in changes)
            yield Table(head=(words(title), words("before"), words("after")), rows=rows, short=SHOWN)
    if change.stages:
        stages = tuple((words(s.name), words(s.state), prose("; ".join(s.why))) for s in change.stages)
        yield Table(head=(words("stage"), words(""), words("because of")), rows=stages)


def _values(change: SpecChange) -> tuple[Words, Words]:
    """Before and after; of a list, what is gone and what came."""
    signs = ("− ", "+ ") if change.items else ("", "")
    before, after = (
        f"{sign}{value}" if value else NONE for sign, value in zip(signs, (change.before, change.after), strict=True)
    )
    return words(before), words(after)


def cost(judgement: Judgement) -> Fold | None:
    """What the models cost, side by side."""
    if not judgement.costs:
        return None
    paired = any(each.champion is not None for each in judgement.costs)
    names = ["cost", *(["champion"] if paired else []), "this change"]
    rows = []
    for each in judgement.costs:
        values = ([each.champion] if paired else []) + [each.challenger]
        rows.append((words(each.title), *(words(_measured(value, each.unit)) for value in values)))
    said = "; ".join(f"{each.title} {_measured(each.challenger, each.unit)}" for each in judgement.costs[:2])
    blocks: list[Block] = [Table(head=head(*names), rows=tuple(rows), right=tuple(range(1, len(names))))]
    if paired:
        blocks.append(Paragraph(text=words("Timed alternately in this run, through the code that serves.")))
    return Fold(name="cost", summary=f"Cost: {said}", blocks=tuple(blocks))


def _measured(value: float | None, unit: str) -> str:
    return NONE if value is None else f"{significant(value)} {unit}"


def facts(pairs: Mapping[str, Words]) -> Bullets:
    """What is known by name, as a list."""
    return Bullets(items=tuple(words(f"{name}: ", *text) for name, text in pairs.items()))


def head(*names: str) -> Cells:
    return tuple(words(name) for name in names)
