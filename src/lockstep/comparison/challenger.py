"""The challenger: the model of the work tree, as dvc.lock records it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lockstep.comparison.champion import FILES
from lockstep.comparison.frames import read_keys
from lockstep.errors import InputError
from lockstep.lock import fresh
from lockstep.models import model
from lockstep.models.model import Model
from lockstep.rows.splits import Hashes
from lockstep.running import lock

TRAINING, QUARANTINE = "data/prepared/training.parquet", "data/prepared/quarantine.parquet"


@dataclass(frozen=True, kw_only=True)
class Challenger:
    """The work tree's model and baseline, the sorted key hashes of the rows it learned from, and where its rows are.

    `md5s` are dvc.lock's, by the names of `champion.FILES`.
    """

    model: Model
    linear: Model
    provenance: Hashes
    md5s: dict[str, str]
    holdout: Path
    training: Path
    quarantine: Path


def load(root: Path) -> Challenger:
    """What the work tree holds. Raises `InputError` when it is not what this tree would produce, or not built yet."""
    recorded = lock.outputs(root)
    wanted = [*FILES.values(), TRAINING, QUARANTINE]
    lacking = [path for path in wanted if path not in recorded]
    if lacking:
        raise InputError(
            f"{lock.FILE} names no {', '.join(lacking)}: nothing was built here yet. `make repro` builds it"
        )
    wrong = [*fresh.stale(root), *lock.differences(root, wanted)]
    if wrong:
        raise InputError(f"there is no model to compare yet: {'; '.join(wrong)}. Run `make repro` first")
    folder = root / "model"
    return Challenger(
        model=model.load(folder),
        linear=model.load_linear(folder),
        provenance=np.sort(read_keys(root / FILES["provenance.parquet"], "key")),
        md5s={name: recorded[path].md5 for name, path in FILES.items()},
        holdout=root / FILES["holdout.parquet"],
        training=root / TRAINING,
        quarantine=root / QUARANTINE,
    )
