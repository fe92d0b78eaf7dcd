"""How sections are built from other sections: which model, list or union sits at a key path.

pydantic names an error's place by keys and, inside unions, by the branch it took. This module tells the two apart.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import Discriminator, Tag
from pydantic.fields import FieldInfo

from lockstep.spec.section import Section

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One kind of value: a section, a mapping, a list, a choice between shapes, or (all empty) a plain value."""

    section: type[Section] | None = None
    entries: Any = None
    items: Any = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    chosen_by: Any = None
    allowed: tuple[Any, ...] = ()

    def branch(self, data: Any) -> Shape | None:
        """The shape that `data` chooses, None when it names none."""
        if isinstance(self.chosen_by, str):
            tag = data.get(self.chosen_by) if isinstance(data, dict) else None
        else:
            tag = self.chosen_by(data)
        return shape_of(self.choices[tag]) if isinstance(tag, str) and tag in self.choices else None


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A key path with the section it lies in, the key's definition there, and the shape of its value."""

    path: KeyPath
    section: type[Section] | None
    definition: FieldInfo | None
    shape: Shape


def fields(section: type[Section]) -> dict[str, tuple[str, FieldInfo]]:
    """Python name and definition of each key of a section, by the key as the file spells it."""
    return {info.alias or name: (name, info) for name, info in section.model_fields.items()}


@cache
def _field_shape(section: type[Section], key: str) -> Shape:
    info = fields(section)[key][1]
    return shape_of(Annotated[info.annotation, info])


def shape_of(annotation: Any) -> Shape:
    """The shape that a type annotation describes."""
    chosen_by = None
    while get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        chosen_by = next((found for extra in extras if (found := _discriminator(extra))), chosen_by)
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return shape_of(members[0])
        return Shape(
            choices={tag: member for member in members for tag in _tags(member, chosen_by)}, chosen_by=chosen_by
        )
    if get_origin(annotation) is Literal:
        return Shape(allowed=get_args(annotation))
    if get_origin(annotation) is dict:
        return Shape(entries=get_args(annotation)[1])
    if get_origin(annotation) is list:
        return Shape(items=get_args(annotation)[0])
    return Shape(section=annotation) if isinstance(annotation, type) and issubclass(annotation, Section) else Shape()


def _discriminator(extra: Any) -> Any:
    if isinstance(extra, Discriminator):
        return extra.discriminator
    if isinstance(extra, FieldInfo):
        own = extra.discriminator
        if isinstance(own, Discriminator):
            return own.discriminator
        return own or next((found for more in extra.metadata if (found := _discriminator(more))), None)
    return None


def _tags(member: Any, chosen_by: Any) -> tuple[str, ...]:
    if isinstance(chosen_by, str):
        return get_args(member.model_fields[chosen_by].annotation)
    return tuple(extra.tag for extra in get_args(member)[1:] if isinstance(extra, Tag))


def locate(root: type[Section], location: Sequence[str | int]) -> Spot:
    """Where pydantic's location lies, with the names of union branches left out of the path."""
    path: KeyPath = ()
    section, definition, shape = None, None, Shape(section=root)
    for step in location:
        if shape.choices:
            shape = shape_of(shape.choices[str(step)])
            continue
        path = (*path, step)
        section, definition = shape.section, None
        if section is not None and step in fields(section):
            definition, shape = fields(section)[str(step)][1], _field_shape(section, str(step))
        else:
            shape = shape_of(shape.entries or shape.items)
    return Spot(path=path, section=section, definition=definition, shape=shape)


def key_shape(section: type[Section], key: str) -> Shape:
    """The shape of a section's key."""
    return _field_shape(section, key)
