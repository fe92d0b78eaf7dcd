"""A report as files: report.md for the comment, report.html for people, verdict.json for machines."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from pathlib import Path

from lockstep.comparison.result import Champion, MetricRow, Rows
from lockstep.errors import InputError
from lockstep.gates.outcome import Outcome
from lockstep.markdown import line
from lockstep.report import markdown, page
from lockstep.report.document import Report, Words, plain
from lockstep.report.judged import Judged
from lockstep.report.lead import sentence
from lockstep.report.record import LINE, LINES, ChampionRecord, Document, GateRecord, MetricRecord, RowsRecord

FILES = ("report.md", "report.html", "verdict.json")


def clear(folder: Path) -> None:
    """Take an older report away, so that what fails from here on leaves none behind.

    Raises `InputError` when `folder` is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: `--output` names a folder")
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def write(folder: Path, report: Report, document: Document) -> list[Path]:
    """The three files; each appears whole, the verdict last."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = (markdown.render(report), page.render(report), document.model_dump_json(indent=1) + "\n")
    for name, text in zip(FILES, texts, strict=True):
        unfinished = folder / f".{name}.tmp"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(folder / name)
    return [folder / name for name in FILES]


def document(judged: Judged) -> Document:
    """The verdict for machines; texts and lists are cut to what `Document` allows."""
    comparison, judgement, verdict = judged.comparison, judged.judgement, judged.verdict
    outcomes = sorted(judgement.outcomes, key=lambda outcome: outcome.passes)
    return Document(
        format=1,
        conclusion=verdict.conclusion,
        word=verdict.word,
        rollback=judged.change.rollback.tag if judged.change.rollback else "",
        headline=_line(verdict.headline),
        sentence=_line(plain(sentence(comparison, judgement))),
        project=_line(judged.spec.project.name),
        head=judged.origin.head or None,
        base=judged.origin.base or None,
        champion=_champion(comparison.champion) if comparison.champion else None,
        rows=_rows(comparison.rows) if comparison.rows else None,
        looks=comparison.looks,
        metrics=[_metric(row) for row in comparison.metrics[:LINES]],
        gates=[_gate(outcome) for outcome in outcomes[:LINES]],
        gates_left_out=max(0, len(outcomes) - LINES),
        loosened=_lines(judgement.loosened),
        judges=_lines(judged.change.judges),
        cautions=_sentences(verdict.cautions),
        warnings=_sentences(verdict.warnings),
    )


def _rows(rows: Rows) -> RowsRecord:
    return RowsRecord(
        compared=rows.compared,
        blocks=rows.blocks,
        kind=_line(rows.kind),
        excluded=rows.excluded,
        labels_differ=rows.labels_differ,
    )


def _champion(champion: Champion) -> ChampionRecord:
    return ChampionRecord(
        revision=champion.revision,
        model=champion.md5,
        source=_line(champion.source),
        released=_line(champion.released),
    )


def _metric(row: MetricRow) -> MetricRecord:
    found = row.difference
    return MetricRecord(
        id=_line(row.id),
        primary=row.primary,
        champion=_finite(row.values.get("champion")),
        challenger=_finite(row.values.get("challenger")),
        difference=_finite(found.value) if found else None,
        low=_finite(found.low) if found else None,
        high=_finite(found.high) if found else None,
        word=_line(row.word),
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else float(value)


def _gate(outcome: Outcome) -> GateRecord:
    return GateRecord(
        id=_line(outcome.id),
        title=_line(outcome.title),
        asked=_line(outcome.asked),
        found=_line(outcome.found),
        state=outcome.state,
        passes=outcome.passes,
        origin=outcome.origin,
    )


def _line(text: str) -> str:
    return line(text, LINE)


def _lines(texts: Iterable[str]) -> list[str]:
    return [_line(text) for text in [*texts][:LINES]]


def _sentences(sentences: Iterable[Words]) -> list[str]:
    return _lines(plain(words) for words in sentences)
