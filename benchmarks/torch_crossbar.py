"""Crossbar products as torch computes them: one matrix product for all phases, per block of rows and slice of weights.

Several were tried (one bmm for all, all slices side by side, torch.ops.quantized.linear); these are the fastest of
their kinds. int8 uses `torch._int_mm`, which torch doesn't document but a user could call.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.timing import Work
from pimsim.crossbar import Arithmetic

BITS = 8
COLUMNS = 256  # at a time, so that the sums stay in the second cache
Product = Callable[[Tensor, Tensor, Tensor], Tensor]  # phases' bits, cells, a place for the result


def _float_product(bits: Tensor, cells: Tensor, out: Tensor) -> Tensor:
    return torch.mm(bits, cells, out=out)


def _int8_product(bits: Tensor, cells: Tensor, out: Tensor) -> Tensor:
    return torch._int_mm(bits, cells, out=out)


# kind of the operands, kind of the sums, product
KINDS: dict[str, tuple[torch.dtype, torch.dtype, Product]] = {
    "float32": (torch.float32, torch.float32, _float_product),
    "bfloat16": (torch.bfloat16, torch.bfloat16, _float_product),  # sums up to 256 are exact: for a top below that
    "int8": (torch.int8, torch.int32, _int8_product),
}


def offset_levels(weights: NDArray[np.integer], cell_bits: int) -> NDArray[np.float32]:
    """What the cells hold: weights + 128 in slices of `cell_bits`, `[slices, inputs, outputs]`."""
    shifts = np.arange(0, BITS, cell_bits)[:, None, None]
    return (((weights[None] + (1 << (BITS - 1))) >> shifts) & ((1 << cell_bits) - 1)).astype(np.float32)


class TorchCrossbar:
    """Offset cells, 8-bit weights and inputs, 1 bit of the input a phase, converters that clip.

    `change` is what happens to the sums of a block and slice before they are clipped: noise, rounding.
    `cells` replaces the cells' levels `[slices, inputs, outputs]`, for devices that vary.
    """

    def __init__(
        self,
        weights: NDArray[np.integer],
        way: Arithmetic,
        kind: str,
        change: Callable[[Tensor], Tensor] | None = None,
        cells: NDArray[np.floating] | None = None,
    ) -> None:
        """Lay the cells out for the products."""
        levels = torch.from_numpy(offset_levels(weights, way.cell_bits) if cells is None else cells)
        self.way, self.kind, self.change = way, kind, change
        self.operand, self.sum, self.product = KINDS[kind]
        columns = range(0, weights.shape[1], COLUMNS)
        self.blocks = [
            [[levels[s, k : k + way.rows, c : c + COLUMNS].to(self.operand).contiguous()
              for k in range(0, len(weights), way.rows)] for s in range(len(levels))] for c in columns
        ]  # fmt: skip
        self.phases = torch.arange(BITS, dtype=torch.uint8)
        self.outputs = weights.shape[1]

    def multiply(self, codes: Tensor) -> Tensor:
        """`codes` uint8 `[vectors, inputs]` times the weights: exact up to float32."""
        vectors, inputs = codes.shape
        bits = ((codes[None] >> self.phases[:, None, None]) & 1).to(self.operand).reshape(BITS * vectors, inputs)
        parts = [part.contiguous() for part in bits.split(self.way.rows, 1)]
        top = (1 << self.way.adc_bits) - 1
        shifts = 2.0 ** torch.arange(BITS)[None]
        out = torch.empty(vectors, self.outputs)
        for index, slices in enumerate(self.blocks):
            width = slices[0][0].shape[1]
            sums = torch.empty(BITS * vectors, width, dtype=self.sum)
            total = torch.zeros(BITS * vectors, width, dtype=torch.int32 if self.kind == "int8" else torch.float32)
            for number, blocks in enumerate(slices):
                for part, cells in zip(parts, blocks, strict=True):
                    levels = self.product(part, cells, sums)
                    if self.change is not None:
                        levels = self.change(levels)
                    total.add_(levels.clamp_(0, top), alpha=1 << (number * self.way.cell_bits))
            shifted = shifts @ total.view(BITS, -1).float()
            out[:, index * COLUMNS : index * COLUMNS + width] = shifted.view(vectors, width)
        # the offset that the cells carry: half of the range for each input
        return out.sub_((1 << (BITS - 1)) * codes.sum(1, keepdim=True, dtype=torch.float32))


def has_bfloat16_products() -> bool:
    """Whether this machine multiplies bfloat16, and torch has not been told to leave it."""
    return torch.cpu._is_avx512_bf16_supported() and torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def peers(weights: NDArray[np.integer], way: Arithmetic, codes: NDArray[np.integer]) -> dict[str, Work | str]:
    """Every formulation that is exact, as contestants."""
    vectors = torch.from_numpy(codes.astype(np.uint8))
    found: dict[str, Work | str] = {}
    for kind in KINDS:
        if kind == "bfloat16" and not has_bfloat16_products():
            found["torch_bfloat16"] = "torch emulates products in bfloat16 on this machine, a hundred times as slow"
        else:
            crossbar = TorchCrossbar(weights, way, kind)
            found[f"torch_{kind}"] = lambda crossbar=crossbar: crossbar.multiply(vectors)
    return found
