"""What every section of the spec has in common: it is frozen, refuses unknown keys, and may hold only a part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr


class Withheld(AttributeError):
    """A part of the spec that this copy does not hold."""


class Section(BaseModel):
    """A part of the spec: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=False)

    OTHERWISE: ClassVar[Mapping[str, str]] = {}
    """What to say of keys that only a sibling of this section has."""

    _path: str = PrivateAttr("")

    if not TYPE_CHECKING:  # mypy would believe that every attribute exists

        def __getattr__(self, name: str) -> Any:
            """Says why a key is absent: this copy was restricted to other parts of the spec."""
            if name in type(self).model_fields:
                key = type(self).model_fields[name].alias or name
                path = f"{self._path}.{key}".removeprefix(".")
                raise Withheld(
                    f"`{path}` is not among the parts of the spec handed over here: declare it in STAGE.spec"
                )
            return super().__getattr__(name)

    @classmethod
    def partial(cls, values: dict[str, Any], given: Iterable[str], path: str) -> Self:
        """A section that holds only `values` (by Python name), and nothing by default. `values` are not checked."""
        section = cls.__new__(cls)
        object.__setattr__(section, "__dict__", values)
        object.__setattr__(section, "__pydantic_fields_set__", set(given) & set(values))
        object.__setattr__(section, "__pydantic_extra__", None)
        object.__setattr__(section, "__pydantic_private__", {"_path": path})
        return section

    def restricted_to(self, paths: set[tuple[str, ...]], above: str) -> Self:
        """A copy that holds only the keys at `paths`; `above` is where this section lies itself."""
        values: dict[str, Any] = {}
        for key in {path[0] for path in paths}:
            name = next((name for name, info in type(self).model_fields.items() if (info.alias or name) == key), None)
            where = f"{above}.{key}".removeprefix(".")
            if name is None:
                raise ValueError(
                    f"the spec has no `{where}`: {type(self).__name__} has {sorted(type(self).model_fields)}"
                )
            value = getattr(self, name)
            deeper = {path[1:] for path in paths if path[0] == key}
            if () in deeper or value is None:
                values[name] = value
            elif isinstance(value, Section):
                values[name] = value.restricted_to(deeper, where)
            else:
                raise ValueError(f"`{where}` is no section: name it whole")
        ordered = {name: values[name] for name in type(self).model_fields if name in values}
        return self.partial(ordered, self.model_fields_set, above)
