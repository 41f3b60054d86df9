"""Chips with every figure and its source; `preset` finds one by its name."""

from __future__ import annotations

from collections.abc import Callable

from pimsim.chip import Chip
from pimsim.errors import InputError
from pimsim.presets.isaac import isaac
from pimsim.presets.neurram import neurram
from pimsim.presets.puma import puma

__all__ = ["PRESETS", "RATED_BITS", "isaac", "neurram", "preset", "puma"]

PRESETS: dict[str, Callable[[], Chip]] = {"isaac": isaac, "puma": puma, "neurram": neurram}
"""Every chip by its name."""
RATED_BITS: dict[str, tuple[int, int]] = {"isaac": (16, 16), "puma": (16, 16), "neurram": (4, 8)}
"""Bits of weights and inputs at which a chip's peak rate is published."""


def preset(name: str, where: str = "chip") -> Chip:
    """The chip called `name`; InputError lists the names there are."""
    if name not in PRESETS:
        raise InputError(f"{where}: no chip preset {name!r}, allowed: {', '.join(PRESETS)}")
    return PRESETS[name]()
