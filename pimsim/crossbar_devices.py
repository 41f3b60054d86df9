"""What programmed cells really hold: levels that vary from device to device, and cells that are stuck."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim.errors import InputError

LARGEST_LEVEL = 65535  # in units of 2^-fraction_bits


@dataclass(frozen=True)
class Devices:
    """How far the conductance of cells is from what was asked for; all units are levels (0 .. 2^cell_bits - 1).

    `sigma`: a cell asked to hold `level` holds `level + sigma * N(0, 1)`, never below 0, drawn once when programmed;
    one number, or one for each level (variation depends on conductance: Wan et al., Nature 608, 504, 2022). `stuck_low`
    and `stuck_high`: probabilities that a cell holds 0 or the highest level whatever it was asked for; stuck cells
    don't vary. Levels are kept in units of 2^-`fraction_bits` (0 to 8): a cell is rounded by half of that at most, so
    the sum of n active cells is off by n * 2^-(fraction_bits + 1) at most and sqrt(n / 12) * 2^-fraction_bits on
    average; everything after is exact.
    """

    sigma: float | tuple[float, ...] = 0.0
    stuck_low: float = 0.0
    stuck_high: float = 0.0
    fraction_bits: int = 6

    def __post_init__(self) -> None:
        """Refuse what cannot be; the message names the field, the value and what is allowed."""
        sigmas = self.sigma if isinstance(self.sigma, tuple) else (self.sigma,)
        if not all(_is_number(value) and 0 <= value < math.inf for value in sigmas):
            raise InputError(f"devices.sigma: {self.sigma!r}, allowed: a number from 0, or a tuple of one per level")
        for name in ("stuck_low", "stuck_high"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= 1:
                raise InputError(f"devices.{name}: {value!r}, allowed: a probability from 0 to 1")
        if self.stuck_low + self.stuck_high > 1:
            raise InputError(f"devices.stuck_low: {self.stuck_low}, allowed: up to 1 - stuck_high, "
                             f"{1 - self.stuck_high}")
        bits = self.fraction_bits
        if isinstance(bits, bool) or not isinstance(bits, int) or not 0 <= bits <= 8:
            raise InputError(f"devices.fraction_bits: {bits!r}, allowed: a whole number from 0 to 8")

    @property
    def varies(self) -> bool:
        """Whether levels are anything but whole."""
        return any(self.sigma) if isinstance(self.sigma, tuple) else self.sigma > 0

    def program(
        self, levels: NDArray[np.uint16], cell_bits: int, seed: int, stuck: NDArray[np.integer[Any]] | None = None
    ) -> tuple[NDArray[np.uint16], int]:
        """What cells asked to hold `levels` do hold, in units of 2^-fraction_bits, and that number of bits.

        It is 0 where nothing varies. `stuck`, of the same shape, says which cells are stuck beside those drawn: 0 at
        the lowest level, 1 at the highest, -1 not. The same `seed` gives the same cells: Philox, counter-based (Salmon
        et al., SC'11), one stream for variation and one for stuck cells.
        """
        top = (1 << cell_bits) - 1
        if stuck is not None and (np.shape(stuck) != levels.shape or not np.isin(stuck, (-1, 0, 1)).all()):
            raise InputError(f"stuck: shape {np.shape(stuck)}, allowed: -1, 0 and 1, of shape {levels.shape}")
        bits = self.fraction_bits if self.varies else 0
        held = levels.astype(np.uint16)
        if self.varies:
            if isinstance(self.sigma, tuple) and len(self.sigma) != top + 1:
                raise InputError(f"devices.sigma: {len(self.sigma)} values, allowed: {top + 1}, one per level")
            sigma = np.asarray(self.sigma, np.float32)
            drawn = _stream(seed, 0).standard_normal(levels.shape, np.float32)
            drawn *= sigma[levels] if sigma.ndim else sigma
            drawn += levels
            drawn *= 1 << bits
            held = np.clip(np.rint(drawn, out=drawn), 0, LARGEST_LEVEL, out=drawn).astype(np.uint16)
        if self.stuck_low or self.stuck_high:
            place = _stream(seed, 1).random(levels.shape, np.float32)
            held[place < self.stuck_low] = 0
            held[place >= 1 - self.stuck_high] = top << bits
        if stuck is not None:
            held[stuck == 0] = 0
            held[stuck == 1] = top << bits
        return held, bits


def _stream(seed: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, number], np.uint64)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
