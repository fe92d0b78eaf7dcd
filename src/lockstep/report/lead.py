"""What everybody reads: the verdict in one sentence, the metrics, and why the model changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lockstep.comparison.result import Comparison, MetricRow, Rows, Seeds
from lockstep.gates.outcome import Judgement
from lockstep.report.change import Change, SpecChange
from lockstep.report.document import Alert, Block, Cells, Code, Paragraph, Part, Plot, Strong, Table, Words, words
from lockstep.report.numbers import NONE, count, difference, digits, number, ordinal, reach, signed
from lockstep.report.spec_changes import named as names_of
from lockstep.report.stage_changes import OUTSIDE, summed
from lockstep.report.verdict import Verdict
from lockstep.statistics.metrics import METRICS

SHOWN = 4
"""Changed keys that are named at once; the rest is counted, and listed further down."""

_OURS = ("dummy", "linear", "champion", "challenger")


def lead(comparison: Comparison, judgement: Judgement, change: Change, verdict: Verdict) -> Iterator[Block]:
    """The part above the folds."""
    if verdict.cautions:
        yield Alert(kind="caution", sentences=verdict.cautions)
    if verdict.notes:
        yield Alert(kind="note", sentences=verdict.notes)
    yield Paragraph(text=sentence(comparison, judgement))
    if verdict.warnings:
        yield Alert(kind="warning", sentences=verdict.warnings)
    if comparison.metrics:
        yield metric_table(comparison)
        yield Plot(name="differences")
    if comparison.seeds is not None:
        yield Paragraph(text=_seeds(comparison.seeds))
    if comparison.champion is not None:
        yield Paragraph(text=why(change))


def sentence(comparison: Comparison, judgement: Judgement) -> Words:
    """The primary metric, on which rows, how the gates stand, and which look this is."""
    return words(*_found(comparison), *_gates(comparison, judgement), *_look(comparison))


def _found(comparison: Comparison) -> Iterator[Part]:
    row, rows = comparison.primary, comparison.rows
    if row is None:
        yield "No metric could be compared." if comparison.champion else "No metric could be computed."
        return
    yield from _values(comparison, row)
    if rows is not None:
        yield _where(rows, paired=row.difference is not None)
    yield "."


def _values(comparison: Comparison, row: MetricRow) -> Iterator[Part]:
    places = max(digits(row.difference), 0) if row.difference else 3
    champion, challenger = (number(row.values.get(who), places) for who in ("champion", "challenger"))
    if row.difference is None:
        linear = row.values.get("linear")
        yield Strong(f"{row.title} {challenger}")
        yield f" (the linear baseline has {number(linear, places)})" if linear is not None else ""
    elif comparison.verdict == "identical":
        yield Strong(f"{row.title} {challenger}")
        yield ", by the very bytes of the champion,"
    else:
        yield Strong(f"{row.title} {champion} → {challenger}")
        about = f"95 % interval {reach(row.difference)}" if reach(row.difference) else row.difference.note
        yield f" ({signed(row.difference.value, digits(row.difference))}, {about})"


def _where(rows: Rows, *, paired: bool) -> str:
    of = "" if rows.kind == "row" else f" of {count(rows.blocks, rows.kind)}"
    span = f" ({rows.span.strip(' ()')})" if rows.span.strip(" ()") else ""
    end = " that neither model has trained on" if paired else " that it has not trained on"
    return f" on {'the same ' if paired else ''}{count(rows.compared, 'row')}{of}{span}{end}"


def _gates(comparison: Comparison, judgement: Judgement) -> Iterator[Part]:
    total = len(judgement.outcomes)
    passing = sum(outcome.passes for outcome in judgement.outcomes)
    holding = sum(outcome.state == "holds" for outcome in judgement.outcomes)
    if not total:
        yield " No gates."
    elif holding == passing:
        yield f" {holding:,} of {count(total, 'gate')} {'holds' if total == 1 else 'hold'}."
    elif comparison.verdict == "first model":
        yield f" {holding:,} of {count(total, 'gate')} {'holds' if total == 1 else 'hold'}; the others need a champion."
    else:
        verb = "passes" if total == 1 else "pass"
        yield f" {passing:,} of {count(total, 'gate')} {verb}, {passing - holding:,} of them unsure."


def _look(comparison: Comparison) -> Iterator[Part]:
    if comparison.rows is not None:
        yield f" {ordinal(comparison.looks)} look at this holdout."


def metric_table(comparison: Comparison) -> Table:
    """Every metric by who answers; the primary one first."""
    champion, paired = comparison.champion, any(row.difference for row in comparison.metrics)
    others = [who for who in _answering(comparison.metrics) if who not in _OURS]
    known = [who for who in ("dummy", "linear") if who in _answering(comparison.metrics)]
    head: list[Words] = [words("metric"), *(words(who) for who in known), *(words(Code(who)) for who in others)]
    if paired and champion:
        head.append(words("champion ", Code(champion.released or champion.short)))
    head.append(words("this change"))
    if paired:
        head += [words("difference (95 %)"), words("")]
    rows = sorted(comparison.metrics, key=lambda row: not row.primary)
    whose = [*known, *others, *(["champion"] if paired and champion else [])]
    return Table(
        head=tuple(head),
        rows=tuple(_metric(row, whose, paired=paired) for row in rows),
        right=tuple(range(1, len(whose) + 2)),
    )


def _seeds(seeds: Seeds) -> Words:
    low, high = (number(end, 4) for end in (min(seeds.values), max(seeds.values)))
    title, size = METRICS[seeds.metric].title, "no larger" if seeds.within else "larger"
    return words(
        Strong("Another seed alone"),
        f" · {count(len(seeds.values), 'refit')}: {title} {low} to {high}, standard deviation "
        f"{number(seeds.spread, 4)}; two fits lie up to {number(seeds.reach, 4)} apart in 95 of 100 cases, and the "
        f"difference to the champion is {size}",
    )


def _answering(metrics: tuple[MetricRow, ...]) -> list[str]:
    return [*dict.fromkeys(who for row in metrics for who in row.values)]


def _metric(row: MetricRow, whose: list[str], *, paired: bool) -> Cells:
    places = digits(row.difference)
    title = f"{row.title} {'↑' if row.higher_is_better else '↓'}"
    cells = [words(Strong(title), " (primary)") if row.primary else words(title)]
    cells += [words(number(row.values.get(who), places)) for who in whose]
    value = number(row.values.get("challenger"), places)
    cells.append(words(Strong(value)) if row.primary else words(value))
    if paired:
        cells += [
            words(difference(row.difference)),
            words(Strong(row.word)) if row.word == "worse" else words(row.word),
        ]
    return tuple(cells)


def why(change: Change) -> Words:
    """What moved the model, on one line."""
    parts: list[Part] = [Strong("Why it changed")]
    if change.spec:
        parts += [" · ", Code("params.yaml"), ": "]
        for index, key in enumerate(change.spec[:SHOWN]):
            parts += ["; " if index else "", *_key(key)]
        parts.append(f" and {len(change.spec) - SHOWN:,} more" if len(change.spec) > SHOWN else "")
    for kind, named in _causes(change):
        parts.append(f" · {kind}: {named}" if named else "")
    for state in ("reran", "restored"):
        names = [stage.name for stage in change.stages if stage.state == state]
        parts.append(f" · {state}: {', '.join(names)}" if names else "")
    parts.append(" · nothing that is recorded" if len(words(*parts)) == 1 else "")
    return words(*parts)


def _causes(change: Change) -> Iterator[tuple[str, str]]:
    """What changed besides the spec, by name: contract, code, data, versions."""
    yield "contract", _few([part.short or part.text for part in change.contract])
    for kind in OUTSIDE:
        paths = [path for stage in change.stages for path in stage.causes.get(kind, ())]
        yield kind, summed([*dict.fromkeys(paths)]) if paths else ""
    yield "versions", _few([f"{each.path} {each.before or NONE} → {each.after or NONE}" for each in change.versions])


def _few(names: Iterable[str]) -> str:
    return names_of([*dict.fromkeys(names)], SHOWN)


def _key(key: SpecChange) -> list[Part]:
    if key.items:
        signs = [f"{sign} {items}" for sign, items in (("−", key.before), ("+", key.after)) if items]
        return [Code(key.path), f" {', '.join(signs)}"]
    return [Code(key.path), f" {key.before or '(absent)'} → {key.after or '(absent)'}"]
