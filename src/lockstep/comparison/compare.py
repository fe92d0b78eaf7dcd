"""Champion and challenger on the same rows: what may be said about the two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pandas as pd

from lockstep.comparison import challenger, champion, question, scoring
from lockstep.comparison import released as tagged
from lockstep.comparison.asked import asked
from lockstep.comparison.challenger import Challenger
from lockstep.comparison.champion import Files, Incomparable, Loaded
from lockstep.comparison.frames import among, read_columns, read_keys
from lockstep.comparison.looks import looks
from lockstep.comparison.released import Released
from lockstep.comparison.replay import replay
from lockstep.comparison.result import Comparison, Exam, MetricRow, Rows, Seeds, Verdict
from lockstep.comparison.rows import Chosen, choose, columns_of
from lockstep.comparison.scoring import CHALLENGER, CHAMPION, LINEAR, Pupil
from lockstep.comparison.seeds import Progress, insist_on_several, spread
from lockstep.errors import InputError, Refused
from lockstep.revision import Revision, is_shallow
from lockstep.rows.prepared import KEY
from lockstep.rows.roles import feature_columns
from lockstep.rows.splits import Hashes
from lockstep.spec import GroupSplit, Spec


@dataclass(frozen=True, kw_only=True)
class _Sat:
    """What sitting the exam gave: the comparison rows as this branch has them, the answers, and all doubts."""

    rows: pd.DataFrame
    exam: Exam
    chosen: Chosen | None
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def compare(
    root: Path,
    spec: Spec,
    base: Revision | None,
    *,
    seeds: int = 0,
    released: Sequence[str] = (),
    progress: Progress = lambda _: None,
) -> Comparison:
    """Compare the work tree's model with that of `base`; `released` are tags whose models answer the same rows.

    `seeds` refits the challenger so many times. Raises `InputError` when the work tree is not built, the champion
    cannot be had or `seeds` is 1, `OutsideError` when a remote fails.
    """
    insist_on_several(seeds)
    branch = challenger.load(root)
    files = champion.gather(root, base) if base and champion.has_model(base) else None
    keys = read_keys(branch.holdout)
    tags = tagged.load(root, spec, released, keys)
    wanted = asked(spec, base if files else None)
    loaded, doubts = _opened(files, spec)
    sat = _sit(spec, branch, loaded, tags, wanted.slices, [*doubts, *_flattered(branch, keys)])
    identical = files is not None and all(files.md5s.get(name) == branch.md5s[name] for name in _MODEL)
    metrics = scoring.metric_rows(sat.exam, wanted.metrics, spec.evaluate.primary, identical=identical)
    slices, left_out = scoring.slice_rows(sat.exam, wanted.metrics, identical=identical)
    primary = next(row for row in metrics if row.primary)
    of_chance, failed = _spread(root, spec, branch, sat, seeds, primary, progress)
    return Comparison(
        verdict=_verdict(files, sat, primary),
        why=(*sat.doubts, *_too_few(primary)),
        notes=(*wanted.notes, *sat.notes, *tags.notes, *failed, *_shallow(root)),
        champion=files.champion if files else None,
        champion_folder=files.folder if files else None,
        rows=_counted(spec, sat),
        metrics=metrics,
        slices=slices,
        slices_left_out=left_out,
        looks=looks(root),
        seeds=of_chance,
        exam=sat.exam,
    )


_MODEL = ("model.onnx", "contract.json")
"""The files that are served: models with the same bytes of both are the same model."""


def _opened(files: Files | None, spec: Spec) -> tuple[Loaded | None, list[str]]:
    """The champion, and why it cannot be compared with."""
    if files is None:
        return None, []
    doubts = question.changes(files.question, question.of_spec(spec))
    try:
        loaded = champion.opened(files)
    except Incomparable as error:
        return None, [*doubts, str(error)]
    return loaded, [*doubts, *replay(loaded)]


def _flattered(branch: Challenger, keys: Hashes) -> Iterator[str]:
    own = int(among(keys, branch.provenance).sum())
    if own:
        yield f"This branch's model has learned from {own:,} of the {len(keys):,} rows held out: they flatter it."


def _sit(
    spec: Spec, branch: Challenger, base: Loaded | None, tags: Released, slices: Sequence[str], doubts: Sequence[str]
) -> _Sat:
    """Let all models answer the comparison rows; without a champion that can be compared, the others their own."""
    others = [*([base] if base else []), *tags.models.values()]
    holdout = read_columns(branch.holdout, _columns(spec, others, slices))
    chosen = choose(spec, branch, base, holdout, tags.learned) if base and not doubts else None
    doubts = (*doubts, *(chosen.why if chosen else ()))
    together = chosen if chosen and not doubts else None
    rows = together.rows if together else holdout[~tags.learned].reset_index(drop=True)
    pupils = {CHALLENGER: Pupil(model=branch.model, rows=rows), LINEAR: Pupil(model=branch.linear, rows=rows)}
    if base and together:
        pupils[CHAMPION] = Pupil(model=base.model, rows=together.read)
    pupils |= {tag: Pupil(model=loaded.model, rows=rows) for tag, loaded in tags.models.items()}
    exam = scoring.sit(spec, rows, pupils, slices)
    silent = scoring.silent(exam)
    said = {
        name: f"`{name}` gives no number for {count:,} of the {len(exam):,} rows." for name, count in silent.items()
    }
    if CHALLENGER in silent or LINEAR in silent:
        raise InputError(f"{' '.join(said.values())} So there is nothing to compare: correct the model, or the data")
    return _Sat(
        rows=rows,
        exam=scoring.without(exam, silent),
        chosen=chosen,
        doubts=(*doubts, *(text for name, text in said.items() if name == CHAMPION)),
        notes=(*(chosen.notes if chosen else ()), *(text for name, text in said.items() if name != CHAMPION)),
    )


def _columns(spec: Spec, others: Sequence[Loaded], slices: Sequence[str]) -> set[str]:
    """What a comparison reads of this branch's holdout."""
    contract = spec.contract
    grouped = [spec.split.column] if isinstance(spec.split, GroupSplit) else []
    timed = [contract.time] if contract.time else []
    theirs = [name for other in others for name in columns_of(other.model)]
    return {KEY, contract.target.column, *feature_columns(contract), *grouped, *timed, *slices, *theirs}


def _verdict(files: Files | None, sat: _Sat, primary: MetricRow) -> Verdict:
    if sat.doubts:
        return "not comparable"
    return "first model" if files is None else cast(Verdict, primary.word)


def _too_few(primary: MetricRow) -> Iterator[str]:
    if primary.word == scoring.TOO_FEW and primary.difference:
        note = primary.difference.note
        yield f"{note[:1].upper()}{note[1:]}."


def _spread(
    root: Path, spec: Spec, branch: Challenger, sat: _Sat, number: int, primary: MetricRow, progress: Progress
) -> tuple[Seeds | None, list[str]]:
    """What chance alone does, if it was asked for, or why that is not known."""
    if not number:
        return None, []
    difference = primary.difference.value if primary.difference else None
    try:
        return spread(root, spec, branch.training, sat.rows, number, difference, progress), []
    except (InputError, Refused) as error:
        return None, [f"What another seed alone does is not known: {error}"]


def _counted(spec: Spec, sat: _Sat) -> Rows:
    blocks, time = sat.exam.blocks, spec.contract.time
    span = f"{sat.rows[time].min():%Y-%m-%d} to {sat.rows[time].max():%Y-%m-%d}" if time else ""
    counts = sat.chosen.counts if sat.chosen else {}
    return Rows(compared=len(sat.rows), blocks=blocks.count, kind=blocks.kind, span=span, **counts)


def _shallow(root: Path) -> Iterator[str]:
    if is_shallow(root):
        yield "This clone is shallow, so not every look at this holdout is counted. `git fetch --unshallow` mends it."
