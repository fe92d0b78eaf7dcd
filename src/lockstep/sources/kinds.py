"""Sources: where rows come from. A kind of source is one small class and one line in `KINDS`.

A source says which partitions the window asks for, each with a key that hashes everything that decides its rows, and
fetches those that are not there yet.
"""

from __future__ import annotations

import importlib
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lockstep.errors import InputError, nearest
from lockstep.rows import columns
from lockstep.running import repository
from lockstep.sources import closure, filesource, imports, partitions, places
from lockstep.sources.partitions import Manifest, Wanted
from lockstep.spec import Ingest

if TYPE_CHECKING:
    import pyarrow as pa

Fetched = Iterator[tuple[Wanted, Iterable["pa.Table"]]]


class Source(Protocol):
    """What ingest needs to know of a source."""

    def wanted(self) -> list[Wanted]:
        """The partitions of the window, in time order."""

    def fetch(self, wanted: Sequence[Wanted], scratch: Path) -> Fetched:
        """Rows of these partitions, one partition after the other; `scratch` may hold files in between."""

    def records(self) -> dict[str, dict[str, Any]]:
        """What the manifest should remember until the next time."""

    def available(self) -> str:
        """For an empty window: a sentence about the times that there are."""


class FunctionSource:
    """`ingest.source`: a function `module:function` called with the bounds of each partition, returning its rows.

    What the function reads may change without a trace in its code: to fetch a partition again, remove its file from
    data/raw and run `dvc repro --force ingest`.
    """

    def __init__(self, ingest: Ingest, time: str | None, before: Manifest) -> None:
        assert ingest.source
        self._name = ingest.source
        self._time = time
        self._bounds = partitions.bounds_of(ingest, time)
        self._code, self._function = _code_and_function(ingest.source)

    def wanted(self) -> list[Wanted]:
        base = (closure.machinery(), self._name, self._time, self._code)
        return [piece.wanted(base) for piece in self._bounds]

    def fetch(self, wanted: Sequence[Wanted], scratch: Path) -> Fetched:
        for want in wanted:
            yield want, [self._rows(want)]

    def records(self) -> dict[str, dict[str, Any]]:
        return {}

    def available(self) -> str:
        return f"`{self._name}` returned no rows for it."

    def _rows(self, want: Wanted) -> pa.Table:
        import pandas as pd

        span = partitions.span(want.start, want.end)
        where = f"ingest.source `{self._name}` ({span})"
        start, end = (None if side is None else pd.Timestamp(side) for side in (want.start, want.end))
        try:
            frame = self._function(start, end)
        except (Exception, SystemExit) as error:
            if getattr(error, "code", None) == 128 + signal.SIGTERM:
                raise  # the stage is being stopped from outside
            raise InputError(f"{_raised(self._name, error)} when asked for {span}.\n\n{_trace(error)}") from error
        if not isinstance(frame, pd.DataFrame):
            raise InputError(f"{where}: returned {type(frame).__name__}, expected a pandas DataFrame")
        table = columns.table_of(frame, where)
        if self._time and len(table.column_names):
            self._refuse_outsiders(table, want.start, want.end, where)
        return table

    def _refuse_outsiders(self, table: pa.Table, start: datetime | None, end: datetime | None, where: str) -> None:
        """Rows outside of the bounds would be in two partitions."""
        import pyarrow.compute as pc

        assert self._time
        moments = filesource.moments_of(table, self._time, where)
        early = 0 if start is None else pc.sum(pc.less(moments, start)).as_py() or 0
        late = 0 if end is None else pc.sum(pc.greater_equal(moments, end)).as_py() or 0
        if early or late:
            raise InputError(
                f"{where}: {early + late:,} of {len(table):,} rows are outside of the bounds it was given ({early:,} "
                f"before, {late:,} at or after the end); return only rows with start <= {self._time} < end"
            )


def _code_and_function(source: str) -> tuple[str, Callable[[Any, Any], Any]]:
    """Hash and function, in this order: code that is edited meanwhile must not pass for what was run."""
    repository.on_path(Path.cwd())
    try:
        code = closure.code_hash(source.split(":", maxsplit=1)[0], Path.cwd())
    except Exception:
        _load(source)  # says better what is wrong with it
        raise  # wrong in a module beside it
    return code, _load(source)


def _load(source: str) -> Callable[[Any, Any], Any]:
    """The function that `module:function` names."""
    module_name, name = source.split(":")
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            raise InputError(f"ingest.source: there is no module `{error.name}` ({source}); is it in src/?") from error
        raise InputError(f"{_raised(source, error)} when it was imported.\n\n{_trace(error)}") from error
    except SyntaxError as error:
        raise InputError(
            f"ingest.source: {imports.syntax_sentence(error.filename, error.lineno, error.msg)}"
        ) from error
    except (Exception, SystemExit) as error:
        raise InputError(f"{_raised(source, error)} when it was imported.\n\n{_trace(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        functions = [item for item, value in vars(module).items() if callable(value) and not item.startswith("_")]
        raise InputError(f"ingest.source: module `{module_name}` has no function `{name}`.{nearest(name, functions)}")
    return function  # type: ignore[no-any-return]


def _raised(source: str, error: BaseException) -> str:
    detail = f": {error}" if str(error) else ""
    return f"The source function `{source}` (ingest.source in params.yaml) raised {type(error).__name__}{detail}"


def _trace(error: BaseException) -> str:
    """The traceback without our own frames and the import system's: the user's code from its first line on."""
    summary = traceback.TracebackException.from_exception(error)
    ours = (__file__, importlib.__file__)
    frames = [
        frame
        for frame in summary.stack
        if frame.filename not in ours and not frame.filename.startswith("<frozen importlib")
    ]
    summary.stack = traceback.StackSummary.from_list(frames)
    return "".join(summary.format()).rstrip()


KINDS: dict[str, Callable[[Ingest, str | None, Manifest], Source]] = {
    "source": FunctionSource,
    "files": filesource.FilesSource,
}
"""The kinds of source, by their key under `ingest`."""


def source_of(ingest: Ingest, time: str | None, before: Manifest) -> Source:
    """The source that the spec names; `before` is what an earlier ingest left.

    Raises `InputError` when the spec names none or several.
    """
    named = [kind for kind in KINDS if getattr(ingest, kind) is not None]
    if len(named) != 1:
        raise InputError(f"ingest: expected exactly one of {', '.join(KINDS)}, found {', '.join(named) or 'none'}")
    return KINDS[named[0]](ingest, time, before)


def dependencies(ingest: Ingest) -> list[str]:
    """Paths and URLs that DVC should watch for the source; a function's code is watched as every stage's code is."""
    return [] if ingest.files is None else places.watched(ingest.files)
