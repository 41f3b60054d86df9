"""Rows of an embedding table as codes of 8 or 4 bits, with a scale and a bias per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasrec.kernels.implementation import Floats

LINE_BYTES = 64  # of a cache line
HUGE_PAGE_BYTES = 2 << 20
GROUP = 16  # codes that the kernel reads at a time: rows are padded to that
SCALE_BIAS_BYTES = 8
LARGEST = 3.4e38  # of a value, and of a row's spread: what float32 holds, less its rounding
ROWS_AT_A_TIME = 4096  # while quantising, so that the float64 copy stays small


@dataclass(frozen=True, eq=False)
class QuantizedRows:
    """An embedding table as `quantize_rows` makes it: value = scale * code + bias, rounded to float32 twice.

    `bits`: 8 or 4. `dim`: values per row. `codes` uint8 `[rows, bytes]`, with 4 bits two codes a byte, the first in
    the low half; rows are padded to 16 codes. `scale_bias` float32 `[rows, 2]`. Where a row's codes, scale and bias fit
    into one cache line together they lie in it, `codes` and `scale_bias` being views of the same memory; otherwise the
    codes stand alone, so that rows of 64 codes of 8 bits are a cache line each, beside an array of scales and biases.
    """

    bits: Literal[8, 4]
    dim: int
    codes: NDArray[np.uint8]
    scale_bias: NDArray[np.float32]

    @property
    def scale(self) -> NDArray[np.float32]:
        """The step between codes: float32 `[rows]`."""
        return self.scale_bias[:, 0]

    @property
    def bias(self) -> NDArray[np.float32]:
        """The value of code 0: float32 `[rows]`."""
        return self.scale_bias[:, 1]

    def __len__(self) -> int:
        return len(self.codes)

    def dequantize(self) -> NDArray[np.float32]:
        """The values: float32 `[rows, dim]`."""
        codes = self.codes if self.bits == 8 else _halves(self.codes)
        return self.scale[:, None] * codes[:, : self.dim].astype(np.float32) + self.bias[:, None]


def quantize_rows(table: Floats, bits: int) -> QuantizedRows:
    """Round each row of `table` `[rows, dim]` to 2^bits evenly spaced values from its smallest to its largest.

    `bits`: 8 or 4. bias = the row's minimum, scale = (maximum - minimum) / (2^bits - 1), or 1 where all values of a row
    are equal. No value moves by more than scale / 2 and the rounding of float32. ValueError for other bits, another
    number of dimensions, a row with a value that is not finite or with a spread beyond float32. Row-wise quantisation:
    Guan et al., "Post-training 4-bit quantization on embedding tables", arXiv 1911.02079.
    """
    if bits not in (8, 4):
        raise ValueError(f"bits: {bits!r}, allowed: 8 or 4")
    if table.ndim != 2:
        raise ValueError(f"table: shape {table.shape}, expected 2 dimensions")
    rows, dim = table.shape
    result = _allocate(rows, dim, 8 if bits == 8 else 4)
    largest = (1 << bits) - 1
    for start in range(0, rows, ROWS_AT_A_TIME) if dim else ():
        values = table[start : start + ROWS_AT_A_TIME].astype(np.float64)
        finite = np.isfinite(values).all(1)
        if not finite.all():
            raise ValueError(f"table: row {start + int(finite.argmin())} has a value that is not finite")
        fits = np.maximum(np.abs(values).max(1), np.ptp(values, axis=1)) < LARGEST  # so does each code times the scale
        if not fits.all():
            beyond = f"a value, or a difference of two, of {LARGEST:.4g} or more"
            raise ValueError(f"table: row {start + int(fits.argmin())} has {beyond}, too much for float32")
        here = slice(start, start + len(values))
        result.scale_bias[here, 1] = values.min(1)
        spread = (values.max(1) - result.bias[here]) / largest
        result.scale_bias[here, 0] = np.where(spread.astype(np.float32) > 0, spread, 1)
        steps = (values - result.bias[here, None].astype(np.float64)) / result.scale[here, None]
        codes = np.clip(np.rint(steps), 0, largest).astype(np.uint8)
        if bits == 8:
            result.codes[here, :dim] = codes
        else:
            codes = np.pad(codes, ((0, 0), (0, dim % 2)))
            result.codes[here, : codes.shape[1] // 2] = codes[:, ::2] | codes[:, 1::2] << 4
    return result


def _halves(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The 4-bit codes in order: `[rows, 2 * bytes]`."""
    return np.stack([codes & 15, codes >> 4], 2).reshape(len(codes), 2 * codes.shape[1])


def _allocate(rows: int, dim: int, bits: Literal[8, 4]) -> QuantizedRows:
    """Rows of code 0, scale 1 and bias 0, laid out as the class says."""
    width = -(-dim // GROUP) * GROUP * bits // 8
    both = width + SCALE_BIAS_BYTES
    if both <= LINE_BYTES:
        stride = 1 << (both - 1).bit_length()  # a power of two: no row crosses a line
        memory = _aligned(rows * stride).reshape(rows, stride)
        codes, beside = memory[:, :width], memory[:, width:both].view(np.float32)
    else:
        memory = _aligned(rows * both)  # one allocation, so that both can lie in huge pages
        codes = memory[: rows * width].reshape(rows, width)
        beside = memory[rows * width :].reshape(rows, SCALE_BIAS_BYTES).view(np.float32)
    beside[:] = (1, 0)
    return QuantizedRows(bits, dim, codes, beside)


def _aligned(count: int) -> NDArray[np.uint8]:
    """Zeros that begin with a cache line and, where they fill several, with a huge page.

    NumPy asks for huge pages for np.empty, and not for np.zeros; the system gives them to whole ones.
    """
    unit = HUGE_PAGE_BYTES if count >= 2 * HUGE_PAGE_BYTES else LINE_BYTES
    memory = np.empty(count + unit, np.uint8)
    skip = -memory.ctypes.data % unit
    zeros = memory[skip : skip + count]
    zeros[:] = 0
    return zeros
