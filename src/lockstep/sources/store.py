"""The folder of raw partitions while an ingest is under way: what may stay, what is missing, what was added."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lockstep.errors import InputError
from lockstep.rows import tables
from lockstep.sources import partitions
from lockstep.sources.partitions import Manifest, Partition, Wanted

if TYPE_CHECKING:
    import pyarrow as pa

Replace = Callable[[Path, str, Callable[[Path], None]], Path]
"""Writes one file of a folder whole or not at all: `Files.replace`."""

SAVE_EVERY = 1.0
"""Seconds between two notes of how far an ingest is, from which one that was killed is taken up again."""


class Store:
    """The folder `folder` on its way to hold exactly `wanted`.

    Nothing is removed before all that is missing has come. An ingest that fails or is killed leaves what was there,
    the whole partitions that it added and a manifest that says it is not complete; the next one fetches what is still
    missing. A partition is fetched again when its file is gone, and when a function had no rows for it.
    """

    def __init__(
        self,
        folder: Path,
        wanted: Sequence[Wanted],
        before: Manifest,
        records: dict[str, dict[str, Any]],
        replace: Replace,
    ) -> None:
        self._folder = folder
        self._wanted = wanted
        self._records = records
        self._replace = replace
        self._there = self._reusable(before)
        self._reused = len(self._there)
        self._before = {partition.name: partition for partition in before.partitions}
        self._added: list[Partition] = []
        self._saved = time.monotonic()
        self.scratch = folder / ".spool"

    def _reusable(self, before: Manifest) -> dict[str, Partition]:
        """What files hold follows from their hashes; what a function did not have yet may have come since."""
        found = partitions.reusable(self._wanted, before)
        return {name: partition for name, partition in found.items() if partition.rows or self._records}

    def __enter__(self) -> Self:
        shutil.rmtree(self.scratch, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            partitions.tidy(self._folder, list(self._there.values()))
            self._save(complete=True)
            return
        shutil.rmtree(self.scratch, ignore_errors=True)
        for partition in [partition for partition in self._added if not partition.rows]:
            partition.path(self._folder).unlink()
            self._forget(partition)
        if self._added:
            self._save(complete=False)

    def missing(self) -> list[Wanted]:
        """The partitions to fetch."""
        return [want for want in self._wanted if want.name not in self._there]

    def add(self, want: Wanted, rows: Iterable[pa.Table]) -> None:
        """Write one partition."""
        counted: list[int] = []
        path = self._replace(
            self._folder, f"{want.name}.parquet", lambda unfinished: counted.append(tables.write_all(rows, unfinished))
        )
        partition = Partition(**vars(want), rows=counted[0], md5=tables.md5_of(path))
        self._before.pop(want.name, None)
        self._there[want.name] = partition
        self._added.append(partition)
        if time.monotonic() - self._saved > SAVE_EVERY:
            self._save(complete=False)

    def check(self, available: str) -> None:
        """Raise `InputError` when the window holds no row at all; `available` says what there is."""
        placed = [part for part in self._there.values() if part.name != partitions.UNPLACED]
        if not any(part.rows for part in placed):
            span = partitions.span(*partitions.window(self._wanted))
            raise InputError(f"ingest: the window is empty: there are no rows for {span}. {available}")

    def summary(self) -> str:
        """What was done, in a sentence for people."""
        parts = self._there.values()
        empty = [part.name for part in parts if not part.rows]
        loose = sum(part.rows for part in parts if part.name == partitions.UNPLACED)
        outside = sum(record["rows"] for record in self._records.values()) - sum(part.rows for part in parts)
        return (
            f"ingest: {sum(part.rows for part in parts):,} rows in {len(parts)} partition{'s' * (len(parts) != 1)}: "
            f"{self._reused} reused, {len(parts) - self._reused} fetched"
            + (f"; no rows in {', '.join(empty)}" if empty else "")
            + (f"; {loose:,} rows without a readable time" if loose else "")
            + (f"; {outside:,} rows outside the window" if outside > 0 else "")
        )

    def _forget(self, partition: Partition) -> None:
        self._added.remove(partition)
        del self._there[partition.name]

    def _save(self, *, complete: bool) -> None:
        ordered = [self._there[want.name] for want in self._wanted if want.name in self._there]
        if not complete:
            ordered += [partition for name, partition in self._before.items() if name not in self._there]
        manifest = Manifest(partitions=ordered, files=self._records, complete=complete)
        self._replace(self._folder, partitions.MANIFEST, manifest.write)
        self._saved = time.monotonic()
