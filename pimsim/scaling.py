"""A chip's areas at another node."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from pimsim.quantity import Quantity, Table

_Part = TypeVar("_Part")


def with_areas_scaled(part: _Part, factor: float, note: str) -> _Part:
    """`part` with every area in it, at any depth, times `factor`, and `note` in the sources of those areas."""
    changes: dict[str, Any] = {}
    for field in fields(part):  # type: ignore[arg-type]
        value = getattr(part, field.name)
        if field.name == "area" and isinstance(value, Quantity):
            changes["area"] = replace(value, value=value.value * factor, source=f"{value.source}; {note}")
        elif field.name == "area" and isinstance(value, Table):
            scaled = tuple(area * factor for area in value.values)
            changes["area"] = replace(value, values=scaled, source=f"{value.source}; {note}")
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            changes[field.name] = tuple(with_areas_scaled(item, factor, note) for item in value)
        elif is_dataclass(value) and not isinstance(value, Quantity | Table | type):
            changes[field.name] = with_areas_scaled(value, factor, note)
    return replace(part, **changes) if changes else part  # type: ignore[type-var]
