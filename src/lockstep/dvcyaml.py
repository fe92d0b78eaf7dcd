"""dvc.yaml against what it must say: sentences about the differences, and a rewrite that keeps everything else.

A project may add to the file: stages of its own, files that its source function reads, `desc` and plot templates.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from lockstep import pipeline
from lockstep.errors import InputError
from lockstep.pipeline import MODULES, Entry
from lockstep.running import repository, versions
from lockstep.running.listing import SPEC

if TYPE_CHECKING:
    from ruamel.yaml import YAML

FILE = "dvc.yaml"
LISTS = ("deps", "params", "outs", "metrics", "plots")
FLAG_DEFAULTS = {"cache": True, "persist": False}
FORBIDDEN = ("frozen", "wdir", "always_changed")
"""Keys of a stage that would make it stale, look elsewhere, or rerun for nothing."""
Judge = Callable[[str], str | None]
"""Why a listed name must go; None: a project may add it."""


def differences(root: Path, modules: Mapping[str, str] = MODULES) -> list[str]:
    """Sentences about where dvc.yaml is not what the stages really import, read and write; none: it is true."""
    stages = _stages(root, modules)
    return [sentence for entry in pipeline.entries(root, modules) for sentence in _compare(entry, stages, root)]


def fix(root: Path, modules: Mapping[str, str] = MODULES) -> list[Path]:
    """Rewrite the lists of dvc.yaml, keeping comments and whatever a project added; returns the files that changed."""
    from ruamel.yaml.comments import CommentedMap

    engine, path = _engine(), root / FILE
    document = _load_to_mend(engine, root, modules)
    if document.get("stages") is None:
        document["stages"] = CommentedMap()
    changed = [entry.name for entry in pipeline.entries(root, modules) if _mend(entry, document["stages"], root)]
    if not changed:
        return []
    text = io.StringIO()
    engine.dump(document, text)
    path.write_text(text.getvalue().replace(", \n", ",\n"), encoding="utf-8")
    return [path]


def _engine() -> YAML:
    from ruamel.yaml import YAML

    engine = YAML()
    engine.indent(mapping=2, sequence=4, offset=2)
    engine.width = 120
    engine.preserve_quotes = True
    return engine


def _load_to_mend(engine: YAML, root: Path, modules: Mapping[str, str]) -> Any:
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    if not (root / FILE).exists():
        return CommentedMap()
    _stages(root, modules)
    try:
        document = engine.load((root / FILE).read_text(encoding="utf-8"))
    except YAMLError as error:  # such as a key that is there twice, which the fast reader overlooks
        raise _unreadable(" ".join(str(error).split())) from None
    return CommentedMap() if document is None else document


def _stages(root: Path, ours: Iterable[str]) -> Mapping[str, Any]:
    """The stages by name. Raises `InputError` where the file, or a list of one of `ours`, is not of DVC's shape."""
    document = _read(root)
    stages = _expect({} if document is None else document, Mapping, "it").get("stages")
    stages = dict(_expect({} if stages is None else stages, Mapping, "stages"))
    for name, stage in stages.items():
        _expect(stage, Mapping, f"stages.{name}")
    for name in ours:
        for section in LISTS:
            _check_list(stages.get(name, {}).get(section), section, f"stages.{name}.{section}")
    return stages


def _read(root: Path) -> Any:
    try:
        return yaml.load((root / FILE).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except FileNotFoundError:
        raise InputError(f"{FILE} is missing: run `lockstep check --fix`, which writes it") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _unreadable(" ".join(str(error).split())) from None


def _check_list(items: Any, section: str, where: str) -> None:
    """Names, or names with their flags (of a file among the params: with a list of its keys)."""
    for item in _expect([] if items is None else items, list, where):
        if isinstance(item, list) or item in (None, {}):
            raise _unreadable(f"{where} has an item that is not a name")
        for name, inner in item.items() if isinstance(item, Mapping) else ():
            if inner is not None:
                _expect(inner, list if section == "params" else Mapping, f"{where}, {name}")
            if section == "params" and any(isinstance(key, (list, Mapping)) for key in inner or ()):
                raise _unreadable(f"{where}, {name} has an item that is not a name")


def _expect(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise _unreadable(f"{where} is not a {'list' if kind is list else 'mapping'}")
    return value


def _unreadable(why: str) -> InputError:
    return InputError(f"{FILE} cannot be read: {why}. Correct it or restore it from git; if removed, --fix writes it")


def _compare(entry: Entry, stages: Mapping[str, Any], root: Path) -> Iterator[str]:
    where, stage = f"{FILE}: stage {entry.name}", stages.get(entry.name)
    if stage is None:
        yield f"{where} is missing"
        return
    if stage.get("cmd") != entry.cmd:
        yield f"{where} runs `{stage.get('cmd')}` instead of `{entry.cmd}`"
    for key in FORBIDDEN:
        if key in stage:
            yield f"{where} must not say `{key}`"
    for section, wanted, judge in _lists(entry, stages, root):
        yield from _compare_list(f"{where}, {section}", stage.get(section) or [], wanted, judge)
    own, tracked = _split_params(stage.get("params") or [])
    yield from _compare_list(f"{where}, params", own, _plain(entry.params), _unused)
    yield from _compare_list(f"{where}, params of {versions.FILE}", tracked, _plain(entry.versions), _unused)


def _compare_list(where: str, items: Sequence[Any], wanted: Mapping[str, Any], judge: Judge) -> Iterator[str]:
    has = dict(_named(item) for item in items)
    if lacking := [name for name in wanted if name not in has]:
        yield f"{where}, lacks {', '.join(lacking)}"
    for reason, extra in _extra(has, wanted, judge).items():
        yield f"{where}, has {', '.join(extra)}, {reason}"
    for name in wanted:
        for flag, default in FLAG_DEFAULTS.items():
            should = wanted[name].get(flag, default)
            if name in has and has[name].get(flag, default) != should:
                yield f"{where}: {name} must have `{flag}: {str(should).lower()}`"


def _extra(names: Iterable[str], wanted: Mapping[str, Any], judge: Judge) -> dict[str, list[str]]:
    """The names that must go, by the reason for it."""
    found: dict[str, list[str]] = {}
    for name in names:
        if name not in wanted and (reason := judge(name)):
            found.setdefault(reason, []).append(name)
    return found


def _lists(entry: Entry, stages: Mapping[str, Any], root: Path) -> Iterator[tuple[str, Mapping[str, Any], Judge]]:
    """Section, what it must hold by name, and the judge of other names."""
    written = set(_written(stages))
    yield "deps", _plain([*entry.reads, *entry.code]), lambda name: _judge_dep(name, entry, written, root)
    for section in ("outs", "metrics", "plots"):
        yield section, entry.outputs.get(section, {}), _unused


def _judge_dep(name: str, entry: Entry, written: AbstractSet[str], root: Path) -> str | None:
    for folder in PurePosixPath(name).parents:
        if str(folder) in entry.code:
            return f"now listed as {folder}"
    if _is_gone(name, written, root):
        return "which does not exist, and no stage writes it"
    return _unused(name) if _is_code(name, entry.code, root) else None


def _is_gone(name: str, written: AbstractSet[str], root: Path) -> bool:
    """A local file that is not there, and that neither a stage nor `dvc pull` would bring: it may not be listed."""
    if "://" in name or "${" in name or (root / name).exists():
        return False
    path = PurePosixPath(name)
    around = [path, *path.parents]
    if any(str(folder) in written for folder in around) or any(path in PurePosixPath(out).parents for out in written):
        return False
    inner = [folder for folder in around if folder.name]
    return not any((root / f"{folder}.dvc").exists() or (root / folder / FILE).exists() for folder in inner)


def _written(stages: Mapping[str, Any]) -> Iterator[str]:
    """What the stages write, the project's own too; of a templated name the folder before the template."""
    for stage in stages.values():
        inner = stage["do"] if isinstance(stage.get("do"), Mapping) else stage
        for section in ("outs", "metrics", "plots"):
            items = inner.get(section)
            for item in items if isinstance(items, list) else ():
                name = posixpath.normpath(posixpath.join(str(inner.get("wdir") or ""), _named(item)[0]))
                yield posixpath.dirname(name.partition("${")[0]) or "." if "${" in name else name


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
    files = [path for path in folder.iterdir() if path.is_file() and not repository.is_litter(path.name)]
    return any(folder.rglob("__init__.py")) or bool(files and all(path.suffix == ".py" for path in files))


def _unused(_: str) -> str | None:
    return "which the stage does not use"


def _named(item: Any) -> tuple[str, Mapping[str, Any]]:
    """`path` or `path: {flag: …}` as a pair."""
    if isinstance(item, Mapping) and item:
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

    if not any(_compare(entry, stages, root)):
        return False
    if entry.name not in stages:
        stages[entry.name] = CommentedMap(desc=entry.about) if entry.about else CommentedMap()
        if len(stages) > 1:
            stages.yaml_set_comment_before_after_key(entry.name, before="\n")
    stage = stages[entry.name]
    stage["cmd"] = entry.cmd
    for key in FORBIDDEN:
        stage.pop(key, None)
    sections = list(_lists(entry, stages, root))
    _mend_list(stage, *sections[0])
    _mend_params(entry, stage)
    for section in sections[1:]:
        _mend_list(stage, *section)
    return True


def _mend_params(entry: Entry, stage: Any) -> None:
    params = _items(stage, "params")
    files = [item for item in params if isinstance(item, dict)]
    for item in [item for item in files if SPEC in item]:
        params.remove(item)
    own = {name for item in params if isinstance(item, dict) for name in item}
    _mend_list(stage, "params", _plain(entry.params), lambda name: None if name in own else _unused(name))
    tracked = next((item for item in files if versions.FILE in item), None)
    if tracked is None:
        tracked = {versions.FILE: _sequence()}
        tracked[versions.FILE].fa.set_flow_style()
        params.append(tracked)
    _mend_list(tracked, versions.FILE, _plain(entry.versions), _unused)


def _items(stage: Any, section: str) -> Any:
    if stage.get(section) is None:
        stage[section] = _sequence()
    return stage[section]


def _mend_list(stage: Any, section: str, wanted: Mapping[str, Any], judge: Judge) -> None:
    """Drop what is not wanted, set the flags, and put what lacks behind its neighbour; comments stay."""
    items = _items(stage, section)
    for index in reversed(range(len(items))):
        name, flags = _named(items[index])
        if name in wanted:
            items[index] = _item(name, flags, wanted[name])
        elif judge(name):
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
