"""The definition of a crossbar product in plain NumPy: what the kernel is tested against, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pimsim.crossbar_cells import Cells
from pimsim.crossbar_noise import NoiseScale, draws

if TYPE_CHECKING:
    from pimsim.crossbar import Arithmetic


def convert(sums: NDArray[np.int64], arithmetic: Arithmetic, fraction_bits: int = 0) -> NDArray[np.int64]:
    """What the ADC makes of column sums, which come in units of 2^-fraction_bits: see `Arithmetic`."""
    step, offset = arithmetic.adc_step << fraction_bits, arithmetic.adc_offset * (1 << fraction_bits)
    levels = (2 * (sums - offset) + step) // (2 * step)
    return np.clip(levels, 0, (1 << arithmetic.adc_bits) - 1) * arithmetic.adc_step + arithmetic.adc_offset


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
    cells: Cells,
    arithmetic: Arithmetic,
    codes: NDArray[Any],
    input_bits: int,
    signed: bool,
    seed: int = 0,
    first_vector: int = 0,
) -> NDArray[np.int64]:
    """The product of `codes` `[vectors, inputs]` with stored cells: int64 `[vectors, outputs]`."""
    slices, inputs, outputs = cells.levels.shape
    out = np.zeros((len(codes), outputs), np.int64)
    vectors = np.arange(first_vector, first_vector + len(codes))
    step = arithmetic.adc_step << cells.fraction_bits
    scale = NoiseScale.of(arithmetic.noise * (1 << cells.fraction_bits), step)
    size = cells.crossbar_rows or cells.rows
    groups = [slice(start, min(start + cells.rows, first + size, inputs)) for first in range(0, inputs, size)
              for start in range(first, min(first + size, inputs), cells.rows)]
    for block, rows in enumerate(groups):
        phases = input_phases(codes[:, rows], input_bits, arithmetic.dac_bits, signed)
        for phase, (digits, weight) in enumerate(phases):
            for index in range(slices):
                sums = digits @ cells.levels[index, rows].astype(np.int64)
                if arithmetic.noise:
                    sums += scale.values(
                        draws(seed, vectors, outputs, block=block, slices=slices, index=index, phase=phase)
                    )
                levels = convert(sums, arithmetic, cells.fraction_bits)
                out += cells.signs[index, block] * levels * (weight << int(cells.shifts[index]))
        out += codes[:, rows].astype(np.int64).sum(axis=1, keepdims=True) * cells.gains[block]
    return out
