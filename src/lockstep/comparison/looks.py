"""Looking many times: how many models a holdout has been shown. Each look has its chance of a false word."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from lockstep.comparison.question import PARAMS, PREPARE, question_of
from lockstep.errors import InputError
from lockstep.lock.entries import FILE, parse
from lockstep.revision import git_bytes

MODEL = "model/model.onnx"

Look = tuple[str, str]
"""Which holdout it was (see `_holdout`), and the md5 of the model that it was shown."""

_STAGE = re.compile(r"^  (\w+):\n((?:(?:    .*)?\n)*)", re.MULTILINE)
_PARAMS_OF = re.compile(r"^    params:\n((?:(?:      .*)?\n)*)", re.MULTILINE)
_MD5 = re.compile(rf"^    - path: {re.escape(MODEL)}\n(?:      .*\n)*?      md5: ([0-9a-f]{{32}})$", re.MULTILINE)


def looks(root: Path) -> int:
    """How many distinct models the holdout of the work tree's dvc.lock has been shown, this one included.

    Counts dvc.lock as all commits hold it that HEAD, a branch or a tag reaches in this clone, remote-tracking branches
    among them. A lock that cannot be read counts for nothing.
    """
    now = look_of((root / FILE).read_bytes())
    seen = {look for text in _texts(root) if (look := look_of(text))}
    return len({model for holdout, model in {now, *seen} - {None} if holdout == now[0]}) if now else 1


def look_of(text: bytes) -> Look | None:
    """The look that a dvc.lock records; None without a model, and for what is no lock."""
    stages = dict(_STAGE.findall(text.decode(errors="replace")))
    params, md5 = _PARAMS_OF.search(stages.get(PREPARE, "")), _MD5.search(stages.get("train", ""))
    if params and md5:
        holdout = _holdout_of(params[1])
        return (holdout, md5[1]) if holdout else None
    return _slowly(text)


def _slowly(text: bytes) -> Look | None:
    """The same for a lock that DVC did not lay out."""
    try:
        entries = parse(text)
    except InputError:
        return None
    md5 = next((entry.outs[MODEL] for entry in entries.values() if MODEL in entry.outs), "")
    return (_holdout(entries[PREPARE].params), md5) if md5 and PREPARE in entries else None


@lru_cache(maxsize=256)
def _holdout_of(params: str) -> str:
    """From the text of a stage's params; empty for what cannot be read."""
    try:
        values = yaml.load(params, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return ""
    return _holdout(values) if isinstance(values, dict) else ""


def _holdout(params: Any) -> str:
    """What makes a holdout the same one: the question, and where the window ends."""
    values = params.get(PARAMS) or {}
    identity = {**question_of(values.get("contract"), values.get("split")), "until": values.get("ingest.until")}
    return json.dumps(identity, sort_keys=True, default=str)


def _texts(root: Path) -> Iterator[bytes]:
    """Every text that dvc.lock has had, each once; none before the first commit."""
    listed = git_bytes(root, "rev-list", "--objects", "--full-history", "--all", "HEAD", "--", FILE)
    lines = (line.partition(" ") for line in listed.stdout.decode(errors="replace").splitlines())
    yield from _blobs(root, [name for name, _, path in lines if path.endswith(FILE)])


def _blobs(root: Path, names: Iterable[str]) -> Iterator[bytes]:
    asked = "".join(f"{name}\n" for name in dict.fromkeys(names))
    command = ["git", "-C", str(root), "cat-file", "--batch"]
    answer = BytesIO(subprocess.run(command, input=asked.encode(), capture_output=True, check=False).stdout)
    while header := answer.readline().split():
        if header[-2] == b"blob":
            yield answer.read(int(header[-1]))
            answer.readline()
