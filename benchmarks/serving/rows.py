"""The row that is asked, and whether answers are right: golden rows, whose predictions the pipeline wrote."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.serving.contestants import MODEL
from benchmarks.serving.servers import Running

WITHIN = 1e-4
"""A pipeline fitted elsewhere agrees to this; the graph itself to the last bit of float32."""

ASKED = 1
"""Which golden row is asked over and over: a flight with everything known but its gusts, like most."""


def golden() -> tuple[list[dict[str, Any]], list[float]]:
    """Golden rows and their predictions."""
    content = json.loads((MODEL / "golden.json").read_text())
    return content["rows"], content["predictions"]


def insist_on_right_answers(server: Running) -> None:
    """Ask every golden row. Raises `SystemExit` naming the first wrong answer."""
    for number, (row, expected) in enumerate(zip(*golden(), strict=True)):
        found = server.predict(row)
        if not abs(found - expected) <= WITHIN:
            raise SystemExit(f"{server.server.name} answers golden row {number} with {found}, not {expected}")
