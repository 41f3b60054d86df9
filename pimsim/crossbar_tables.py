"""The tables from which csrc/crossbar_lookup.h reads column sums: whether they serve, and whether they pay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pimsim import _kernels
from pimsim.crossbar_cells import Cells
from pimsim.crossbar_noise import NoiseScale

if TYPE_CHECKING:
    from pimsim.crossbar import Arithmetic

_WORD = (1 << 15) - 1  # what the kernel's sums, less the offset, must not exceed
_LISTED_BITS = 12  # of the levels that make a table: up to 4096 different ones stand in a list
# Vectors from which look-ups, made 64 (32) at a time, are faster than counting, vector by vector.
_WORTH = {"avx512": 30, "avx2": 11}
_WORTH_WIDE = {"avx512": 43, "avx2": 15}  # sums of more than a byte
_WORTH_UNLISTED = {"avx512": 17, "avx2": 4}  # many levels, as of devices that vary: counting takes longer still
_WORTH_NOISY = {"avx512": 11, "avx2": 4}


@dataclass(frozen=True)
class TablePlan:
    """How tables are laid out: these numbers of `CrossbarTables` in csrc/crossbar_lookup.h."""

    listed: int
    index_bits: int
    planes: int
    low_bits: int
    run: int
    saturate: bool

    def worth(self, vectors: int, noisy: bool) -> bool:
        """Whether look-ups are faster than counting on the instruction set in use."""
        exact = _WORTH if self.saturate else _WORTH_WIDE
        bounds = _WORTH_NOISY if noisy else exact if self.listed else _WORTH_UNLISTED
        isa = _kernels.isa()
        return isa in bounds and vectors >= bounds[isa]


def plan_tables(
    cells: Cells,
    arithmetic: Arithmetic,
    peak: int,
    noise: NoiseScale | None,
    input_bits: int,
    signed: bool,
) -> TablePlan | None:
    """The tables with which the product is exact, None where there are none: counting ones then does it.

    `peak` is the largest column sum that can occur, in the units of levels.
    """
    dac, bits = arithmetic.dac_bits, cells.fraction_bits
    if dac not in (1, 2, 4):
        return None
    step, offset = arithmetic.adc_step << bits, arithmetic.adc_offset * (1 << bits)
    top = (1 << arithmetic.adc_bits) - 1
    bias = step // 2 - offset
    spread = noise.largest if noise else 0
    largest = min(top, max(peak + spread + bias, 0) // step)  # of all codes
    if step > _WORD or abs(bias) > _WORD or not _fits_results(cells, largest, dac, input_bits, signed):
        return None
    highest = cells.highest
    level_bits = max(highest.bit_length(), 1)
    index_bits = _kernels.lookup_index_bits() if dac < 4 else 4
    if level_bits * (index_bits // dac) > _LISTED_BITS:
        index_bits = 4
    list_bits = level_bits * (index_bits // dac)
    listed = 1 << list_bits if list_bits <= _LISTED_BITS else 0
    entry = highest * (index_bits // dac) * ((1 << dac) - 1)
    # A byte that saturates does where nothing exceeds it, and where what does is clipped anyway.
    if (peak <= 255 or (255 - spread + bias) // step >= top) and 255 + spread + abs(bias) <= _WORD:
        return TablePlan(listed, index_bits, 1, 0, cells.rows if peak <= 255 else 255 // max(entry, 1), True)
    if peak + spread + abs(bias) > _WORD:
        return None
    if entry <= 255:
        return TablePlan(listed, index_bits, 1, 0, 255 // max(entry, 1), False)
    low_bits = min(range(1, 7), key=lambda low: max((1 << low) - 1, entry >> low))
    largest = max((1 << low_bits) - 1, entry >> low_bits)
    return TablePlan(listed, index_bits, 2, low_bits, 255 // largest, False) if largest <= 255 else None


def _fits_results(cells: Cells, largest_code: int, dac_bits: int, input_bits: int, signed: bool) -> bool:
    """Whether 31 bits hold the shifted sums of all codes, and what is added digitally."""
    low_bits = input_bits - signed
    phases = sum(1 << first for first in range(0, low_bits, dac_bits)) + (signed << low_bits)
    slices = sum(1 << int(shift) for shift in cells.shifts)
    conversions = largest_code * phases * slices * cells.gains.shape[0]
    rows = min(cells.rows, cells.levels.shape[1])
    digital = int(np.abs(cells.gains).sum(axis=0).max()) * rows * ((1 << input_bits) - 1)
    return bool(max(conversions, digital) < 1 << 31)


def build_tables(cells: Cells, plan: TablePlan, dac_bits: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """The tables that `plan` asks for, and the numbers of steps in them."""
    layout = plan.listed, plan.index_bits, dac_bits, plan.planes, plan.low_bits
    return _kernels.crossbar_tables(cells.grouped, cells.rows, *layout)
