"""The model against published figures; `validate` gives every point and every fitted factor."""

from __future__ import annotations

from collections.abc import Callable

from pimsim.validation import adc, device, functional, isaac, macros, neurram, puma
from pimsim.validation.point import Factor, Kind, Point, Validation, relative_fit

__all__ = ["TARGETS", "Factor", "Kind", "Point", "Validation", "relative_fit", "validate"]

TARGETS: dict[str, Callable[[], tuple[list[Point], list[Factor]]]] = {
    "isaac": isaac.validate, "adc": adc.validate, "puma": puma.validate, "neurram": neurram.validate,
    "macros": macros.validate, "device": device.validate, "functional": functional.validate}
"""Every target by its name."""


def validate() -> Validation:
    """All targets, in order."""
    points: list[Point] = []
    factors: list[Factor] = []
    for target in TARGETS.values():
        found, fitted = target()
        points += found
        factors += fitted
    return Validation(tuple(points), tuple(factors))
