"""ingest: the window's rows, as the source gives them, one parquet file a partition."""

from __future__ import annotations

from collections.abc import Iterable

from lockstep.running.process import main
from lockstep.running.stage import Files, Output, Stage
from lockstep.spec import Spec


def incoming(spec: Spec) -> Iterable[str]:
    """Files, folders and URLs that the spec names as the source of rows."""
    from lockstep.sources import kinds as sources

    return sources.dependencies(spec.ingest)


STAGE = Stage(
    name="ingest",
    spec=("ingest", "contract.time"),
    writes={"raw": Output(path="data/raw", kind="directory")},
    incoming=incoming,
)


def run(spec: Spec, files: Files) -> None:
    """Keep the partitions that are still what the spec asks for, fetch the rest, remove everything else."""
    from lockstep.running import console
    from lockstep.sources import kinds as sources
    from lockstep.sources import partitions
    from lockstep.sources.store import Store

    folder = files.directory("raw")
    before = partitions.inherited(folder)
    source = sources.source_of(spec.ingest, spec.contract.time, before)
    with Store(folder, source.wanted(), before, source.records(), files.replace) as store:
        missing = store.missing()
        for want, rows in console.track(source.fetch(missing, store.scratch), "ingest", len(missing)):
            store.add(want, rows)
        store.check(source.available())
    console.say(store.summary())


if __name__ == "__main__":
    raise SystemExit(main(STAGE, run))
