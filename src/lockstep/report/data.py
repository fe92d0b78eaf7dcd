"""What can be unfolded about data: rows in and out, the exam's checks, quarantine, contract, drift."""

from __future__ import annotations

from collections.abc import Iterator

from lockstep.comparison.result import Comparison
from lockstep.report.change import Change, Drift
from lockstep.report.document import Block, Cells, Code, Fold, Paragraph, Plot, Strong, Table, prose, words
from lockstep.report.folds import SHOWN, head
from lockstep.report.numbers import NONE, count, number, percent

ROWS = {
    "rows": "all",
    "training": "training",
    "holdout": "holdout",
    "gap": "in the gap between them",
    "unlabelled": "without an outcome",
    "quarantine": "in quarantine",
}
"""What rows are called, by their name in the summary of what was prepared."""


def fold(comparison: Comparison, change: Change) -> Fold | None:
    """Rows in and out, what the exam's checks found, quarantine, contract, drift."""
    blocks = [*_rows(change), *_exam(comparison), *_quarantine(change), *_contract(change), *_drift(change)]
    if not blocks:
        return None
    return Fold(name="data", summary=f"Data: {', '.join(_data_summary(comparison, change))}", blocks=tuple(blocks))


def _data_summary(comparison: Comparison, change: Change) -> Iterator[str]:
    before, after = (change.rows or {}).get("rows", (None, None))
    if before is not None and after is not None:
        gained = after - before
        yield f"{_more(gained)} {'row' if abs(gained) == 1 else 'rows'}" if gained else "as many rows"
        # As many rows are not the same rows: where they went tells.
        for name in ROWS if gained == 0 else ("unlabelled", "quarantine"):
            old, new = (change.rows or {}).get(name, (None, 0))
            if old is not None and new != old:
                yield f"{_more(new - old)} {ROWS[name]}"
    broken = sum(part.breaking for part in change.contract)
    if broken:
        yield f"contract changed, {count(broken, 'change breaks', 'changes break')} callers"
    elif comparison.champion is not None:
        yield "contract changed" if change.contract else "contract unchanged"
    else:
        yield count(after or 0, "row")
    if change.drift:
        drifted = sum(column.drifted for column in change.drift)
        unseen = f" ({count(change.unseen, 'private column')} not looked at)" if change.unseen else ""
        yield f"{count(drifted, 'column') if drifted else 'no column'} drifted{unseen}"


def _more(n: int) -> str:
    return f"{n:+,}".replace("-", "−")


def _rows(change: Change) -> Iterator[Block]:
    if change.rows:
        order = [*(name for name in ROWS if name in change.rows), *(name for name in change.rows if name not in ROWS)]
        rows = tuple(_before_after(ROWS.get(name, name), change.rows[name]) for name in order)
        yield Table(head=head("rows", "before", "now", "difference"), rows=rows, right=(1, 2, 3))


def _before_after(name: str, counts: tuple[int | None, int]) -> Cells:
    before, after = counts
    if before is None:
        return (words(name), words(NONE), words(f"{after:,}"), words(""))
    change = _more(after - before) if after != before else "0"
    return (words(name), words(f"{before:,}"), words(f"{after:,}"), words(change))


def _exam(comparison: Comparison) -> Iterator[Block]:
    rows = comparison.rows
    if rows is None:
        return
    found = {
        "compared": rows.compared,
        "held out here, but one of the models has trained on them": rows.excluded,
        "not held out by the base, though of its holdout's time": rows.added,
        "new rows that the champion cannot read": rows.unmatched,
        "the base's holdout that the window moved over: training rows now, or in the gap": rows.moved,
        "the base's holdout that is due here too": rows.due,
        "of it in this branch's quarantine": rows.refused,
        "of it training rows of this branch": rows.relearned,
        "of it without an outcome here, moved in time, or gone": rows.gone,
        "in both holdouts": rows.joined,
        "labels that differ there": rows.labels_differ,
    }
    listed = tuple(
        (words(name), words(f"{n:,}")) for name, n in found.items() if n or name == "labels that differ there"
    )
    yield Table(head=head("rows of the comparison", ""), rows=listed, right=(1,))


def _quarantine(change: Change) -> Iterator[Block]:
    if change.quarantine:
        rows = tuple(_before_after(name, change.quarantine[name]) for name in change.quarantine)
        yield Table(
            head=head("in quarantine because of", "before", "now", "difference"),
            rows=rows,
            right=(1, 2, 3),
            short=SHOWN,
        )


def _contract(change: Change) -> Iterator[Block]:
    if change.contract:
        parts = sorted(change.contract, key=lambda part: not part.breaking)
        rows = tuple((prose(part.text), words(Strong("yes")) if part.breaking else words("no")) for part in parts)
        yield Table(head=head("contract", "breaks callers"), rows=rows, short=SHOWN)


def _drift(change: Change) -> Iterator[Block]:
    if change.drift and not any(column.distance or column.missing[0] != column.missing[1] for column in change.drift):
        which = "public column" if change.unseen else "column"
        yield Paragraph(text=words(f"Training rows have not drifted: no {which}'s values differ from the champion's."))
    elif change.drift:
        yield Plot(name="drift")
        yield Table(
            head=head("training rows, by column", "distance", "before", "now", "missing", ""),
            rows=tuple(_column(column) for column in change.drift),
            right=(1,),
            short=SHOWN,
        )
    if change.unseen:
        verb = "is" if change.unseen == 1 else "are"
        yield Paragraph(text=words(f"{count(change.unseen, 'private column')} {verb} not looked at for drift."))


def _column(column: Drift) -> Cells:
    before, after = map(percent, column.missing)
    missing = f"{before} → {after}" if before != after else before
    return (
        words(Code(column.column)),
        words(number(column.distance)),
        words(column.before),
        words(column.after),
        words(missing),
        words(Strong("drifted")) if column.drifted else words(""),
    )
