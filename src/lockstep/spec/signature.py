"""What an estimator class accepts and is, read from its source; from an import only where the source does not say."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lockstep.spec.code_index import Definition, Found, Modules, NotFound, Unclear

Kind = Literal["classifier", "regressor", "neither"]

_MIXINS: dict[str, Kind] = {"ClassifierMixin": "classifier", "RegressorMixin": "regressor"}


@dataclass(frozen=True, kw_only=True)
class Signature:
    """An estimator's parameters, whether it takes others beside (`**kwargs` to the end), its kind, its methods, and the
    names of the class and of those it derives from."""

    parameters: tuple[str, ...]
    open: bool
    kind: Kind
    methods: frozenset[str]
    names: tuple[str, ...]


def read_signature(path: str, modules: Modules) -> Signature:
    """The signature of the class at an import path.

    Raises `NotFound` for an unknown module or name, and `TypeError` if it is not a class.
    """
    module, _, name = path.rpartition(".")
    try:
        found = modules.find(module, name)
        if not isinstance(found.node, ast.ClassDef):
            raise TypeError(path)
        line = list(_ancestors(found, modules))
        parameters, is_open = _parameters(line)
    except Unclear:
        return _imported(path)
    names = [each.node.name for each in line]
    return Signature(
        parameters=tuple(parameters),
        open=is_open,
        kind=_kind(names, name),
        methods=frozenset(method for each in line for method in _methods(each.node)),
        names=tuple(names),
    )


def _ancestors(found: Found, modules: Modules) -> Iterator[Found]:
    """The class and its bases, each once, nearest first."""
    waiting, seen = [found], set[tuple[str, str]]()
    while waiting:
        each = waiting.pop(0)
        if (each.module, each.node.name) in seen or not isinstance(each.node, ast.ClassDef):
            continue
        seen.add((each.module, each.node.name))
        yield each
        waiting[:0] = [base for node in each.node.bases if (base := _base(each.module, node, modules))]


def _base(module: str, node: ast.expr, modules: Modules) -> Found | None:
    """The base class, None for one of Python's own, whose members do not matter here."""
    if isinstance(node, ast.Call):  # with_metaclass(…)
        raise Unclear(module)
    try:
        return modules.expression(module, node)
    except Unclear as error:
        if str(error) in sys.stdlib_module_names:
            return None
        raise
    except NotFound as error:
        if error.module == module:  # a builtin
            return None
        raise Unclear(module) from error


def _parameters(line: list[Found]) -> tuple[list[str], bool]:
    """Names of the first `__init__`, and of the ones behind it for as long as they pass `**kwargs` on."""
    names: list[str] = []
    for each in line:
        if (init := _methods(each.node).get("__init__")) is None:
            continue
        arguments = init.args
        positional = [*arguments.posonlyargs, *arguments.args][1:]
        names += [one.arg for one in (*positional, *arguments.kwonlyargs) if one.arg not in names]
        if arguments.kwarg is None:
            return names, False
    return names, any("__init__" in _methods(each.node) for each in line)


def _methods(node: Definition) -> dict[str, ast.FunctionDef]:
    methods: dict[str, ast.FunctionDef] = {}
    for statement in node.body:
        for each in statement.body if isinstance(statement, ast.If) else [statement]:
            if isinstance(each, ast.FunctionDef):
                methods[each.name] = each
    return methods


def _kind(ancestors: list[str], name: str) -> Kind:
    kinds = {_MIXINS[each] for each in ancestors if each in _MIXINS}
    if len(kinds) == 1:
        return kinds.pop()
    endings: dict[str, Kind] = {"Classifier": "classifier", "Regressor": "regressor"}
    return next((kind for ending, kind in endings.items() if name.endswith(ending)), "neither")


def _imported(path: str) -> Signature:
    """The same from the class itself. Raises `NotFound` if it cannot be imported."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise NotFound(module, name, []) from error
    if not isinstance(found, type):
        raise TypeError(path)
    parameters = list(inspect.signature(found).parameters.values())
    return Signature(
        parameters=tuple(
            each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        ),
        open=any(each.kind is each.VAR_KEYWORD for each in parameters),
        kind=_kind([each.__name__ for each in found.__mro__], name),
        methods=frozenset(dir(found)),
        names=tuple(each.__name__ for each in found.__mro__),
    )
