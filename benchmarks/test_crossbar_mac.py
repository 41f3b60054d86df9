"""The crossbar product beside torch's formulations of it, CrossSim, and the bare loop of table look-ups.

8-bit offset weights in four cells of 2 bits, 8-bit inputs a bit at a time, 128 rows read at once, a 7-bit converter of
step 1: it clips at 127, which 0.7 % of the column sums of uniform data exceed. A call is everything, from codes to
int64; the shortcut for columns that cannot clip is off.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import limits, torch_crossbar
from benchmarks.crosssim_peer import CrossSimCrossbar, crosssim_folder
from benchmarks.timing import Work
from benchmarks.torch_crossbar import BITS, TorchCrossbar
from nasrec import kernels
from pimsim.crossbar import Arithmetic, ProgrammedMatrix

SHAPES = {"1024x1024": (1024, 1024), "416x64": (416, 64)}
CELL_BITS = 2
WAY = Arithmetic(128, CELL_BITS, 1, 7, flip=False)
BATCHES = [("1024x1024", 64), ("1024x1024", 1), ("416x64", 512)]


@lru_cache(maxsize=1)
def some(shape: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniform weights and codes; CrossSim cannot store -128."""
    rng, (inputs, outputs) = np.random.default_rng(0), SHAPES[shape]
    return rng.integers(-127, 128, (inputs, outputs)), rng.integers(0, 256, (batch, inputs))


def work(shape: str, batch: int, threads: int) -> dict[str, Any]:
    """The MACs of 1 bit by 2 bits, reading all cells once, and for 64 vectors the bare loop of as many look-ups."""
    inputs, outputs = SHAPES[shape]
    slices = BITS // CELL_BITS
    more: dict[str, Any] = {"macs": inputs * outputs * slices * BITS * batch}
    cells = np.zeros(inputs * outputs * slices * CELL_BITS // 8, np.uint8)
    more["moved"] = cells.nbytes + batch * (inputs + 8 * outputs)
    more["bare"] = {"memory": limits.pass_over(cells, 8 * batch * outputs, threads)}
    if batch == 64:
        more["bare"]["look-ups"] = limits.look_up(kernels.isa(), inputs, outputs * slices, threads)
    return more


def crosssim(weights: np.ndarray, codes: np.ndarray) -> Work | str:
    """CrossSim in an equivalent configuration; the reason where it is absent."""
    if crosssim_folder() is None:
        return "CROSSSIM names no checkout of CrossSim 3.2 (github.com/sandialabs/cross-sim)"
    crossbar = CrossSimCrossbar(weights, rows=WAY.rows, cell_bits=WAY.cell_bits, adc_bits=WAY.adc_bits)
    return lambda: crossbar.multiply(codes)


def params(devices: str, shape: str, batch: int) -> dict[str, str | int]:
    return {"devices": devices, "shape": shape, "batch": batch}


@pytest.mark.parametrize("shape,batch", BATCHES)
@pytest.mark.benchmark(group="crossbar_mac")
def test_clipping_converter(beside, threads: int, shape: str, batch: int) -> None:
    weights, codes = some(shape, batch)
    matrix = ProgrammedMatrix(weights, BITS, WAY)
    peers = torch_crossbar.peers(weights, WAY, codes)
    if (shape, batch) == ("1024x1024", 64):
        peers["crosssim"] = crosssim(weights, codes)
    more = work(shape, batch, threads)

    def ours() -> np.ndarray:
        return matrix.multiply(codes, BITS, shortcut=False)

    beside("crossbar_mac", params("ideal", shape, batch), ours, peers, agree=1e-5, **more)


@pytest.mark.benchmark(group="crossbar_mac, 6 bits of step 6")
def test_rounding_converter(beside, threads: int) -> None:
    """A step above 1: sums are rounded to the nearest multiple, halves up."""
    weights, codes = some("1024x1024", 64)
    way = Arithmetic(128, CELL_BITS, 1, 6, adc_step=6, flip=False)
    matrix, vectors = ProgrammedMatrix(weights, BITS, way), torch.from_numpy(codes.astype(np.uint8))
    # floor((s + 3) / 6) for whole s: half a unit away from where rounding could go wrong
    crossbar = TorchCrossbar(weights, way, "float32", lambda sums: sums.add_(3.5).div_(6).floor_())
    zero = 128 * codes.sum(1, keepdims=True)

    def theirs() -> torch.Tensor:
        return (crossbar.multiply(vectors) + torch.from_numpy(zero)) * 6 - torch.from_numpy(zero)

    def ours() -> np.ndarray:
        return matrix.multiply(codes, BITS, shortcut=False)

    where = params("ideal", "1024x1024", 64) | {"adc_step": 6}
    beside("crossbar_mac", where, ours, {"torch_float32": theirs}, agree=1e-5, **work("1024x1024", 64, threads))


@pytest.mark.benchmark(group="crossbar_mac with noise")
def test_noise(beside, threads: int) -> None:
    """A Gaussian of one unit for each conversion, beside ourselves without, and torch with its own generator."""
    weights, codes = some("1024x1024", 64)
    way = replace(WAY, noise=1.0)
    noisy, ideal = ProgrammedMatrix(weights, BITS, way), ProgrammedMatrix(weights, BITS, WAY)
    vectors = torch.from_numpy(codes.astype(np.uint8))
    generator, drawn = torch.Generator().manual_seed(0), torch.empty(BITS * 64, torch_crossbar.COLUMNS)

    def noise_and_rounding(sums: torch.Tensor) -> torch.Tensor:
        return sums.add_(drawn.normal_(generator=generator)).round_()

    crossbar = TorchCrossbar(weights, way, "float32", noise_and_rounding)
    peers = {
        "without_noise": lambda: ideal.multiply(codes, BITS, shortcut=False),
        "torch_float32": lambda: crossbar.multiply(vectors),
    }

    def ours() -> np.ndarray:
        return noisy.multiply(codes, BITS, shortcut=False, seed=0)

    def as_noisy() -> None:
        exact = peers["without_noise"]()
        mine, theirs = (np.std(result - exact) for result in (ours(), crossbar.multiply(vectors).numpy()))
        assert mine == pytest.approx(theirs, rel=0.05)

    more = work("1024x1024", 64, threads)
    beside("crossbar_mac", params("noisy", "1024x1024", 64), ours, peers, agree=as_noisy, **more)


@pytest.mark.benchmark(group="crossbar_mac with devices that vary")
def test_variation(beside, threads: int) -> None:
    """Every cell is off by a Gaussian of a tenth of a level; torch multiplies by the very levels that we drew."""
    from pimsim.crossbar_devices import Devices

    weights, codes = some("1024x1024", 64)
    matrix = ProgrammedMatrix(weights, BITS, WAY, devices=Devices(sigma=0.1), seed=0)
    levels = matrix.cells.levels.astype(np.float32) / np.float32(1 << matrix.cells.fraction_bits)
    vectors = torch.from_numpy(codes.astype(np.uint8))
    crossbar = TorchCrossbar(weights, WAY, "float32", lambda sums: sums.add_(0.5).floor_(), levels)

    def ours() -> np.ndarray:
        return matrix.multiply(codes, BITS, shortcut=False)

    peers = {"torch_float32": lambda: crossbar.multiply(vectors)}
    more = work("1024x1024", 64, threads)
    beside("crossbar_mac", params("varied", "1024x1024", 64), ours, peers, agree=1e-5, **more)
