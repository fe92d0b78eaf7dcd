"""Released models that gates name: they answer the comparison rows beside champion and challenger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lockstep.comparison import champion, question
from lockstep.comparison.champion import Incomparable, Loaded
from lockstep.comparison.frames import among
from lockstep.comparison.replay import replay
from lockstep.comparison.rows import MOST_EXCLUDED, redeclared
from lockstep.errors import InputError
from lockstep.revision import resolve
from lockstep.rows.splits import Hashes
from lockstep.spec import Spec

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Released:
    """The models by tag that can answer, and why others cannot, in `notes`. `learned` (n,) says from which rows of this
    branch's holdout one of them has learned.
    """

    models: Mapping[str, Loaded]
    learned: Mask
    notes: tuple[str, ...] = ()


def load(root: Path, spec: Spec, tags: Sequence[str], keys: Hashes) -> Released:
    """The models of the tags that answer this branch's question from its rows; `keys` (n,) are its holdout's.

    Raises `OutsideError` when a remote fails.
    """
    models: dict[str, Loaded] = {}
    learned, notes = np.zeros(len(keys), bool), []
    for tag in dict.fromkeys(tags):
        try:
            loaded = champion.load(root, resolve(root, f"refs/tags/{tag}"), tag=tag)
        except (InputError, Incomparable) as error:
            notes.append(f"The released model `{tag}` is not compared with: {error}")
            continue
        seen = among(keys, loaded.provenance)
        why = [*_doubts(spec, loaded), *_too_many(seen)]
        if why:
            notes.append(f"The released model `{tag}` is not compared with. {' '.join(why)}")
            continue
        models[tag], learned = loaded, learned | seen
    return Released(models=models, learned=learned, notes=tuple(notes))


def _doubts(spec: Spec, loaded: Loaded) -> Iterator[str]:
    yield from question.changes(loaded.files.question, question.of_spec(spec))
    yield from replay(loaded)
    for name, how in redeclared(spec.contract, loaded.model).items():
        yield f"It reads the column `{name}`, which {how}."


def _too_many(seen: Mask) -> Iterator[str]:
    if seen.sum() > MOST_EXCLUDED * len(seen):
        yield f"It has learned from {seen.sum():,} of the {len(seen):,} rows that this branch holds out."
