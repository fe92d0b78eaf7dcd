"""Which side a row is on. It depends on the row's key, group or time and the window alone, never on other rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lockstep.errors import InputError
from lockstep.spec import Contract, GroupSplit, KeySplit, Split, TimeSplit, parse_duration

TRAINING, HOLDOUT, GAP = "training", "holdout", "gap"

Hashes = npt.NDArray[np.uint64]
Fold = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

_SEPARATOR = "\x1f"


def offset(duration: str) -> pd.DateOffset:
    """A duration of the spec as a calendar offset.

    >>> import pandas as pd
    >>> pd.Timestamp("2013-11-01") - offset("3 months")
    Timestamp('2013-08-01 00:00:00')
    """
    number, unit = parse_duration(duration)
    arguments: dict[str, Any] = {f"{unit}s": number}
    return pd.DateOffset(**arguments)


def key_hashes(rows: pd.DataFrame, names: Sequence[str], salt: str = "") -> Hashes:
    """BLAKE2b-64 of the named columns' values as text, joined by U+001F and led by the salt; (n,) uint64.

    The text of a value is fixed by its declared type, so the hash is the same in any version of any library.
    """
    texts = [_texts(rows[name]) for name in names]
    prefix = salt + _SEPARATOR if salt else ""
    digests = b"".join(
        hashlib.blake2b((prefix + _SEPARATOR.join(parts)).encode(), digest_size=8).digest()
        for parts in zip(*texts, strict=True)
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _texts(values: pd.Series[Any]) -> list[str]:
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return list(np.datetime_as_string(values.to_numpy(dtype="datetime64[us]")).tolist())
    if pd.api.types.is_float_dtype(values.dtype):
        return [repr(float(value)) for value in values.tolist()]
    return [str(value) for value in values.tolist()]


def sides(rows: pd.DataFrame, keys: Hashes, contract: Contract, split: Split, until: str | None) -> npt.NDArray[Any]:
    """`training`, `holdout` or `gap` for each row, (n,) object."""
    match split:
        case TimeSplit():
            assert until is not None
            assert contract.time is not None
            start, end = time_bounds(split, contract, until)
            times = rows[contract.time].to_numpy(dtype="datetime64[us]")
            return np.select([times >= start, times < end], [HOLDOUT, TRAINING], GAP).astype(object)
        case KeySplit():
            hashes = key_hashes(rows, contract.key, split.salt) if split.salt else keys
        case GroupSplit():
            hashes = key_hashes(rows, [split.column], split.salt)
    return np.where(hashes < np.uint64(split.holdout * 2**64), HOLDOUT, TRAINING).astype(object)


def time_bounds(split: TimeSplit, contract: Contract, until: str) -> tuple[np.datetime64, np.datetime64]:
    """Where the holdout starts, and where training ends: the longer of gap and known_after before that."""
    start = pd.Timestamp(until) - offset(split.holdout)
    gaps = [start - offset(gap) for gap in (split.gap, contract.target.known_after) if gap]
    return start.to_datetime64(), min([start, *gaps]).to_datetime64()


def folds(rows: pd.DataFrame, keys: Hashes, contract: Contract, split: Split, count: int) -> list[Fold]:
    """Positions of (rows to fit, rows to judge), `count` times.

    With a time column the folds follow time: each is judged on a stretch after all that it was fitted on, with the
    split's gap between them. Under a group split whole groups, and without a time column rows, are dealt out by hash.
    Raises `InputError` when a fold would be empty.
    """
    by_time = contract.time and not isinstance(split, GroupSplit)
    made = _time_folds(rows, contract, split, count) if by_time else _hash_folds(rows, keys, split, count)
    if all(len(fit) and len(judge) for fit, judge in made):
        return made
    waits = _waits(contract, split) if by_time else []
    said = f"{len(rows):,} training rows do not fill {count} folds (params.yaml: train.folds)"
    if waits and all(len(judge) for _, judge in made):
        longest = max(waits, key=lambda wait: pd.Timestamp(0) + offset(wait))
        raise InputError(
            f"{said}: the gap of {longest} leaves no earlier rows to fit on. Shorten it (split.gap or "
            "contract.target.known_after), lower train.folds or widen the window."
        )
    if isinstance(split, GroupSplit):
        raise InputError(
            f"{said}: {rows[split.column].nunique()} groups of `{split.column}` are too few. Lower train.folds."
        )
    raise InputError(f"{said}. Lower train.folds, or bring more rows.")


def _waits(contract: Contract, split: Split) -> list[str]:
    """What must lie between rows to fit and rows to judge; the longest counts."""
    return [wait for wait in (getattr(split, "gap", None), contract.target.known_after) if wait]


def _time_folds(rows: pd.DataFrame, contract: Contract, split: Split, count: int) -> list[Fold]:
    times = rows[contract.time].to_numpy(dtype="datetime64[us]")
    edges = np.sort(times)[np.linspace(0, len(times), count + 2).astype(int)[1:-1]]
    waits = _waits(contract, split)
    made = []
    for position, edge in enumerate(edges):
        until = min([pd.Timestamp(edge), *(pd.Timestamp(edge) - offset(wait) for wait in waits)]).to_datetime64()
        end = edges[position + 1] if position + 1 < len(edges) else times.max() + np.timedelta64(1, "us")
        made.append((np.flatnonzero(times < until), np.flatnonzero((times >= edge) & (times < end))))
    return made


def _hash_folds(rows: pd.DataFrame, keys: Hashes, split: Split, count: int) -> list[Fold]:
    hashes = key_hashes(rows, [split.column], "fold") if isinstance(split, GroupSplit) else keys
    # The low bits: the high ones already decided the side.
    number = hashes % np.uint64(count)
    return [(np.flatnonzero(number != fold), np.flatnonzero(number == fold)) for fold in range(count)]
