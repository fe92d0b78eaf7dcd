"""The pipeline's own work without a pipeline: the same nouns, in one process, nothing cached, nothing recorded.

What `dvc repro` takes longer than this is the price of stages: processes, their imports, hashing, the lock.
"""

from __future__ import annotations

import importlib
import time
from pathlib import Path

from lockstep.running.process import fix_environment


def main(root: Path) -> None:
    """Run the four stages' `run` in the folder, one after another; prints the seconds of each."""
    fix_environment()
    from lockstep.running import repository
    from lockstep.spec import read_spec

    repository.on_path(root)
    for name in ("ingest", "prepare", "train", "evaluate"):
        start = time.perf_counter()
        stage = importlib.import_module(f"lockstep.stages.{name}")
        with stage.STAGE.files(root) as files:
            stage.run(read_spec(root / "params.yaml").restricted(stage.STAGE.spec), files)
        print(f"{name}={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main(Path.cwd())
