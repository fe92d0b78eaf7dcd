"""Why the model changed: everything that differs between the base and the work tree besides the model itself."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from lockstep import judging
from lockstep.errors import InputError
from lockstep.lock.entries import FILE as LOCK
from lockstep.lock.entries import Entries, parse
from lockstep.report.change import Change, ContractChange, DataFinding, Drift, SpecChange
from lockstep.report.contract_changes import UNREADABLE, contract_changes, exposed, private_columns
from lockstep.report.drift import drifts, training_rows
from lockstep.report.spec_changes import comparable, cut, spec_changes
from lockstep.report.stage_changes import gone, stage_changes, tracked
from lockstep.revision import Revision, git
from lockstep.running.versions import FILE as VERSIONS
from lockstep.spec import Spec

PARAMS, METRICS, SUMMARY = "params.yaml", "reports/metrics.json", "data/prepared/summary.json"
CONTRACT, REFERENCE = "contract.json", "reference.parquet"
MODEL, GRAPH = "model", "model/model.onnx"

NOT_READ = (
    InputError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What PyYAML raises for odd text of another revision (`!!int ""`, `!!timestamp x`, 2013-13-45): it becomes a note."""

Counts = Mapping[str, tuple[int | None, int]]


def changes(root: Path, spec: Spec, base: Revision | None, champion_folder: Path | None) -> Change:
    """All of it, between `base` and the work tree; `champion_folder` holds the base's model, where there is one.

    What of the base is absent or cannot be read is left out, and a note says so. Raises `InputError` for a work tree
    whose own files cannot be read.
    """
    notes: list[str] = []
    rows, quarantine = _data(root, base, notes)
    found = new_findings(_json(base.read(METRICS)) if base else {}, _json(_read(root / SUMMARY)))
    entries = _entries(root)
    if base is None:
        stages = stage_changes({}, entries)
        return Change(stages=stages, rows=rows, quarantine=quarantine, findings=found)
    before, after = _params(base, notes), _load(root / PARAMS)
    locked = _locked(base, notes)
    return Change(
        spec=spec_changes(before, after) if before else (),
        contract=_contract(root, locked, before, after, champion_folder),
        stages=() if locked is None else stage_changes(locked, entries),
        rows=rows,
        quarantine=quarantine,
        drift=_drift(root, spec, before, champion_folder, notes),
        unseen=sum(column.private for column in spec.contract.columns.values()),
        findings=found,
        exposed=exposed(before.get("contract"), after["contract"]),
        versions=_versions(root, base, tracked(entries), notes),
        judges=tuple(judges(root, base)),
        notes=(*notes, *_stages_gone(locked or {}, entries)),
    )


def judges(root: Path, base: Revision) -> list[str]:
    """Paths of changed files that change who judges: committed since `base`, or not committed yet. Sorted."""
    changed = git(root, "diff", "--name-only", "--no-renames", "--relative", "-z", base.sha)
    new = git(root, "ls-files", "--others", "--exclude-standard", "-z")
    return sorted({path for path in f"{changed}\0{new}".split("\0") if path and judging.judges(path)})


def _params(base: Revision, notes: list[str]) -> dict[str, Any]:
    """The base's params.yaml; empty, with a note, where nothing can be compared with it."""
    if base.read(PARAMS) is None:
        notes.append(f"The base ({base.short}) has no `{PARAMS}`: there is nothing to compare the spec with.")
        return {}
    try:
        values = base.values()
    except NOT_READ as error:
        notes.append(f"The spec was not compared: {_unreadable(PARAMS, base, error)}.")
        return {}
    if not values or not comparable(values):
        why = "is nested without end" if values else "holds no sections"
        notes.append(f"The spec was not compared: {PARAMS} of {base.short} {why}.")
        return {}
    return values


def _load(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path.name} cannot be read{_why(error)}") from None
    return values if isinstance(values, dict) else {}


def _contract(
    root: Path, locked: Entries | None, before: Mapping[str, Any], after: Mapping[str, Any], champion: Path | None
) -> tuple[ContractChange, ...]:
    """What changed for callers. A base that never had a model has none whom a change could break."""
    served = locked is None or any(GRAPH in entry.outs for entry in locked.values())
    if not before:
        return (UNREADABLE,) if served else ()
    learned = _classes(champion), _classes(root / MODEL)
    found = contract_changes(before.get("contract"), after["contract"], learned)
    return found if served else tuple(replace(change, breaking=False) for change in found if change is not UNREADABLE)


def _classes(folder: Path | None) -> list[str]:
    """The classes that a model has learned; none where there is no model, or where they are not listed."""
    try:
        found = _json((folder / CONTRACT).read_bytes()) if folder else {}
    except OSError:
        return []
    classes = found.get("classes")
    return [str(each) for each in classes] if isinstance(classes, list) else []


def _json(content: bytes | None) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    try:
        found = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _data(root: Path, base: Revision | None, notes: list[str]) -> tuple[Counts | None, Counts | None]:
    """Rows by what became of them, and quarantined rows by the rule they broke, before and after."""
    summary, metrics = _json(_read(root / SUMMARY)), _json(_read(root / METRICS))
    old = _json(base.read(METRICS)) if base else {}
    if base and not _counts(old.get("data")):
        notes.append(f"The base ({base.short}) has no record of its rows in `{METRICS}`.")
    data = _only_rows(_counts(metrics.get("data")))
    rows = _beside(_only_rows(_counts(old.get("data"))), _counts(summary.get("rows")) or data)
    refused = _counts(summary.get("quarantine", metrics.get("quarantine")))
    return rows, _reasons(_counts(old.get("quarantine")), refused, recorded="quarantine" in old)


def new_findings(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[DataFinding, ...]:
    """Findings under `findings` of `after` that `before` does not have of the same column. What is no finding is left
    out.
    """
    known = {(found.id, found.column) for found in _findings(before)}
    return tuple(found for found in _findings(after) if (found.id, found.column) not in known)


def _findings(values: Mapping[str, Any]) -> Iterator[DataFinding]:
    listed = values.get("findings")
    for each in listed if isinstance(listed, list) else []:
        match each:
            case {"id": str(id_), "column": str(column), "message": str(message)}:
                yield DataFinding(id=id_, column=column, message=message)


BESIDES = frozenset({"blocks", "unseen_class"})
"""Counts under `data` of metrics.json that are not of rows."""


def _only_rows(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if name not in BESIDES}


def _beside(before: Mapping[str, int], after: Mapping[str, int]) -> Counts | None:
    return {name: (before.get(name), count) for name, count in after.items()} or None


def _reasons(before: Mapping[str, int], after: Mapping[str, int], *, recorded: bool) -> Counts:
    """A rule that the base's rows did not break counts zero there, if the base has a record at all."""
    names = dict.fromkeys([*after, *before])
    return {cut(name): (before.get(name, 0) if recorded else None, after.get(name, 0)) for name in names}


def _counts(found: Any) -> dict[str, int]:
    """The whole numbers of a mapping."""
    if not isinstance(found, Mapping):
        return {}
    return {name: count for name, count in found.items() if isinstance(count, int) and not isinstance(count, bool)}


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _entries(root: Path) -> Entries:
    return parse(_read(root / LOCK) or b"")


def _locked(base: Revision, notes: list[str]) -> Entries | None:
    try:
        entries = base.entries()
    except NOT_READ as error:
        notes.append(f"Which stages ran is not known: {_unreadable(LOCK, base, error)}.")
        return None
    if not comparable({name: entry.raw for name, entry in entries.items()}):
        notes.append(f"Which stages ran is not known: {LOCK} of {base.short} is nested without end.")
        return None
    return entries


def _stages_gone(before: Entries, after: Entries) -> list[str]:
    names = gone(before, after)
    return [f"Stages of the base that are gone: {', '.join(f'`{name}`' for name in names[:8])}."] if names else []


def _versions(root: Path, base: Revision, first: set[str], notes: list[str]) -> tuple[SpecChange, ...]:
    """Distributions whose locked version moved; those that a stage depends on come first."""
    content = base.read(VERSIONS)
    before = _toml(content)
    if not before:
        notes.append(f"The base ({base.short}) has no readable `{VERSIONS}`: versions were not compared.")
        return ()
    after = _toml(_read(root / VERSIONS))
    moved = [name for name in dict.fromkeys([*after, *before]) if before.get(name) != after.get(name)]
    return tuple(
        SpecChange(path=cut(name), before=cut(before.get(name, "")), after=cut(after.get(name, "")))
        for name in sorted(moved, key=lambda name: name not in first)
    )


def _toml(content: bytes | None) -> dict[str, str]:
    try:
        found = tomllib.loads((content or b"").decode())
    except (ValueError, RecursionError):
        return {}
    return {name: str(version) for name, version in found.items() if isinstance(version, str | int | float)}


def _drift(
    root: Path, spec: Spec, before: Mapping[str, Any], champion_folder: Path | None, notes: list[str]
) -> tuple[Drift, ...]:
    import pyarrow as pa

    if champion_folder is None:
        return ()
    tables = []
    for whose, folder in (("the champion's", champion_folder), ("this change's", root / MODEL)):
        try:
            tables.append(training_rows(folder / REFERENCE))
        except (pa.ArrowException, OSError, KeyError) as error:
            notes.append(f"Drift was not looked at: {whose} {REFERENCE} cannot be read{_why(error)}.")
            return ()
    private = frozenset(private_columns(before.get("contract")))
    return tuple(drifts(tables[0], tables[1], spec.contract, private))


def _unreadable(file: str, base: Revision, error: BaseException) -> str:
    own = isinstance(error, InputError)
    return cut(" ".join(str(error).split()), 240) if own else f"{file} of {base.short} cannot be read{_why(error)}"


def _why(error: BaseException) -> str:
    """The reason in brackets, on one line, shortened; paths of this machine are no reason."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    words = " ".join(said.split())
    return f" ({cut(words, 160)})" if words else ""
