"""The definition of a crossbar product in plain NumPy: what the kernel is tested against, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pimsim.crossbar_cells import Cells

if TYPE_CHECKING:
    from pimsim.crossbar import Arithmetic


def convert(sums: NDArray[np.int64], adc_bits: int, adc_step: int) -> NDArray[np.int64]:
    """What the ADC makes of column sums: `min(floor(s / step + 1/2), 2^bits - 1) * step`."""
    return np.minimum((2 * sums + adc_step) // (2 * adc_step), (1 << adc_bits) - 1) * adc_step


def input_phases(
    codes: NDArray[Any], input_bits: int, dac_bits: int, signed: bool
) -> list[tuple[NDArray[np.int64], int]]:
    """The digits of the codes, `dac_bits` at a time from the lowest, each with its weight; a sign bit comes alone."""
    values = codes.astype(np.int64)
    low_bits = input_bits - 1 if signed else input_bits
    phases = []
    for first in range(0, low_bits, dac_bits):
        bits = min(dac_bits, low_bits - first)
        phases.append(((values >> first) & ((1 << bits) - 1), 1 << first))
    if signed:
        phases.append(((values >> low_bits) & 1, -(1 << low_bits)))
    return phases


def multiply_cells(
    cells: Cells, arithmetic: Arithmetic, codes: NDArray[Any], input_bits: int, signed: bool
) -> NDArray[np.int64]:
    """The product of `codes` `[vectors, inputs]` with stored cells: int64 `[vectors, outputs]`."""
    slices, inputs, outputs = cells.levels.shape
    out = np.zeros((len(codes), outputs), np.int64)
    for block, first in enumerate(range(0, inputs, cells.rows)):
        rows = slice(first, first + cells.rows)
        for digits, weight in input_phases(codes[:, rows], input_bits, arithmetic.dac_bits, signed):
            for index in range(slices):
                sums = digits @ cells.levels[index, rows].astype(np.int64)
                levels = convert(sums, arithmetic.adc_bits, arithmetic.adc_step)
                out += cells.signs[index, block] * levels * (weight << int(cells.shifts[index]))
        out += codes[:, rows].astype(np.int64).sum(axis=1, keepdims=True) * cells.gains[block]
    return out
