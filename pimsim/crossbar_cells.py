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
    the block's input codes, which is added digitally. A block is a group of at most `rows` inputs that are read at
    once, all on one crossbar of `crossbar_rows` (None: of `rows`).
    """

    levels: NDArray[np.uint16]
    signs: NDArray[np.int64]
    shifts: NDArray[np.int32]
    gains: NDArray[np.int64]
    rows: int
    crossbar_rows: int | None = None
    fraction_bits: int = 0

    @cached_property
    def highest(self) -> int:
        """The highest level of any cell, in the units of levels."""
        return int(self.levels.max())

    def peaks(self) -> NDArray[np.int64]:
        """The largest sum of levels in one block and slice of each column, in the units of levels: `[outputs]`.

        That is what a phase of all ones would read.
        """
        return np.asarray(block_sums(self.grouped, self.rows).max(axis=(0, 1)), np.int64)

    @cached_property
    def grouped(self) -> NDArray[np.uint16]:
        """`levels` as the kernels take them: see `in_groups`."""
        return self.in_groups(self.levels, 1)

    def in_groups(self, values: NDArray[Any], axis: int) -> NDArray[Any]:
        """`values`, of which `axis` are the inputs, in groups of equal size: `filled_groups`."""
        return filled_groups(values, axis, self.rows, self.crossbar_rows)


def group_starts(inputs: int, rows: int, crossbar_rows: int | None) -> NDArray[np.int64]:
    """The first input of each group of at most `rows` that is read at once; none stands on two crossbars."""
    size = crossbar_rows or rows
    return np.array([start for first in range(0, inputs, size)
                     for start in range(first, min(first + size, inputs), rows)], np.int64)


def filled_groups(values: NDArray[Any], axis: int, rows: int, crossbar_rows: int | None) -> NDArray[Any]:
    """`values` with zeros behind each crossbar's inputs but the last one's, so that every group has `rows` inputs."""
    size, inputs = crossbar_rows or rows, values.shape[axis]
    if size % rows == 0 or inputs <= size:
        return values
    each = -(-size // rows) * rows
    shape = list(values.shape)
    shape[axis] = inputs // size * each + inputs % size
    filled = np.zeros(shape, values.dtype)
    place = np.arange(inputs)
    filled[(slice(None),) * axis + (place // size * each + place % size,)] = values
    return filled


def block_sums(levels: NDArray[np.uint16], rows: int) -> NDArray[np.integer[Any]]:
    """Sums of `[slices, inputs, outputs]` over blocks of `rows` inputs: `[slices, blocks, outputs]`."""
    slices, inputs, outputs = levels.shape
    kind = np.uint16 if min(rows, inputs) * int(levels.max()) < 1 << 16 else np.int64
    whole = inputs // rows
    sums = levels[:, : whole * rows].reshape(slices, whole, rows, outputs).sum(axis=2, dtype=kind)
    if whole * rows == inputs:
        return np.asarray(sums)
    return np.concatenate([sums, levels[:, whole * rows :].sum(axis=1, dtype=kind)[:, None]], axis=1)


def offset_cells(weights: NDArray[np.int64], weight_bits: int, cell_bits: int, rows: int, flip: bool,
                 crossbar_rows: int | None = None) -> Cells:
    """Weights stored as w + 2^(weight_bits - 1), the offset subtracted digitally (ISAAC, ISCA'16, section 5).

    With `flip`, a column of a block and slice that is more than half full holds the complement of its levels instead:
    with m = 2^cell_bits - 1, sum(x * level) = m * sum(x) - sum(x * (m - level)).
    """
    offset = 1 << (weight_bits - 1)
    levels, shifts = _sliced(weights + offset, -(-weight_bits // cell_bits), cell_bits)
    full = np.uint16((1 << cell_bits) - 1)
    starts = group_starts(weights.shape[0], rows, crossbar_rows)
    blocks = len(starts)
    signs = np.ones((len(shifts), blocks, weights.shape[1]), np.int64)
    gains = np.full((blocks, weights.shape[1]), -offset, np.int64)
    if flip:
        heights = np.diff(np.append(starts, weights.shape[0]))
        sums = block_sums(filled_groups(levels, 1, rows, crossbar_rows), rows)
        flipped = 2 * sums.astype(np.int64) > heights[:, None] * int(full)
        signs[flipped] = -1
        gains += (int(full) * flipped * (np.int64(1) << shifts.astype(np.int64))[:, None, None]).sum(0)
        levels = np.where(np.repeat(flipped, heights, axis=1), full - levels, levels)
    return Cells(levels, signs, shifts, gains, rows, crossbar_rows)


def differential_cells(weights: NDArray[np.int64], weight_bits: int, cell_bits: int, rows: int,
                       crossbar_rows: int | None = None) -> Cells:
    """Positive and negative parts in two cells, subtracted after conversion; the magnitude has no sign bit."""
    slices = -(-max(weight_bits - 1, 1) // cell_bits)
    positive, shifts = _sliced(np.maximum(weights, 0), slices, cell_bits)
    negative, _ = _sliced(np.maximum(-weights, 0), slices, cell_bits)
    blocks = len(group_starts(weights.shape[0], rows, crossbar_rows))
    signs = np.ones((2 * slices, blocks, weights.shape[1]), np.int64)
    signs[slices:] = -1
    gains = np.zeros((blocks, weights.shape[1]), np.int64)
    return Cells(np.concatenate([positive, negative]), signs, np.concatenate([shifts, shifts]), gains, rows,
                 crossbar_rows)


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
    slices, blocks, outputs = cells.signs.shape
    groups = -(-outputs // COLUMNS)
    signs = np.zeros((slices, blocks, groups * COLUMNS), np.int64)
    signs[:, :, :outputs] = (cells.signs - 1) // 2  # 1 -> 0, -1 -> -1
    gains = np.zeros((blocks, groups * COLUMNS), np.int64)
    gains[:, :outputs] = cells.gains
    return PackedCells(
        _kernels.crossbar_pack(cells.grouped, cells.rows, max(cells.highest.bit_length(), 1)),
        np.ascontiguousarray(signs.reshape(slices, blocks, groups, COLUMNS).transpose(2, 1, 0, 3)),
        np.ascontiguousarray(gains.reshape(blocks, groups, COLUMNS).transpose(1, 0, 2)),
        cells.shifts,
    )
