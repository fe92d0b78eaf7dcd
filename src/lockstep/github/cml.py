"""CML: the one place that knows its command lines, so that it stays replaceable.

What it does as of 0.20.6 and is worked around here: it looks for its comment among the first 30 of a thread only, by a
watermark that anybody could write; `--publish` rewrites Markdown and uploads what links lead to; it writes tokens
and settings into HOME.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lockstep.errors import OutsideError, Refused

WATERMARK = "Lockstep"
LOOKS_AT = 30
"""Comments among which CML looks for its own."""

TIMEOUT = 120
_MARK = re.compile(rf'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {WATERMARK}"\)')
_PASSED_ON = ("PATH", "GITHUB_", "RUNNER_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "LANG")


def is_marked(body: str) -> bool:
    """Would CML take a comment for its own?"""
    return _MARK.search(body) is not None


def program(environ: Mapping[str, str]) -> str | None:
    """Where CML is; None when it is not installed.

    Raises `Refused` when LOCKSTEP_CML_SHA256 is set and the program is another one.
    """
    found = shutil.which("cml", path=environ.get("PATH"))
    wanted = environ.get("LOCKSTEP_CML_SHA256", "").strip().lower()
    if found is None or not wanted:
        return found
    with Path(found).resolve().open("rb") as file:
        has = hashlib.file_digest(file, "sha256").hexdigest()
    if has != wanted:
        raise Refused(
            f"the program `cml` has the SHA-256 {has}, the repository variable LOCKSTEP_CML_SHA256 says {wanted}: it "
            "was not run. Look at what has changed, then correct the variable"
        )
    return found


def comment(cml: str, number: int, body: str, *, token: str, environ: Mapping[str, str] = os.environ) -> None:
    """Post or update the comment of a pull request. Raises `OutsideError` with CML's own words when it fails."""
    with tempfile.TemporaryDirectory(prefix="lockstep-cml-") as home:
        report = Path(home) / "report.md"
        report.write_text(body, encoding="utf-8")
        command = [
            cml, "comment", "update", f"--target=pr/{number}", "--publish=false", f"--watermark-title={WATERMARK}",
            str(report),
        ]  # fmt: skip
        _run(command, _environment(environ, Path(home), token))


def _environment(environ: Mapping[str, str], home: Path, token: str) -> dict[str, str]:
    """A throwaway HOME, the token, and nothing that CML has no use for."""
    kept = {name: value for name, value in environ.items() if name.upper().startswith(_PASSED_ON)}
    kept.pop("GITHUB_TOKEN", None)
    return kept | {"HOME": str(home), "REPO_TOKEN": token, "ITERATIVE_DO_NOT_TRACK": "1"}


def _run(command: list[str], environ: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command, env=dict(environ), capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OutsideError(f"CML did not run to its end: {type(error).__name__}") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-300:]
        raise OutsideError(f"CML ended with exit code {done.returncode}: {said}")
