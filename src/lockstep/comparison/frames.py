"""Prepared rows and key hashes at rest, read no further than a comparison needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lockstep.rows.prepared import KEY, column_names
from lockstep.rows.splits import Hashes
from lockstep.rows.tables import read_table


def read_columns(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Prepared rows with the contract's types, those of `columns` that the file has, in the file's order.

    Raises `InputError` when the file is damaged.
    """
    import pyarrow as pa

    wanted = set(columns)
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    table = read_table(path, [name for name in column_names([path]) if name in wanted])
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


def read_keys(path: Path, column: str = KEY) -> Hashes:
    """The key hashes (n,) of a file's rows, in the file's order. Raises `InputError` when the file is damaged."""
    return np.asarray(read_table(path, [column])[column].to_numpy(), np.uint64)


def among(keys: Hashes, ordered: Hashes) -> npt.NDArray[np.bool_]:
    """Which of the keys (n,) are among the sorted others.

    >>> among(np.array([5, 1], np.uint64), np.array([1, 2], np.uint64)).tolist()
    [False, True]
    """
    found: npt.NDArray[np.bool_] = _at(keys, ordered)[1]
    return found


def places(keys: Hashes, others: Hashes) -> npt.NDArray[np.int64]:
    """Where each key (n,) stands among the others, in any order; -1 where it does not.

    >>> places(np.array([5, 1], np.uint64), np.array([2, 1], np.uint64)).tolist()
    [-1, 1]
    """
    order = np.argsort(others, kind="stable")
    at, found = _at(keys, others[order])
    return np.where(found, order[at] if len(order) else -1, -1)


def _at(keys: Hashes, ordered: Hashes) -> tuple[npt.NDArray[np.int64], Any]:
    if not len(ordered):
        return np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
    at = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return at, ordered[at] == keys
