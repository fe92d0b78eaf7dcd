"""Where a workflow's step runs: the event that started it, and the files through which it tells the next step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockstep.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What GitHub's runner says about this run."""

    event: str
    payload: Mapping[str, Any] = field(repr=False)
    repository: str
    sha: str
    outputs: Path | None = None
    paths: Path | None = None
    summary: Path | None = None

    def tell(self, name: str, value: str) -> None:
        """Give a one-line output to later steps."""
        if "\n" in value:
            raise ValueError("an output of a step is one line")
        _append(self.outputs, f"{name}={value}\n")

    def prepend_path(self, folder: Path) -> None:
        """Let later steps find the programs in a folder."""
        _append(self.paths, f"{folder}\n")

    def summarise(self, markdown: str) -> None:
        """Add to what the run's page shows."""
        _append(self.summary, markdown.rstrip("\n") + "\n")


def from_environment(environ: Mapping[str, str]) -> Surroundings:
    """Raises `InputError` where this is not a workflow's step."""
    name, path = environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_EVENT_PATH", "")
    if not name or not path:
        raise InputError("this is what workflows call on GitHub. On your machine, `make report` shows the same report")
    try:
        payload = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the event that started this run cannot be read: {error}") from None
    return Surroundings(
        event=name,
        payload=payload,
        repository=environ.get("GITHUB_REPOSITORY", ""),
        sha=environ.get("GITHUB_SHA", ""),
        outputs=_path(environ.get("GITHUB_OUTPUT")),
        paths=_path(environ.get("GITHUB_PATH")),
        summary=_path(environ.get("GITHUB_STEP_SUMMARY")),
    )


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None


def _append(path: Path | None, text: str) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
