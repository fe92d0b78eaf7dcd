"""A YAML file that remembers where each key stands, so that every problem can be named by file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from lockstep.errors import InputError
from lockstep.spec import scalars

KeyPath = tuple[str | int, ...]

_FOREIGN_LINE_BREAK = re.compile("[\x85\u2028\u2029]")
_RESOLVER = yaml.resolver.Resolver()
_TEXT, _LIST, _MAPPING = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Line and column, counted from 1, of a key (or list item) and of its value."""

    line: int
    column: int
    value_line: int
    value_column: int


@dataclass(frozen=True, kw_only=True, order=True)
class Problem:
    """One thing that is wrong, at one place."""

    line: int
    column: int
    path: str
    text: str

    def sentence(self, file: str) -> str:
        """The line that a person reads."""
        return f"{file}:{self.line}: {self.path}: {self.text}" if self.path else f"{file}:{self.line}: {self.text}"


def dotted(path: KeyPath) -> str:
    """A key path as people write it.

    >>> dotted(("contract", "columns", "distance", "unit")), dotted(("evaluate", "metrics", 1))
    ('contract.columns.distance.unit', 'evaluate.metrics[1]')
    """
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


@dataclass(kw_only=True)
class Document:
    """The content of a file, the place of every key path in it, and what was wrong with its YAML."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    doubtful: set[KeyPath] = field(default_factory=set)

    def problem(self, path: KeyPath, text: str) -> Problem:
        """A problem at `path`, or at the closest enclosing key that the file has."""
        known = path
        while known and known not in self.places:
            known = known[:-1]
        place = self.places.get(known, _TOP)
        return Problem(line=place.line, column=place.column, path=dotted(path), text=text)

    def doubts(self, path: KeyPath) -> bool:
        """Whether the value at `path` is, or holds, a scalar that was refused: what else it breaks is no news."""
        return any(path[: len(doubt)] == doubt or doubt[: len(path)] == path for doubt in self.doubtful)


_TOP = Place(line=1, column=1, value_line=1, value_column=1)


def fail(file: str, problems: Iterable[Problem]) -> NoReturn:
    """Raise one `InputError` that lists every problem once, by line."""
    found = sorted(set(problems))
    head = f"{file} has {len(found)} problems:\n" if len(found) > 1 else ""
    raise InputError(head + "\n".join(problem.sentence(file) for problem in found))


def read_document(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Problems that leave the rest readable (duplicate keys, ambiguous scalars, tags) are collected in the document.
    Raises `InputError` where nothing can be read: no file, not UTF-8, not YAML, not a mapping.
    """
    text = _text(path)
    file = _name(path)
    try:
        root = _compose(text)
    except yaml.MarkedYAMLError as error:
        fail(file, [_syntax_problem(error, text)])
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = f"{error.character:#06x}" if isinstance(error.character, int) else repr(error.character)
        fail(file, [_at(line, f"the character {code} may not stand in YAML. Delete it.")])
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{file}:1: the file holds no keys and values. Begin with `project:`.")
    document = Document(file=file)
    document.data = _Reading(document).value(root, (), ())
    return document


def _name(path: Path) -> str:
    """The path as errors print it: from the current folder where it lies inside."""
    return str(path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{_name(path)}: no such file. Run this where params.yaml is: at the root of the repository."
        ) from None
    except OSError as error:
        raise InputError(f"{_name(path)}: cannot be read: {error.strerror}.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        fail(_name(path), [_at(line, "the text is not UTF-8. Save the file as UTF-8.")])


def _at(line: int, text: str) -> Problem:
    return Problem(line=line, column=1, path="", text=text)


def _compose(text: str) -> yaml.Node | None:
    if foreign := _FOREIGN_LINE_BREAK.search(text):
        raise yaml.reader.ReaderError("", foreign.start(), ord(foreign[0]), "", "")
    loader: Any = yaml.SafeLoader(text)  # its parsing methods carry no types
    try:
        loader.get_event()
        start = loader.peek_event()
        if isinstance(start, yaml.StreamEndEvent):
            return None
        if start.version or start.tags:
            raise yaml.MarkedYAMLError(problem="directive", problem_mark=start.start_mark)
        root: yaml.Node = loader.compose_document()
        if not isinstance(extra := loader.get_event(), yaml.StreamEndEvent):
            raise yaml.MarkedYAMLError(problem="second document", problem_mark=extra.start_mark)
        return root
    finally:
        loader.dispose()


_SYNTAX = {
    "directive": "a line that begins with % changes how YAML is read. Delete it.",
    "second document": "a second document begins here. Keep one, and delete the line `---`.",
    r"'\t' that cannot start": "a tab. YAML is indented with spaces: replace the tab.",
    "mapping values are not allowed here": "not YAML: a colon where none may stand. "
    'A text that holds ": " needs quotes; otherwise compare the indentation with the line above.',
    "cannot start any token": "not YAML: a text that begins with a special character needs quotes.",
    "found undefined alias": "an alias without its anchor. Write the value out.",
    "unexpected end of stream": "a quote that is opened is never closed.",
}


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    said = f"{error.problem or ''} {error.context or ''}"
    mark = error.problem_mark or error.context_mark
    line = min(mark.line + 1, text.count("\n") + 1) if mark else 1
    if mark and text.splitlines()[mark.line : mark.line + 1] and _tab_indented(text.splitlines()[mark.line]):
        said = r"'\t' that cannot start"
    if "unexpected end of stream" in said and error.context_mark:
        line = error.context_mark.line + 1
    for part, advice in _SYNTAX.items():
        if part in said:
            return _at(line, advice)
    return _at(line, f"not YAML: {error.problem}. Look at the indentation, quotes and brackets here and just above.")


def _tab_indented(line: str) -> bool:
    return "\t" in line[: len(line) - len(line.lstrip())]


class _Reading:
    """One walk over the composed nodes that fills a document."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def value(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> Any:
        if node in above:
            self._refuse(path, "an alias that holds itself. Write the value out.")
            return None
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, _MAPPING, path)
            return self._mapping(node, path, (*above, node))
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, _LIST, path)
            return self._list(node, path, (*above, node))
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in content:
                first = self._document.places[(*path, key)].line
                self._add(key_node, (*path, key), f"the key is given twice, first on line {first}. Keep one.")
                continue
            self._document.places[(*path, key)] = _place(key_node, value_node)
            content[key] = self.value(value_node, (*path, key), above)
        return content

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._add(node, path, "a key must be text.")
            return None
        text = str(node.value)
        if problem := _key_problem(node, text):
            self._document.doubtful.add((*path, text))
            self._add(node, (*path, text), problem)
        return text

    def _list(self, node: yaml.SequenceNode, path: KeyPath, above: tuple[yaml.Node, ...]) -> list[Any]:
        for index, item in enumerate(node.value):
            self._document.places[(*path, index)] = _place(item, item)
        return [self.value(item, (*path, index), above) for index, item in enumerate(node.value)]

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> scalars.Scalar:
        text = str(node.value)
        if node.style is not None:
            self._check_tag(node, _TEXT, path)
            return text
        if node.tag != _implied_tag(text):
            self._refuse(path, _tagged(node))
        elif problem := scalars.disagreement(text):
            self._refuse(path, problem)
        return scalars.value(text)

    def _check_tag(self, node: yaml.Node, expected: str, path: KeyPath) -> None:
        if node.tag != expected:
            self._refuse(path, _tagged(node))

    def _refuse(self, path: KeyPath, text: str) -> None:
        self._document.doubtful.add(path)
        self._document.problems.append(self._document.problem(path, text))

    def _add(self, node: yaml.Node, path: KeyPath, text: str) -> None:
        place = _place(node, node)
        problem = Problem(line=place.line, column=place.column, path=dotted(path), text=text)
        self._document.problems.append(problem)


def _implied_tag(text: str) -> str:
    return str(_RESOLVER.resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]


def _key_problem(node: yaml.ScalarNode, text: str) -> str | None:
    if node.tag != (_TEXT if node.style is not None else _implied_tag(text)):
        return _tagged(node)
    if node.style is not None:
        return None
    if isinstance(scalars.value(text), str):
        return scalars.disagreement(text)
    return f'a key must be text. Write "{text}" in quotes.'


def _tagged(node: yaml.Node) -> str:
    tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
    return f"the tag {tag} is not understood. Write the value without it, in quotes if text is meant."


def _place(key: yaml.Node, value: yaml.Node) -> Place:
    return Place(
        line=key.start_mark.line + 1,
        column=key.start_mark.column + 1,
        value_line=value.start_mark.line + 1,
        value_column=value.start_mark.column + 1,
    )
