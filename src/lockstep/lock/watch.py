"""`dvc`, and a note of each stage that it has really run: `python -m lockstep.lock.watch NOTES repro …`.

DVC's messages tell people whether a stage ran or was restored; nothing tells a program. Were DVC to rename the
function that is watched here, no stage would be noted, and those that do not speak for themselves would run twice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> int:
    """Run `dvc` with all arguments but the first, the file to write names into; returns DVC's exit code."""
    from dvc.cli import main as dvc
    from dvc.stage import run

    notes, *rest = arguments
    if original := getattr(run, "cmd_run", None):
        run.cmd_run = _noting(original, Path(notes))
    return int(dvc(rest) or 0)


def _noting(original: Callable[..., Any], notes: Path) -> Callable[..., Any]:
    @wraps(original)
    def cmd_run(stage: Any, *positional: Any, **named: Any) -> Any:
        result = original(stage, *positional, **named)
        with notes.open("a", encoding="utf-8") as file:
            file.write(f"{stage.addressing}\n")
        return result

    return cmd_run


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
