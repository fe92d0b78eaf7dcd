#!/usr/bin/env python3
"""A stand-in of CML 0.20.6: the commands that Lockstep calls, with the traits that were seen in the real one.

`install(folder)` puts it there as an executable `cml`. It looks for its comment among the first 30 of a thread, by the
watermark alone; publishes unless told not to; refuses long bodies; posts an empty report without a word.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

LOOKS_AT = 30
MOST = 65_536


def install(folder: Path) -> Path:
    """Write the executable; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "cml"
    text = Path(__file__).read_text(encoding="utf-8").partition("\n")[2]
    program.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    program.chmod(0o755)
    return program


def main(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print("0.20.6")
        return 0
    words = [word for word in arguments if not word.startswith("--")]
    options = dict(re.fullmatch(r"--([\w-]+)(?:=(.*))?", word).groups() for word in arguments if word.startswith("--"))  # type: ignore[union-attr]
    if words[:2] != ["comment", "update"]:
        return _fail(f"unknown command: {' '.join(words[:2])}")
    known = {"target", "publish", "watermark-title", "token", "repo", "driver"}
    if set(options) - known:
        return _fail(f"unknown arguments: {', '.join(set(options) - known)}")
    if options.get("publish") != "false":
        return _fail("this stand-in uploads nothing to third parties: --publish=false")
    _leave_traces()
    try:
        report = Path(words[2]).read_text(encoding="utf-8")
    except (IndexError, OSError) as error:
        return _fail(f"no report: {error}")
    return _update(options["target"].removeprefix("pr/"), report, options.get("watermark-title") or "")


def _update(number: str, report: str, title: str) -> int:
    label = f"CML watermark {title}".strip()
    sha = os.environ.get("GITHUB_SHA") or "0" * 40
    body = f'{report}\n\n![](https://cml.dev/watermark.png#{sha} "{label}")'
    mark = re.compile(rf'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "{re.escape(label)}"\)')
    thread = _ask("GET", f"issues/{number}/comments?per_page={LOOKS_AT}")
    if len(body) > MOST:
        return _fail("Validation Failed: body is too long")
    mine = next((each for each in reversed(thread) if mark.search(each["body"])), None)
    if mine:
        _ask("PATCH", f"issues/comments/{mine['id']}", {"body": body})
    else:
        _ask("POST", f"issues/{number}/comments", {"body": body})
    return 0


def _leave_traces() -> None:
    """The real one changes the user's git configuration and keeps an identity for telemetry."""
    home = Path(os.environ["HOME"])
    (home / ".gitconfig").write_text("[safe]\n\tdirectory = *\n", encoding="utf-8")
    if not os.environ.get("ITERATIVE_DO_NOT_TRACK"):
        (home / ".config").mkdir(exist_ok=True)


def _ask(method: str, path: str, content: object = None) -> list[dict[str, str]]:
    address = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}"
    data = None if content is None else json.dumps(content).encode()
    headers = {"Authorization": f"token {os.environ['REPO_TOKEN']}", "Content-Type": "application/json"}
    request = urllib.request.Request(address, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request) as answer:
        found: list[dict[str, str]] = json.load(answer)
        return found


def _fail(message: str) -> int:
    sys.stderr.write(json.dumps({"level": "error", "message": message}) + "\n")
    return 1


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except urllib.error.HTTPError as error:
        code = _fail(f"{error.code} {error.reason}")
    raise SystemExit(code)
