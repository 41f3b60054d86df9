"""The figures of a chip by name: how sure each of them is, and the same chip with other values in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pimsim.quantity import Quantity, Table

if TYPE_CHECKING:
    from pimsim.chip import Chip

Figure: TypeAlias = Quantity | Table
_Part = TypeVar("_Part")

TIMES, RATES = ("s",), ("Hz", "bit/s")
"""Units of figures that are times, and of those whose inverse is one."""
SCALED = "; scaled from "
"""What the source of a figure goes on with that was brought to another node."""
_COUNTED = ("1", "bits")  # how many there are is part of the design
_ASSUMED_LEAKAGE, _ASSUMED_ASSUMPTION, _ASSUMED_TIME, _ASSUMED_OTHER = 0.5, 0.5, 0.1, 0.2  # assumption, all four


@dataclass(frozen=True)
class Uncertainty:
    """One relative standard deviation of a figure, and who states it; nobody where it is an assumption."""

    relative: float
    stated_by: str = ""


def figures(chip: Chip) -> dict[str, Figure]:
    """Every figure of `chip` by the name of its component and its own, as "adc.energy", in the order of the chip."""
    return dict(_walk(chip, "chip"))


def uncertainty_of(name: str, figure: Figure) -> Uncertainty:
    """How sure a figure is: as it says itself, else by assumption.

    Assumed are 50 % of leakages and of what is an assumption or recalled, 10 % of published times and rates, 20 % of
    other published figures. Counts (bits of a register, units for each ADC) are part of the design and exact.
    """
    if figure.uncertainty is not None:
        return Uncertainty(figure.uncertainty, figure.stated_by)
    if figure.unit in _COUNTED:
        return Uncertainty(0.0, "part of the design")
    if "assumption" in figure.source or "recalled" in figure.source:
        return Uncertainty(_ASSUMED_ASSUMPTION)
    if name.endswith(".leakage"):
        return Uncertainty(_ASSUMED_LEAKAGE)
    return Uncertainty(_ASSUMED_TIME if figure.unit in TIMES + RATES else _ASSUMED_OTHER)


def with_figures(chip: Chip, values: Mapping[str, Any]) -> Chip:
    """`chip` with new values of the figures named; of a table a tuple.

    A value may be an array, so that one evaluation gives many chips. KeyError for a name that the chip does not have.
    """
    unknown = values.keys() - figures(chip).keys()
    if unknown:
        raise KeyError(f"no figure {', '.join(sorted(unknown))} in chip {chip.preset}")
    known = figures(chip)
    return with_replaced(chip, {name: _with(known[name], value) for name, value in values.items()})


def with_replaced(chip: Chip, new: Mapping[str, Figure]) -> Chip:
    """`chip` with other figures, value, source and uncertainty, in the place of those named."""
    return _replaced(chip, "chip", new)


def with_factors(chip: Chip, factors: Mapping[str, Any]) -> Chip:
    """`chip` with some figures multiplied; a table as a whole."""
    values: dict[str, Any] = {}
    known = figures(chip)
    for name, factor in factors.items():
        figure = known[name]
        values[name] = (tuple(value * factor for value in figure.values) if isinstance(figure, Table)
                        else figure.value * factor)
    return with_figures(chip, values)


def _with(figure: Figure, value: Any) -> Figure:
    return replace(figure, values=value) if isinstance(figure, Table) else replace(figure, value=value)


def _inner(part: Any, owner: str) -> Iterator[tuple[str, str, Any]]:
    """Fields of `part` that are figures or hold some: field, its name as an owner, value."""
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, tuple) and value and is_dataclass(value[0]):
            yield field.name, owner, value
        elif is_dataclass(value):
            yield field.name, field.name, value


def _walk(part: Any, owner: str) -> Iterator[tuple[str, Figure]]:
    for field, inner, value in _inner(part, owner):
        if isinstance(value, Quantity | Table):
            yield f"{owner}.{field}", value
        elif isinstance(value, tuple):
            for item in value:
                yield from _walk(item, item.name)
        else:
            yield from _walk(value, inner)


def _replaced(part: _Part, owner: str, new: Mapping[str, Figure]) -> _Part:
    changes: dict[str, Any] = {}
    for field, inner, value in _inner(part, owner):
        if isinstance(value, Quantity | Table):
            changes[field] = new.get(f"{owner}.{field}", value)
        elif isinstance(value, tuple):
            changes[field] = tuple(_replaced(item, item.name, new) for item in value)
        else:
            changes[field] = _replaced(value, inner, new)
    return replace(part, **changes) if changes else part  # type: ignore[type-var]
