"""Which stages ran anew since the base, which were restored, and why: what two locks tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lockstep.lock.entries import Entries, Entry
from lockstep.report.change import StageChange
from lockstep.report.spec_changes import ABSENT, LENGTH, cut, differences, dotted, named, same, text
from lockstep.running.versions import FILE as VERSIONS

PARAMS = "params.yaml"
CODE, DATA = "code", "data"
OUTSIDE = (CODE, DATA)
"""Kinds of what a stage reads that no stage has made."""

MOST = 4
"""Things of a kind that a phrase names; the others are counted."""


def stage_changes(before: Entries, after: Entries) -> tuple[StageChange, ...]:
    """Each stage of `after`, in its order. Restored is one whose inputs and outputs are all those of the base."""
    makers = {path: name for entries in (before, after) for name, entry in entries.items() for path in entry.outs}
    return tuple(_change(before.get(name), entry, makers) for name, entry in after.items())


def gone(before: Entries, after: Entries) -> list[str]:
    """Stages that only the base has."""
    return [cut(str(name)) for name in before if name not in after]


def tracked(entries: Entries) -> set[str]:
    """The distributions whose version some stage depends on."""
    return {str(name) for entry in entries.values() for name in entry.params.get(VERSIONS, {})}


def _change(old: Entry | None, new: Entry, makers: Mapping[str, str]) -> StageChange:
    name = cut(str(new.name))
    if old is None:
        return StageChange(name=name, state="reran", why=("the base has no run of it",))
    paths = _paths(old, new, makers)
    why = tuple(_reasons(old, new, paths))
    if why or not same(old.outs, new.outs):
        # Without a reason within the lock, what the stage reads from outside it has changed: a source's rows.
        causes = {kind: tuple(paths[kind]) for kind in OUTSIDE if kind in paths}
        return StageChange(
            name=name,
            state="reran",
            why=why or ("the same inputs gave other outputs",),
            causes=causes if why else {DATA: tuple(_differ(old.outs, new.outs))},
        )
    return StageChange(name=name, state="restored")


def _paths(old: Entry, new: Entry, makers: Mapping[str, str]) -> dict[str, list[str]]:
    """What it reads that differs, by kind, code first."""
    kinds: dict[str, list[str]] = {}
    for path in _differ(old.deps, new.deps):
        kinds.setdefault(_kind(path, makers), []).append(path)
    return {kind: kinds[kind] for kind in sorted(kinds, key=lambda kind: (kind != CODE, kind != DATA, kind))}


def _reasons(old: Entry, new: Entry, paths: Mapping[str, list[str]]) -> Iterator[str]:
    """Why it ran, one phrase a kind: "params: train.estimator", "from prepare: data/prepared/training.parquet"."""
    if old.cmd != new.cmd:
        yield "command"
    yield from _phrase("params", _keys(old, new, PARAMS))
    yield from _phrase("versions", _keys(old, new, VERSIONS, values=True))
    files = [file for file in {**new.params, **old.params} if file not in (PARAMS, VERSIONS)]
    for file in files:
        yield from _phrase(cut(str(file)), _keys(old, new, file))
    for kind, found in paths.items():
        yield from _phrase(kind, found)


def _phrase(kind: str, found: Iterable[str]) -> Iterator[str]:
    names = list(dict.fromkeys(found))
    if names:
        yield f"{kind}: {summed(names)}"


def summed(names: Sequence[str]) -> str:
    """Paths in a row; many as their folders.

    >>> summed(["src/a.py"]), summed([f"src/rows/{name}.py" for name in "abcdef"])
    ('src/a.py', 'src/rows (6)')
    """
    return named(names if len(names) <= MOST else _folded(names), MOST, LENGTH)


def _folded(names: Sequence[str]) -> list[str]:
    """Many paths as their folders, two levels deep, with how many each holds.

    >>> _folded(["src/a/b.py", "src/a/c/d.py", "src/a/e.py", "f.py"])
    ['src/a (3)', 'f.py']
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        folders.setdefault("/".join(name.split("/")[:2]), []).append(name)
    return [f"{folder} ({len(inside)})" if len(inside) > 1 else inside[0] for folder, inside in folders.items()]


def _kind(path: str, makers: Mapping[str, str]) -> str:
    if path in makers:
        return f"from {cut(str(makers[path]))}"
    return CODE if path.startswith("src/") or path.endswith(".py") else DATA


def _differ(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [str(path) for path in {**after, **before} if before.get(path) != after.get(path)]


def _keys(old: Entry, new: Entry, file: str, *, values: bool = False) -> Iterator[str]:
    """The keys of a params file that differ, as deep as they go where both track them; `values` says how."""
    before, after = old.params.get(file, {}), new.params.get(file, {})
    for key in {**after, **before}:
        if key not in before or key not in after:
            yield cut(str(key))
            continue
        for path, was, now in differences(before[key], after[key], (str(key),)):
            yield f"{dotted(path)} {_short(was)} → {_short(now)}" if values else dotted(path)


def _short(value: Any) -> str:
    return "absent" if value is ABSENT else cut(value if isinstance(value, str) else text(value), 20)
