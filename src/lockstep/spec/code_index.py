"""What a Python module defines, read from its source without running it: importing scikit-learn takes a second."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class NotFound(LookupError):
    """A module or a name in it does not exist. Carries what could have been meant."""

    def __init__(self, module: str, name: str, candidates: Sequence[str]) -> None:
        super().__init__(f"{module}.{name}" if module else name)
        self.module, self.name, self.candidates = module, name, sorted(candidates)


class Unclear(Exception):
    """The source does not say it plainly (compiled, dynamic, lazily loaded): only an import would tell."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A class or function with the module that defines it."""

    module: str
    node: Definition


Binding = Definition | tuple[str, str] | str | ast.expr
"""What a name stands for: a definition, a name of another module, a module, or an expression."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """The names that a module binds at its top level. Of several bindings the first counts (`try` before `except`)."""

    bindings: dict[str, Binding] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Public names that a class or function could have."""
        return [
            name for name, bound in self.bindings.items() if not name.startswith("_") and not isinstance(bound, str)
        ]


class Modules:
    """The modules that Python would import, found on `roots` first and then where Python looks."""

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        self._roots = [str(root) for root in roots]
        self._specs: dict[str, ModuleSpec | None] = {}
        self._indexes: dict[str, Index] = {}

    def spec(self, module: str) -> ModuleSpec:
        """Where the module is. Raises `NotFound` with the modules beside the missing part."""
        if module not in self._specs:
            self._specs[module] = self._find(module)
        found = self._specs[module]
        if found is None:
            parent, _, name = module.rpartition(".")
            raise NotFound(parent, name, list(self.submodules(parent)))
        return found

    def _find(self, module: str) -> ModuleSpec | None:
        parent, _, _ = module.rpartition(".")
        if not parent:
            return PathFinder.find_spec(module, self._roots) or importlib.util.find_spec(module)
        locations = self.spec(parent).submodule_search_locations
        return PathFinder.find_spec(module, list(locations)) if locations is not None else None

    def submodules(self, package: str) -> Iterator[str]:
        """Public modules inside a package, or all top-level ones for ''."""
        locations = [*self._roots, *sys.path] if not package else self.spec(package).submodule_search_locations
        for found in pkgutil.iter_modules(list(locations or ())):
            if not found.name.startswith("_"):
                yield found.name

    def index(self, module: str) -> Index:
        """The module's names. Raises `Unclear` if it has no Python source."""
        if module not in self._indexes:
            spec = self.spec(module)
            if not spec.origin or not spec.origin.endswith(".py"):
                raise Unclear(module)
            self._indexes[module] = _index(Path(spec.origin), module, spec.submodule_search_locations is not None)
        return self._indexes[module]

    def find(self, module: str, name: str, trail: tuple[tuple[str, str], ...] = ()) -> Found:
        """The class or function that `module.name` is, followed through imports and aliases to where it is defined."""
        if (module, name) in trail:
            raise Unclear(f"{module}.{name}")
        trail = (*trail, (module, name))
        index = self.index(module)
        bound = index.bindings.get(name)
        if isinstance(bound, Definition):
            return Found(module=module, node=bound)
        if isinstance(bound, tuple):
            return self.find(*bound, trail)
        if isinstance(bound, ast.expr):
            return self.expression(module, bound, trail)
        for star in index.stars:
            try:
                return self.find(star, name, trail)
            except NotFound:
                continue
        if "__getattr__" in index.bindings:
            raise Unclear(f"{module}.{name}")
        raise NotFound(module, name, index.names or list(self.submodules(module)))

    def expression(self, module: str, node: ast.expr, trail: tuple[tuple[str, str], ...] = ()) -> Found:
        """What a name or a dotted name means inside a module. Raises `Unclear` for anything computed."""
        if isinstance(node, ast.Name):
            return self.find(module, node.id, trail)
        if isinstance(node, ast.Attribute):
            return self.find(self._module_of(module, node.value), node.attr, trail)
        if isinstance(node, ast.Subscript):  # Generic[T]
            return self.expression(module, node.value, trail)
        raise Unclear(module)

    def _module_of(self, module: str, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            bound = self.index(module).bindings.get(node.id)
            if isinstance(bound, str):
                return bound
            if isinstance(bound, tuple):
                return ".".join(bound)
        if isinstance(node, ast.Attribute):
            return f"{self._module_of(module, node.value)}.{node.attr}"
        raise Unclear(module)


@lru_cache(maxsize=64)
def _parsed(path: Path, modified: int) -> ast.Module:
    return ast.parse(path.read_bytes())


def _index(path: Path, module: str, package: bool) -> Index:
    index = Index()
    try:
        tree = _parsed(path, path.stat().st_mtime_ns)
    except (SyntaxError, ValueError) as error:
        raise Unclear(module) from error
    home = module if package else module.rpartition(".")[0]
    for statement in _top_level(tree.body):
        _bind(index, statement, home)
    return index


def _top_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run at import, those inside `if` and `try` too."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try | ast.With):
            yield from _top_level(statement.body)
            for handler in getattr(statement, "handlers", []):
                yield from _top_level(handler.body)
            yield from _top_level(getattr(statement, "orelse", []))
        else:
            yield statement


def _bind(index: Index, statement: ast.stmt, home: str) -> None:
    for name, bound in _bound(statement, home):
        if name == "*":
            index.stars.append(bound[0] if isinstance(bound, tuple) else "")
        else:
            index.bindings.setdefault(name, bound)


def _bound(statement: ast.stmt, home: str) -> Iterator[tuple[str, Binding]]:
    if isinstance(statement, Definition):
        yield statement.name, statement
    elif isinstance(statement, ast.Import):
        for name in statement.names:
            top = name.name.partition(".")[0]
            yield (name.asname, name.name) if name.asname else (top, top)
    elif isinstance(statement, ast.ImportFrom):
        source = _absolute(statement, home)
        for name in statement.names:
            yield name.asname or name.name, (source, name.name)
    elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, statement.value


def _absolute(statement: ast.ImportFrom, home: str) -> str:
    if not statement.level:
        return statement.module or ""
    parts = home.split(".")
    base = parts[: len(parts) - statement.level + 1]
    return ".".join([*base, *([statement.module] if statement.module else [])])
