"""What a module really imports: the files of this repository, and packages from outside.

Built on grimp, which reads sources without running them and sees imports inside functions too. Python also runs the
`__init__.py` of every parent package, which grimp does not count, so they are added here.
"""

from __future__ import annotations

import ast
import importlib.machinery
import os
import sys
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.errors import InputError
from lockstep.running import repository

if TYPE_CHECKING:
    from grimp import ImportGraph


@dataclass(frozen=True, kw_only=True)
class Closure:
    """Everything that one process imports.

    `files` are inside the repository, relative to its root, sorted, where a folder stands for all files in it;
    `packages` are top-level names from outside;
    `installed` says that some module of ours was found outside the repository, so that its version stands for it.
    """

    files: tuple[str, ...]
    packages: frozenset[str]
    installed: bool


def closure(modules: Iterable[str], root: Path) -> Closure:
    """What `modules` import, directly or not, parent packages included. Raises `InputError` for a missing module."""
    ours, packages = _reach(modules, root)
    found = [_file(name) for name in sorted(ours)]
    inside = {path.relative_to(root) for path in found if path and path.is_relative_to(root)}
    outside = any(path and not path.is_relative_to(root) for path in found)
    return Closure(files=_by_folder(inside, root), packages=frozenset(packages), installed=outside)


def _by_folder(files: AbstractSet[Path], root: Path) -> tuple[str, ...]:
    """Sorted paths of what has content; a whole package below the top level is one entry.

    DVC warns about empty files on every run. An empty one does nothing; the day it does, it is listed.
    """
    whole = {folder for folder in {file.parent for file in files} if _is_whole(folder, files, root)}
    kept = {file for file in files if file.parent not in whole and (root / file).stat().st_size}
    return tuple(sorted(path.as_posix() for path in whole | kept))


def _is_whole(folder: Path, files: AbstractSet[Path], root: Path) -> bool:
    """A folder of modules only, three or more, no package within, and all of them are needed."""
    inside = {path for path in (root / folder).iterdir() if not repository.is_litter(path.name)}
    return len(inside) > 2 and {root / file for file in files if file.parent == folder} == inside


def _reach(modules: Iterable[str], root: Path) -> tuple[set[str], set[str]]:
    todo, ours, packages = list(modules), set[str](), set[str]()
    while todo:
        name = todo.pop()
        top = name.partition(".")[0]
        if name in ours or top in packages:
            continue
        if not _is_ours(top, root):
            packages.add(top)
            continue
        ours.add(name)
        todo.extend(_imported(name, top))
        if "." in name:
            todo.append(name.rpartition(".")[0])
    return ours, {name for name in packages if name not in sys.stdlib_module_names}


def is_outside(top: str, root: Path) -> bool:
    """Does the top-level package come from an installed distribution?"""
    return top not in sys.stdlib_module_names and _spec(top) is not None and not _is_ours(top, root)


def _imported(name: str, top: str) -> Iterator[str]:
    if _is_package(top):
        graph = _graph(top)
        if name not in graph.modules:
            raise InputError(f"there is no module `{name}`: looked below {_origin(top)}")
        yield from graph.find_modules_directly_imported_by(name)
    else:
        yield from _imported_by_file(_origin(top))


def _imported_by_file(path: Path) -> Iterator[str]:
    """Imports of a module that is a file of its own, in no package: grimp only reads packages."""
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            top = node.module.partition(".")[0]
            inner = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from [node.module, *(name for name in inner if _spec(top) and _file(name))]


def _parsed(path: Path) -> ast.Module:
    """A module's source. Raises `InputError` when it is not Python."""
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise InputError(syntax_sentence(path, error.lineno, error.msg)) from None
    except ValueError as error:  # a null byte, or an encoding that does not hold
        raise InputError(syntax_sentence(path, None, str(error))) from None


def syntax_sentence(path: str | Path | None, line: int | None, problem: str) -> str:
    """What to say about a source that is not Python; the path from the current folder where it lies inside."""
    where = Path(path or "a module")
    shown = where.relative_to(Path.cwd()) if where.is_relative_to(Path.cwd()) else where
    return f"{shown}:{line or '?'}: {problem.removesuffix('.')}. Python cannot read this file: correct it there"


def _is_ours(top: str, root: Path) -> bool:
    """Lockstep itself, and whatever lies in the repository but not in an environment there."""
    if top == "lockstep":
        return True
    if top in sys.stdlib_module_names or _spec(top) is None:
        return False
    origin = _origin(top)
    return origin.is_relative_to(root) and "site-packages" not in origin.parts


@cache
def _graph(top: str) -> ImportGraph:
    import grimp
    from grimp.exceptions import SourceSyntaxError

    try:
        return grimp.build_graph(top, include_external_packages=True, cache_dir=None)
    except SourceSyntaxError as error:
        _parsed(Path(error.filename))  # says what is wrong, which grimp does not
        raise InputError(syntax_sentence(error.filename, error.lineno, "not Python")) from None


@cache
def _spec(top: str) -> importlib.machinery.ModuleSpec | None:
    # Asked of the finder itself, not of importlib.util.find_spec, which believes a half-made entry of sys.modules.
    return importlib.machinery.PathFinder.find_spec(top)


def _is_package(top: str) -> bool:
    spec = _spec(top)
    return spec is not None and spec.submodule_search_locations is not None


def _origin(top: str) -> Path:
    spec = _spec(top)
    if spec is None:
        raise InputError(f"there is no module `{top}`: it is neither in the repository nor installed")
    if spec.submodule_search_locations is not None:
        return Path(os.path.realpath(next(iter(spec.submodule_search_locations))))
    return Path(os.path.realpath(str(spec.origin)))


def _file(name: str) -> Path | None:
    """The source file of one of our modules; a namespace package has none."""
    top, *rest = name.split(".")
    if not _is_package(top):
        return _origin(top)
    base = _origin(top).joinpath(*rest)
    candidates = (base / "__init__.py", base.with_suffix(".py")) if rest else (base / "__init__.py",)
    return next((path for path in candidates if path.is_file()), None)


def forget() -> None:
    """Read sources anew the next time: nothing else notices that they changed while this process runs."""
    _graph.cache_clear()
    _spec.cache_clear()
    importlib.machinery.PathFinder.invalidate_caches()
