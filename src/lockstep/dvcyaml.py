"""dvc.yaml against what it must say: sentences about the differences, and a rewrite that keeps everything else.

A project may add to the file: stages of its own, files that its source function reads, `desc` and plot templates.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from lockstep import pipeline
from lockstep.errors import InputError
from lockstep.pipeline import MODULES, Entry
from lockstep.running import versions
from lockstep.running.listing import SPEC

FILE = "dvc.yaml"
FLAG_DEFAULTS = {"cache": True, "persist": False}
FORBIDDEN = ("frozen", "wdir", "always_changed")
"""Keys of a stage that would make it stale, look elsewhere, or rerun for nothing."""


def differences(root: Path, modules: Mapping[str, str] = MODULES) -> list[str]:
    """Sentences about where dvc.yaml is not what the stages really import, read and write; none: it is true."""
    stages = _read(root).get("stages") or {}
    found = ((entry, stages.get(entry.name)) for entry in pipeline.entries(root, modules))
    return [sentence for entry, stage in found for sentence in _compare(entry, stage, root)]


def fix(root: Path, modules: Mapping[str, str] = MODULES) -> list[Path]:
    """Rewrite the lists of dvc.yaml, keeping comments and whatever a project added; returns the files that changed."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    engine, path = YAML(), root / FILE
    engine.indent(mapping=2, sequence=4, offset=2)
    engine.width = 120
    engine.preserve_quotes = True
    document = engine.load(path.read_text(encoding="utf-8")) if path.exists() else None
    document = CommentedMap() if document is None else document
    stages = document.setdefault("stages", CommentedMap())
    changed = [entry.name for entry in pipeline.entries(root, modules) if _mend(entry, stages, root)]
    if not changed:
        return []
    text = io.StringIO()
    engine.dump(document, text)
    path.write_text(text.getvalue().replace(", \n", ",\n"), encoding="utf-8")
    return [path]


def _read(root: Path) -> dict[str, Any]:
    try:
        text = (root / FILE).read_text(encoding="utf-8")
        return yaml.load(text, Loader=yaml.CSafeLoader) or {}
    except FileNotFoundError:
        raise InputError(f"{FILE} is missing: run `lockstep check --fix`, which writes it") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{FILE} cannot be read: {error}") from None


def _compare(entry: Entry, stage: Mapping[str, Any] | None, root: Path) -> Iterator[str]:
    where = f"{FILE}: stage {entry.name}"
    if stage is None:
        yield f"{where} is missing"
        return
    if stage.get("cmd") != entry.cmd:
        yield f"{where} runs `{stage.get('cmd')}` instead of `{entry.cmd}`"
    for key in FORBIDDEN:
        if key in stage:
            yield f"{where} must not say `{key}`"
    for section, wanted, keep in _lists(entry, root):
        yield from _compare_list(f"{where}, {section}", stage.get(section) or [], wanted, keep)
    own, tracked = _split_params(stage.get("params") or [])
    yield from _compare_list(f"{where}, params", own, _plain(entry.params), _never)
    yield from _compare_list(f"{where}, params of {versions.FILE}", tracked, _plain(entry.versions), _never)


def _compare_list(
    where: str, items: Sequence[Any], wanted: Mapping[str, Any], keep: Callable[[str], bool]
) -> Iterator[str]:
    has = dict(_named(item) for item in items)
    if lacking := [name for name in wanted if name not in has]:
        yield f"{where}, lacks {', '.join(lacking)}"
    if extra := [name for name in has if name not in wanted and not keep(name)]:
        yield f"{where}, has {', '.join(extra)}, which the stage does not use"
    for name in wanted:
        for flag, default in FLAG_DEFAULTS.items():
            should = wanted[name].get(flag, default)
            if name in has and has[name].get(flag, default) != should:
                yield f"{where}: {name} must have `{flag}: {str(should).lower()}`"


def _lists(entry: Entry, root: Path) -> Iterator[tuple[str, Mapping[str, Any], Callable[[str], bool]]]:
    """Section, what it must hold by name, and which other names a project may add."""
    yield "deps", _plain([*entry.reads, *entry.code]), lambda name: not _is_code(name, entry.code, root)
    for section in ("outs", "metrics", "plots"):
        yield section, entry.outputs.get(section, {}), _never


def _plain(names: Iterable[str]) -> Mapping[str, Mapping[str, bool]]:
    return {name: {} for name in names}


def _is_code(name: str, code: Iterable[str], root: Path) -> bool:
    """A module, or a folder of modules: what the imports decide. Anything else a project may add."""
    path = PurePosixPath(name)
    if path.suffix == ".py":
        return True
    if (root / path).is_dir():
        return _is_folder_of_code(root / path)
    return not path.suffix and path.parent in {PurePosixPath(file).parent for file in code}


def _is_folder_of_code(folder: Path) -> bool:
    """It has a package somewhere below, or holds modules and nothing else. Data may lie beside a script."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return any(folder.rglob("__init__.py")) or bool(files and all(path.suffix == ".py" for path in files))


def _never(_: str) -> bool:
    return False


def _named(item: Any) -> tuple[str, Mapping[str, Any]]:
    """`path` or `path: {flag: …}` as a pair."""
    if isinstance(item, Mapping):
        name, flags = next(iter(item.items()))
        return str(name), flags or {}
    return str(item), {}


def _split_params(items: Sequence[Any]) -> tuple[list[str], list[str]]:
    """The params of params.yaml, and those of versions.toml; other files' are a project's own."""
    own = [item for item in items if isinstance(item, str)]
    files = [item for item in items if isinstance(item, Mapping)]
    own += [name for item in files for name in item.get(SPEC) or []]
    return own, [name for item in files for name in item.get(versions.FILE) or []]


def _mend(entry: Entry, stages: Any, root: Path) -> bool:
    """Make one stage true, in place; says whether anything changed."""
    from ruamel.yaml.comments import CommentedMap

    if not any(_compare(entry, stages.get(entry.name), root)):
        return False
    if entry.name not in stages:
        stages[entry.name] = CommentedMap(desc=entry.about) if entry.about else CommentedMap()
        if len(stages) > 1:
            stages.yaml_set_comment_before_after_key(entry.name, before="\n")
    stage = stages[entry.name]
    stage["cmd"] = entry.cmd
    for key in FORBIDDEN:
        stage.pop(key, None)
    sections = list(_lists(entry, root))
    _mend_list(stage, *sections[0])
    _mend_params(entry, stage)
    for section in sections[1:]:
        _mend_list(stage, *section)
    return True


def _mend_params(entry: Entry, stage: Any) -> None:
    params = stage.setdefault("params", _sequence())
    files = [item for item in params if isinstance(item, dict)]
    for item in [item for item in files if SPEC in item]:
        params.remove(item)
    own = {name for item in params if isinstance(item, dict) for name in item}
    _mend_list(stage, "params", _plain(entry.params), lambda name: name in own)
    tracked = next((item for item in files if versions.FILE in item), None)
    if tracked is None:
        tracked = {versions.FILE: _sequence()}
        tracked[versions.FILE].fa.set_flow_style()
        params.append(tracked)
    _mend_list(tracked, versions.FILE, _plain(entry.versions), _never)


def _mend_list(stage: Any, section: str, wanted: Mapping[str, Any], keep: Callable[[str], bool]) -> None:
    """Drop what is not wanted, set the flags, and put what lacks behind its neighbour; comments stay."""
    items = stage.setdefault(section, _sequence())
    for index in reversed(range(len(items))):
        name, flags = _named(items[index])
        if name in wanted:
            items[index] = _item(name, flags, wanted[name])
        elif not keep(name):
            del items[index]
    position = 0
    for name, flags in wanted.items():
        names = [_named(item)[0] for item in items]
        if name not in names:
            items.insert(position, _item(name, {}, flags))
        position = (names.index(name) if name in names else position) + 1
    if not items:
        del stage[section]


def _item(name: str, has: Mapping[str, Any], wanted: Mapping[str, bool]) -> Any:
    flags = {key: value for key, value in has.items() if key not in FLAG_DEFAULTS} | dict(wanted)
    return {name: flags} if flags else name


def _sequence() -> Any:
    from ruamel.yaml.comments import CommentedSeq

    return CommentedSeq()
