"""Runs in the container that is tried, where only loopback is: waits for the service, asks it, and tells what came.

Sent there as text, so the standard library only. One JSON object comes in: `seconds` to wait, `requests` of method,
path, headers and body, the `lines` that the prediction log must get, the folder of the `log`, the `folder` whose files
are listed. One goes out.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

PORT = 3000


def ask(method: str, path: str, headers: dict[str, str], body: str | None, timeout: float = 30.0) -> tuple[int, str]:
    """Status and text of an answer; status 0 and what went wrong when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=timeout)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def wait(seconds: float) -> tuple[int, str]:
    """The first good answer of /readyz, or the last one in time."""
    end = time.monotonic() + seconds
    while True:
        status, text = ask("GET", "/readyz", {}, None, 5.0)
        if status == 200 or time.monotonic() > end:
            return status, text
        time.sleep(0.02)


def logged(folder: Path, lines: int, seconds: float = 15.0) -> list[str]:
    """The prediction log, once it has that many lines, or after a while."""
    end = time.monotonic() + seconds
    while True:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        found = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
        if len(found) >= lines or time.monotonic() > end:
            return found
        time.sleep(0.05)


def can_write(folder: str) -> bool:
    """Can this user make a file there?"""
    path = Path(folder) / "lockstep-try"
    try:
        path.touch()
        path.unlink()
    except OSError:
        return False
    return True


def main() -> None:
    """From standard input to standard output."""
    asked: dict[str, Any] = json.load(sys.stdin)
    status, text = wait(asked["seconds"])
    told: dict[str, Any] = {"ready": status == 200, "said": text, "at": time.time(), "uid": os.getuid()}
    if told["ready"]:
        told["answers"] = [ask(*request) for request in asked["requests"]]
        told["log"] = logged(Path(asked["log"]), asked["lines"])
        told["writable"] = [folder for folder in ("/", "/app", asked["folder"]) if can_write(folder)]
        told["files"] = sorted(str(path) for path in Path(asked["folder"]).rglob("*") if path.is_file())
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
