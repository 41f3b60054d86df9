"""The cells that hold a signed integer matrix: sliced, flipped where that pays, packed for the kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLUMNS = 8  # columns side by side in the kernel's layout (csrc/crossbar_mac.h)
WORD = 64  # rows in a word of the kernel's layout


@dataclass(frozen=True)
class Cells:
    """What is stored, and how the conversions of it are put together.

    `levels` uint8 `[slices, inputs, outputs]`; `signs` int64 `[slices, blocks, outputs]`, 1 or -1; `shifts` int32
    `[slices]`; `gains` int64 `[blocks, outputs]`. With q the conversion of a column sum, the product is the sum over
    blocks, slices and phases of `signs * q << shifts` (times the weight of the phase), plus `gains` times the sum of
    the block's input codes, which is added digitally.
    """

    levels: NDArray[np.uint8]
    signs: NDArray[np.int64]
    shifts: NDArray[np.int32]
    gains: NDArray[np.int64]
    rows: int

    @property
    def peak(self) -> int:
        """The largest sum of levels in one block of one column: what a phase of all ones would read."""
        return int(block_sums(self.levels, self.rows).max(initial=0))


def block_sums(levels: NDArray[np.uint8], rows: int) -> NDArray[np.int64]:
    """Sums of `[slices, inputs, outputs]` over blocks of `rows` inputs: int64 `[slices, blocks, outputs]`."""
    starts = np.arange(0, levels.shape[1], rows)
    return np.add.reduceat(levels, starts, axis=1, dtype=np.int64)


def offset_cells(weights: NDArray[np.int64], weight_bits: int, cell_bits: int, rows: int, flip: bool) -> Cells:
    """Weights stored as w + 2^(weight_bits - 1), the offset subtracted digitally (ISAAC, ISCA'16, section 5).

    With `flip`, a column of a block and slice that is more than half full holds the complement of its levels instead:
    with m = 2^cell_bits - 1, sum(x * level) = m * sum(x) - sum(x * (m - level)).
    """
    offset = 1 << (weight_bits - 1)
    levels, shifts = _sliced(weights + offset, -(-weight_bits // cell_bits), cell_bits)
    full = (1 << cell_bits) - 1
    blocks = -(-weights.shape[0] // rows)
    signs = np.ones((len(shifts), blocks, weights.shape[1]), np.int64)
    gains = np.full((blocks, weights.shape[1]), -offset, np.int64)
    if flip:
        heights = np.diff(np.append(np.arange(0, weights.shape[0], rows), weights.shape[0]))
        flipped = 2 * block_sums(levels, rows) > heights[:, None] * full
        signs[flipped] = -1
        gains += (full * flipped * (np.int64(1) << shifts.astype(np.int64))[:, None, None]).sum(0)
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


def _sliced(values: NDArray[np.int64], slices: int, cell_bits: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    shifts = np.arange(slices, dtype=np.int32) * np.int32(cell_bits)
    levels = (values[None] >> shifts[:, None, None].astype(np.int64)) & ((1 << cell_bits) - 1)
    return levels.astype(np.uint8), shifts


@dataclass(frozen=True)
class PackedCells:
    """`Cells` in the kernel's layout: see csrc/crossbar_mac.h."""

    bits: NDArray[np.uint64]
    signs: NDArray[np.int64]
    gains: NDArray[np.int64]
    shifts: NDArray[np.int32]


def packed_cells(cells: Cells, cell_bits: int) -> PackedCells:
    """The kernel's layout: one bit per cell bit and row, 64 rows to a word, eight columns side by side."""
    slices, inputs, outputs = cells.levels.shape
    blocks = -(-inputs // cells.rows)
    groups = -(-outputs // COLUMNS)
    words = 1 << (-(-cells.rows // WORD) - 1).bit_length()
    bits = np.zeros((groups, blocks, slices, cell_bits, words, COLUMNS), np.uint64)
    padded = np.zeros((slices, words * WORD, groups * COLUMNS), np.uint8)
    for block in range(blocks):
        levels = cells.levels[:, block * cells.rows : (block + 1) * cells.rows]
        padded[:, : levels.shape[1], :outputs] = levels
        padded[:, levels.shape[1] :] = 0
        for bit in range(cell_bits):
            octets = np.packbits((padded >> bit) & 1, axis=1, bitorder="little")  # [slices, words * 8, columns]
            octets = octets.reshape(slices, words, 8, groups, COLUMNS).transpose(3, 0, 1, 4, 2)
            bits[:, block, :, bit] = np.ascontiguousarray(octets).view("<u8")[..., 0]
    signs = np.zeros((slices, blocks, groups * COLUMNS), np.int64)
    signs[:, :, :outputs] = (cells.signs - 1) // 2  # 1 -> 0, -1 -> -1
    gains = np.zeros((blocks, groups * COLUMNS), np.int64)
    gains[:, :outputs] = cells.gains
    return PackedCells(
        bits,
        np.ascontiguousarray(signs.reshape(slices, blocks, groups, COLUMNS).transpose(2, 1, 0, 3)),
        np.ascontiguousarray(gains.reshape(blocks, groups, COLUMNS).transpose(1, 0, 2)),
        cells.shifts,
    )
