"""What every stage is: the part of the spec it may read, the files it reads and writes, and how its process behaves.

A stage module declares one `Stage` and a `run(spec, files)`. The declaration is the only truth: dvc.yaml is checked
against it, the spec handed to `run` holds no other keys, and `files` gives no other paths.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lockstep.spec import Spec

Kind = Literal["out", "directory", "metric", "plot", "document"]


@dataclass(frozen=True, kw_only=True)
class Output:
    """A named file that a stage writes.

    `out` is kept by DVC; `directory` is kept by DVC and survives between runs, so that a stage can add to it;
    `metric`, `plot` and `document` are kept in git, so that reviewers see their diff.
    """

    path: str
    kind: Kind = "out"


class Files:
    """The paths a stage may touch: its inputs, and its outputs while they are still being written."""

    def __init__(self, stage: Stage, root: Path, before_moving: Callable[[], object]) -> None:
        self._stage = stage
        self._root = root
        self._before_moving = before_moving
        self._started: dict[str, Path] = {}

    def read(self, name: str) -> Path:
        """Path of the declared input `name`."""
        return self._root / self._stage.reads[name]

    def write(self, name: str) -> Path:
        """Where to write the declared output `name`; it moves to its place when the whole stage has succeeded."""
        final = self._root / self._stage.writes[name].path
        staging = self._staging(final)
        staging.mkdir(parents=True, exist_ok=True)
        self._started[name] = final
        return staging / final.name

    def directory(self, name: str) -> Path:
        """The declared directory output `name`, in place: what an earlier run left is there."""
        folder = self._root / self._stage.writes[name].path
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def replace(self, folder: Path, name: str, write: Callable[[Path], None]) -> Path:
        """Write one file of a directory output: whole, or not at all."""
        staging = self._staging(folder)
        staging.mkdir(parents=True, exist_ok=True)
        write(staging / name)
        self._before_moving()
        (staging / name).replace(folder / name)
        return folder / name

    def _staging(self, final: Path) -> Path:
        return final.parent / f".{self._stage.name}.tmp"

    def clear(self) -> None:
        """Remove what an interrupted run left half-written."""
        for output in self._stage.writes.values():
            shutil.rmtree(self._staging(self._root / output.path), ignore_errors=True)

    def commit(self) -> None:
        """Move every output to its place. Raises `RuntimeError` if `run` forgot one."""
        due = {name for name, output in self._stage.writes.items() if output.kind != "directory"}
        forgotten = due - set(self._started)
        if forgotten:
            raise RuntimeError(f"stage {self._stage.name} did not write {', '.join(sorted(forgotten))}")
        self._before_moving()
        for final in self._started.values():
            (self._staging(final) / final.name).replace(final)
        self.clear()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of the pipeline.

    `spec` lists dotted paths of params.yaml (`contract`, `evaluate.threshold`): the rest is out of reach of `run`.
    `reads` maps names to files or folders, `writes` names to outputs, all relative to the repository's root.
    `incoming` gives what it reads besides, which the spec names. `description` is the sentence about it in dvc.yaml.
    """

    name: str
    description: str = ""
    spec: tuple[str, ...]
    reads: Mapping[str, str] = field(default_factory=dict)
    writes: Mapping[str, Output]
    incoming: Callable[[Spec], Iterable[str]] = lambda spec: ()

    @contextmanager
    def files(self, root: Path, before_moving: Callable[[], object] = lambda: None) -> Iterator[Files]:
        """Input and output paths; outputs appear together when the block ends well, and not at all otherwise.

        `before_moving` is called right before a finished file moves to its place, and may raise or end the process.
        """
        files = Files(self, root, before_moving)
        files.clear()
        try:
            yield files
            files.commit()
        finally:
            files.clear()


Run = Callable[[Spec, Files], None]
