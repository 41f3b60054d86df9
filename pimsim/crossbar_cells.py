"""The cells that hold a signed integer matrix: sliced, flipped where that pays, packed for the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim import _kernels

COLUMNS = 8  # columns side by side in the kernels' layout (csrc/crossbar_mac.h)


@dataclass(frozen=True)
class Cells:
    """What is stored, and how the conversions of it are put together.

    `levels` uint16 `[slices, inputs, outputs]` in units of 2^-`fraction_bits` levels; `signs` int64
    `[slices, blocks, outputs]`, 1 or -1; `shifts` int32
    `[slices]`; `gains` int64 `[blocks, outputs]`. With q the conversion of a column sum, the product is the sum over
    blocks, slices and phases of `signs * q << shifts` (times the weight of the phase), plus `gains` times the sum of
    the block's input codes, which is added digitally.
    """

    levels: NDArray[np.uint16]
    signs: NDArray[np.int64]
    shifts: NDArray[np.int32]
    gains: NDArray[np.int64]
    rows: int
    fraction_bits: int = 0

    @cached_property
    def highest(self) -> int:
        """The highest level of any cell, in the units of levels."""
        return int(self.levels.max())

    def peaks(self) -> NDArray[np.int64]:
        """The largest sum of levels in one block and slice of each column, in the units of levels: `[outputs]`.

        That is what a phase of all ones would read.
        """
        return np.asarray(block_sums(self.levels, self.rows).max(axis=(0, 1)), np.int64)


def block_sums(levels: NDArray[np.uint16], rows: int) -> NDArray[np.integer[Any]]:
    """Sums of `[slices, inputs, outputs]` over blocks of `rows` inputs: `[slices, blocks, outputs]`."""
    slices, inputs, outputs = levels.shape
    kind = np.uint16 if min(rows, inputs) * int(levels.max()) < 1 << 16 else np.int64
    whole = inputs // rows
    sums = levels[:, : whole * rows].reshape(slices, whole, rows, outputs).sum(axis=2, dtype=kind)
    if whole * rows == inputs:
        return np.asarray(sums)
    return np.concatenate([sums, levels[:, whole * rows :].sum(axis=1, dtype=kind)[:, None]], axis=1)


def offset_cells(weights: NDArray[np.int64], weight_bits: int, cell_bits: int, rows: int, flip: bool) -> Cells:
    """Weights stored as w + 2^(weight_bits - 1), the offset subtracted digitally (ISAAC, ISCA'16, section 5).

    With `flip`, a column of a block and slice that is more than half full holds the complement of its levels instead:
    with m = 2^cell_bits - 1, sum(x * level) = m * sum(x) - sum(x * (m - level)).
    """
    offset = 1 << (weight_bits - 1)
    levels, shifts = _sliced(weights + offset, -(-weight_bits // cell_bits), cell_bits)
    full = np.uint16((1 << cell_bits) - 1)
    blocks = -(-weights.shape[0] // rows)
    signs = np.ones((len(shifts), blocks, weights.shape[1]), np.int64)
    gains = np.full((blocks, weights.shape[1]), -offset, np.int64)
    if flip:
        heights = np.diff(np.append(np.arange(0, weights.shape[0], rows), weights.shape[0]))
        flipped = 2 * block_sums(levels, rows).astype(np.int64) > heights[:, None] * int(full)
        signs[flipped] = -1
        gains += (int(full) * flipped * (np.int64(1) << shifts.astype(np.int64))[:, None, None]).sum(0)
        levels = np.where(np.repeat(flipped, heights, axis=1), full - levels, levels)
    return Cells(levels, signs, shifts, gains, rows)


def differential_cells(weights: NDArray[np.int64], weight_bits: int, cell_bits: int, rows: int) -> Cells:
    """Positive and negative parts in two cells, subtracted after conversion; the magnitude has no sign bit."""
    slices = -(-max(weight_bits - 1, 1) // cell_bits)
    positive, shifts = _sliced(np.maximum(weights, 0), slices, cell_bits)
    negative, _ = _sliced(np.maximum(-weights, 0), slices, cell_bits)
    blocks = -(-weights.shape[0] // rows)
    signs = np.ones((2 * slices, blocks, weights.shape[1]), np.int64)
    signs[slices:] = -1
    gains = np.zeros((blocks, weights.shape[1]), np.int64)
    return Cells(np.concatenate([positive, negative]), signs, np.concatenate([shifts, shifts]), gains, rows)


def _sliced(values: NDArray[np.int64], slices: int, cell_bits: int) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    shifts = np.arange(slices, dtype=np.int32) * np.int32(cell_bits)
    narrow = values.astype(np.uint16)
    levels = np.empty((slices, *values.shape), np.uint16)
    for level, shift in zip(levels, shifts.tolist(), strict=True):
        np.right_shift(narrow, np.uint16(shift), out=level)
        np.bitwise_and(level, np.uint16((1 << cell_bits) - 1), out=level)
    return levels, shifts


@dataclass(frozen=True)
class PackedCells:
    """`Cells` in the kernels' layout: see csrc/crossbar_mac.h."""

    bits: NDArray[np.uint64]
    signs: NDArray[np.int64]
    gains: NDArray[np.int64]
    shifts: NDArray[np.int32]


def packed_cells(cells: Cells) -> PackedCells:
    """The kernels' layout: one bit per cell bit and row, 64 rows to a word, eight columns side by side."""
    slices, inputs, outputs = cells.levels.shape
    blocks = -(-inputs // cells.rows)
    groups = -(-outputs // COLUMNS)
    signs = np.zeros((slices, blocks, groups * COLUMNS), np.int64)
    signs[:, :, :outputs] = (cells.signs - 1) // 2  # 1 -> 0, -1 -> -1
    gains = np.zeros((blocks, groups * COLUMNS), np.int64)
    gains[:, :outputs] = cells.gains
    return PackedCells(
        _kernels.crossbar_pack(cells.levels, cells.rows, max(cells.highest.bit_length(), 1)),
        np.ascontiguousarray(signs.reshape(slices, blocks, groups, COLUMNS).transpose(2, 1, 0, 3)),
        np.ascontiguousarray(gains.reshape(blocks, groups, COLUMNS).transpose(1, 0, 2)),
        cells.shifts,
    )
