"""dvc.lock against the files it names: are they still the ones that a stage wrote?

DVC trusts its own cache: a copy that was cut off there is checked out as it is, and `dvc status` calls it clean. So
every stage compares what it reads with the hash that the stage before recorded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import InputError
from lockstep.running import repository

FILE = "dvc.lock"
_KINDS: Mapping[type, str] = {dict: "a mapping", list: "a list", str: "a text"}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One output as dvc.lock names it; a directory's hash ends in `.dir`."""

    path: str
    md5: str
    size: int


def outputs(root: Path) -> dict[str, Recorded]:
    """What dvc.lock records about each stage's outputs, by path; empty when nothing ran yet."""
    return {
        out["path"]: Recorded(path=out["path"], md5=out["md5"], size=out.get("size", 0))
        for out in _outs(_content(root))
        if "md5" in out
    }


def _content(root: Path) -> Any:
    try:
        return yaml.load((root / FILE).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _unreadable(" ".join(str(error).split())) from None


def _outs(content: Any) -> Iterator[Mapping[str, Any]]:
    """Every output of every stage. Raises `InputError` where the file does not have the shape that DVC gives it."""
    for name, stage in _expect(_expect(content, dict, "it").get("stages") or {}, dict, "stages").items():
        where = f"stages.{name}"
        for out in _expect(_expect(stage, dict, where).get("outs") or [], list, f"{where}.outs"):
            _expect(_expect(out, dict, f"an item of {where}.outs").get("path"), str, f"a path of {where}.outs")
            _expect(out.get("md5", ""), str, f"an md5 of {where}.outs")
            yield out


def _expect(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise _unreadable(f"{where} is not {_KINDS[kind]}")
    return value


def _unreadable(why: str) -> InputError:
    return InputError(f"{FILE} cannot be read: {why}. Restore it from git, or remove it and run again")


def differences(root: Path, paths: Iterable[str] | None = None) -> list[str]:
    """Sentences about outputs that are not what dvc.lock records; `paths` limits the look, missing files too count."""
    recorded = outputs(root)
    chosen = recorded if paths is None else [path for path in paths if path in recorded]
    return [sentence for path in chosen for sentence in _judge(root, recorded[path])]


def digest(path: Path) -> str:
    """The hash that DVC gives a file or a directory: md5, or md5 of the sorted list of its files plus `.dir`."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    files = [{"md5": md5, "relpath": name} for name, md5 in sorted(listing(path).items())]
    return hashlib.md5(json.dumps(files, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def listing(folder: Path) -> dict[str, str]:
    """The md5 of each file of a directory, by its path within; what Python, editors and stages leave there is not."""
    found: dict[str, str] = {}
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_ignored(name)]
        kept = [name for name in names if not repository.is_litter(name)]
        found |= {Path(base, name).relative_to(folder).as_posix(): digest(Path(base, name)) for name in kept}
    return found


def _is_ignored(name: str) -> bool:
    return repository.is_litter(name) or (name.startswith(".") and name.endswith(".tmp"))


def _judge(root: Path, recorded: Recorded) -> Iterator[str]:
    path = root / recorded.path
    if not path.exists():
        yield f"{recorded.path}, which {FILE} names, is missing: `make repro` brings it back"
    elif digest(path) != recorded.md5:
        yield sentence(root, recorded.path)


def sentence(root: Path, name: str) -> str:
    """What to say of an output that is there, and is not what dvc.lock records."""
    path = root / name
    size = f" ({path.stat().st_size:,} bytes)" if path.is_file() else ""
    return (
        f"{name}{size} is not the file that {FILE} records: it was cut off or edited, or DVC's copy of it is damaged. "
        "`make repro` brings back the right one, or makes it again"
    )
