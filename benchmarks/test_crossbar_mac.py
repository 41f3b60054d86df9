"""The crossbar product beside its best torch formulation: float32 products block by block and slice by slice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pimsim.crossbar import Arithmetic, ProgrammedMatrix
from pimsim.crossbar_cells import offset_cells

BITS = 8
SHAPES = {"1024x1024": (1024, 1024, 64), "batch 1": (1024, 1024, 1), "small layer": (416, 64, 512)}


class TorchCrossbar:
    """Offset cells of 2 bits, 1-bit inputs, clipping converters: all phases of all vectors in one product."""

    def __init__(self, weights: np.ndarray, way: Arithmetic) -> None:
        cells = offset_cells(weights, BITS, way.cell_bits, way.rows, way.flip)
        self.way = way
        self.levels = torch.from_numpy(cells.levels.astype(np.float32))
        self.signs = torch.from_numpy(cells.signs.astype(np.float32))
        self.gains = torch.from_numpy(cells.gains.astype(np.float32))
        self.phases = torch.arange(BITS)

    def multiply(self, codes: torch.Tensor) -> torch.Tensor:
        """The product in float32: right to its rounding."""
        vectors, inputs = codes.shape
        bits = ((codes[None] >> self.phases[:, None, None]) & 1).float().reshape(BITS * vectors, inputs)
        top = float((1 << self.way.adc_bits) - 1)
        out = torch.zeros(vectors, self.levels.shape[2])
        weights = (2.0**self.phases)[:, None, None]
        for block, first in enumerate(range(0, inputs, self.way.rows)):
            rows = slice(first, first + self.way.rows)
            for index in range(len(self.levels)):
                levels = (bits[:, rows] @ self.levels[index, rows]).clamp_(max=top)
                slice_sum = (levels.view(BITS, vectors, -1) * weights).sum(0)
                out += slice_sum * self.signs[index, block] * float(1 << (index * self.way.cell_bits))
            out += codes[:, rows].sum(1, keepdim=True).float() * self.gains[block]
        return out


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.benchmark(group="crossbar_mac")
def test_clipping_converter(beside, benchmark, shape: str) -> None:
    """8-bit offset weights, 128 rows, 2-bit cells, 1-bit inputs, 7-bit ADC that clips at 127."""
    inputs, outputs, vectors = SHAPES[shape]
    rng = np.random.default_rng(0)
    weights, codes = rng.integers(-128, 128, (inputs, outputs)), rng.integers(0, 256, (vectors, inputs))
    way = Arithmetic(128, 2, 1, 7, flip=False)
    matrix, peer = ProgrammedMatrix(weights, BITS, way), TorchCrossbar(weights, way)
    tensor, exact = torch.from_numpy(codes), torch.from_numpy(weights).float()

    def ours() -> np.ndarray:
        return matrix.multiply(codes, BITS, shortcut=False)

    np.testing.assert_allclose(ours(), peer.multiply(tensor).numpy(), rtol=1e-4)
    beside(ours, {"torch": lambda: peer.multiply(tensor), "exact_product": lambda: tensor.float() @ exact})
    if not benchmark.disabled:
        macs = inputs * outputs * vectors * BITS * BITS // way.cell_bits
        benchmark.extra_info["gmacs_1x2_bit"] = round(macs / benchmark.extra_info["ours_ms"] / 1e6)


@pytest.mark.parametrize("adc_step", [1, 6])
@pytest.mark.benchmark(group="crossbar_mac with flip encoding")
def test_rounding_converter(beside, adc_step: int) -> None:
    """6-bit ADC with and without rounding."""
    rng = np.random.default_rng(0)
    matrix = ProgrammedMatrix(rng.integers(-128, 128, (1024, 256)), BITS, Arithmetic(128, 2, 1, 6, adc_step))
    codes = rng.integers(0, 256, (64, 1024))
    beside(lambda: matrix.multiply(codes, BITS, shortcut=False), {})
