"""From `params.yaml` to a spec, or to one error that lists everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lockstep.errors import nearest
from lockstep.spec import messages, named_code, rules
from lockstep.spec.anatomy import KeyPath, Shape, fields, key_shape, locate, shape_of
from lockstep.spec.section import Section
from lockstep.spec.sections import ColumnBase, Spec
from lockstep.spec.yaml_source import Document, Problem, dotted, fail, read_document


def read_spec(path: Path = Path("params.yaml")) -> Spec:
    """The spec in a file, checked as a whole, the code it names included (its source is read, not run).

    Raises `InputError` that lists every problem, by line.
    """
    document = read_document(path)
    spec, problems = _checked(document)
    found = (
        rules.findings(spec),
        rules.forgotten_by_dvc(document.places),
        named_code.findings(spec, path.absolute().parent),
    )
    problems += [document.problem(place, text) for findings in found for place, text in _news(document, findings)]
    if document.problems or problems:
        fail(document.file, [*document.problems, *problems])
    return spec


def _news(document: Document, findings: Iterable[messages.Finding]) -> list[messages.Finding]:
    """Findings that do not follow from a scalar that was refused already."""
    return [(place, text) for place, text in findings if not document.doubts(place)]


def _checked(document: Document) -> tuple[Spec, list[Problem]]:
    """The spec with what is wrong in its shape; where something is, a spec that lacks exactly that."""
    try:
        spec = Spec.model_validate(document.data)
        errors = []
    except ValidationError as error:
        spec, errors = None, error.errors(include_url=False)
    if spec is not None and not document.doubtful:
        return spec, []
    found = list(messages.findings(errors))
    wrong = {locate(Spec, error["loc"]).path for error in errors} | document.doubtful
    sound = _sound(Shape(section=Spec), document.data, (), wrong)
    assert isinstance(sound, Spec)
    return sound, [document.problem(place, text) for place, text in _news(document, found)]


class _Absent:
    """Stands for a value that was wrong."""


class Undefined(ColumnBase):
    """Stands for a column of which nothing can be known, not even its type."""

    type: str


def _sound(shape: Shape, data: Any, path: KeyPath, wrong: set[KeyPath]) -> Any:
    """The part of `data` that has the right shape. Strict validation converts nothing, so values stay as they are."""
    if path in wrong:
        return _Absent
    if data is None:
        return None
    if shape.choices:
        branch = shape.branch(data)
        return _sound(branch, data, path, wrong) if branch else _Absent
    if shape.section is not None:
        return _sound_section(shape.section, data, path, wrong)
    if shape.entries is not None:
        return {key: _sound_entry(shape_of(shape.entries), value, (*path, key), wrong) for key, value in data.items()}
    if shape.items is not None:
        items = [_sound(shape_of(shape.items), item, (*path, index), wrong) for index, item in enumerate(data)]
        return _Absent if _Absent in items else items
    return data


def _sound_entry(shape: Shape, data: Any, path: KeyPath, wrong: set[KeyPath]) -> Any:
    """An entry keeps its name, also where nothing is known of it: other sections may refer to it."""
    value = _sound(shape, data, path, wrong)
    return Undefined.partial({}, (), dotted(path)) if value is _Absent else value


def _sound_section(section: type[Section], data: dict[str, Any], path: KeyPath, wrong: set[KeyPath]) -> Section:
    known = fields(section)
    unknown = [str(key) for key in data if key not in known]
    values: dict[str, Any] = {}
    for key, (name, info) in known.items():
        if key in data:
            values[name] = _sound(key_shape(section, key), data[key], (*path, key), wrong)
        elif not info.is_required() and not nearest(key, unknown):  # else it is there, misspelt
            values[name] = info.get_default(call_default_factory=True, validated_data={})
    held = {name: value for name, value in values.items() if value is not _Absent}
    return section.partial(held, {name for key, (name, _) in known.items() if key in data}, dotted(path))
