"""Cells that hold something else than they were asked to: variation, stuck cells, and what that does to products."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from pimsim.crossbar import Arithmetic, ProgrammedMatrix
from pimsim.crossbar_devices import Devices
from pimsim.errors import InputError

WAY = Arithmetic(128, 2, 1, 9, flip=False)


def levels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (4, 300, 250)).astype(np.uint16)


def test_levels_have_the_sigma_that_was_asked_for() -> None:
    asked, sigma = levels(), (0.0, 0.1, 0.2, 0.3)
    held, bits = Devices(sigma).program(asked, 2, seed=1)
    assert bits == 6 and held.dtype == np.uint16
    for level in range(4):
        error = held[asked == level] / 64 - level
        assert error.mean() == pytest.approx(0, abs=0.004)
        assert error.std() == pytest.approx(sigma[level], rel=0.02, abs=0.001)


def test_the_seed_decides() -> None:
    asked, devices = levels(), Devices(0.2, 0.01, 0.02)
    first, _ = devices.program(asked, 2, seed=1)
    np.testing.assert_array_equal(devices.program(asked, 2, seed=1)[0], first)
    assert (devices.program(asked, 2, seed=2)[0] != first).mean() > 0.9
    assert int(first.max()) < 5 << 6, "three levels and ten sigmas; what is below zero would wrap around"


def test_no_cell_holds_less_than_nothing() -> None:
    """Half of the cells at level 0 would: 0.2 N(0, 1) in units of 1/64 rounds to 0 or below with P(N < 0.5 / 12.8)."""
    asked = levels()
    held, _ = Devices(0.2).program(asked, 2, seed=1)
    assert (held[asked == 0] == 0).mean() == pytest.approx(NormalDist().cdf(0.5 / 12.8), abs=0.01)
    assert int(held[asked == 0].max()) < 64 + 32 and int(held.max()) < 5 << 6


def test_stuck_cells() -> None:
    asked = np.ones((4, 300, 250), np.uint16)
    held, bits = Devices(stuck_low=0.1, stuck_high=0.3).program(asked, 2, seed=1)
    assert bits == 0
    assert [(held == level).mean().round(2) for level in range(4)] == [0.1, 0.6, 0.0, 0.3]
    mask = np.full(asked.shape, -1)
    mask[0, 0, :2] = 0, 1
    held, bits = Devices(sigma=0.1).program(asked, 2, seed=1, stuck=mask)
    assert held[0, 0, :2].tolist() == [0, 3 << bits]


def test_stuck_cells_by_hand() -> None:
    """w = -3 in 4 bits is stored as 5 = (1, 1); its upper cell stuck at 3 makes it 13 - 8 = 5."""
    stuck = np.array([-1, 1]).reshape(2, 1, 1)
    matrix = ProgrammedMatrix(np.array([[-3]]), 4, Arithmetic(1, 2, 1, 8, flip=False), stuck=stuck)
    for implementation in ("kernel", "count", "lookup", "reference"):
        assert matrix.multiply(np.array([[7]]), 3, implementation=implementation).item() == 35
    assert not matrix.lossless
    free = ProgrammedMatrix(np.array([[-3]]), 4, Arithmetic(1, 2, 1, 8, flip=False), stuck=np.full((2, 1, 1), -1))
    assert free.multiply(np.array([[7]]), 3).item() == -21


@pytest.mark.parametrize("fraction_bits", [3, 6, 8])
def test_products_against_real_levels(fraction_bits: int) -> None:
    """Unrounded levels in float64, converters that lose next to nothing: the error stays in the stated bound."""
    rng = np.random.default_rng(4)
    weights, codes = rng.integers(-128, 128, (256, 30)), rng.integers(0, 256, (20, 256))
    devices = Devices(0.15, fraction_bits=fraction_bits)
    matrix = ProgrammedMatrix(weights, 8, WAY, devices=devices, seed=8)
    asked = ProgrammedMatrix(weights, 8, WAY).cells.levels
    stream = np.random.Generator(np.random.Philox(key=np.array([8, 0], np.uint64)))
    drawn = stream.standard_normal(asked.shape, np.float32)
    real = np.maximum(asked + 0.15 * drawn.astype(np.float64), 0)
    stored = (real * 4.0 ** np.arange(4)[:, None, None]).sum(0) - 128  # without converters: the product is linear
    got = matrix.multiply(codes, 8, shortcut=False)
    # Each of 4 slices, 2 blocks and 8 phases: half a step of the converter, and half a unit for each of 128 cells.
    weight = 85 * 255 * 2
    worst = (0.5 + 128 * 2.0 ** -(fraction_bits + 1)) * weight
    error = np.abs(got - codes @ stored)
    assert error.max() < worst
    typical = np.sqrt(128 / 12 * 4.0**-fraction_bits / 2 + 1 / 12) * np.sqrt(273 * 16 * 21845 * 2 / 3)
    assert error.std() < 3 * typical


def test_fractions_leave_an_ideal_cell_ideal() -> None:
    """Sigma 1e-9 rounds to the level itself: fractions, yet the numbers of whole levels, for any step and offset."""
    rng = np.random.default_rng(4)
    weights, codes = rng.integers(-128, 128, (300, 17)), rng.integers(0, 256, (70, 300))
    for step, offset in ((1, 0), (3, 0), (2, 5), (4, -2)):
        way = Arithmetic(128, 2, 1, 6, adc_step=step, adc_offset=offset)
        matrix = ProgrammedMatrix(weights, 8, way, devices=Devices(1e-9))
        assert matrix.cells.fraction_bits == 6
        np.testing.assert_array_equal(
            matrix.multiply(codes, 8), ProgrammedMatrix(weights, 8, way).multiply(codes, 8, shortcut=False)
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": -0.1}, "devices.sigma: -0.1"),
        ({"sigma": (0.1, float("nan"))}, "devices.sigma"),
        ({"stuck_low": 1.1}, "devices.stuck_low: 1.1, allowed: a probability"),
        ({"stuck_low": 0.6, "stuck_high": 0.6}, "devices.stuck_low: 0.6, allowed: up to"),
        ({"fraction_bits": 9}, "devices.fraction_bits: 9"),
    ],
)
def test_bad_devices_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Devices(**change)


def test_what_does_not_fit_the_cells_is_refused() -> None:
    weights = np.ones((4, 3), np.int64)
    with pytest.raises(InputError, match=r"devices.sigma: 2 values, allowed: 4, one per level"):
        ProgrammedMatrix(weights, 8, WAY, devices=Devices((0.1, 0.2)))
    with pytest.raises(InputError, match=r"stuck: shape \(4, 3\), allowed: -1, 0 and 1, of shape \(4, 4, 3\)"):
        ProgrammedMatrix(weights, 8, WAY, stuck=weights)
    with pytest.raises(InputError, match=r"arithmetic.adc_step: 1073741824, allowed with 6 fraction bits: to 16777216"):
        ProgrammedMatrix(weights, 8, WAY, devices=Devices(0.1)).with_converter(adc_step=1 << 30)
    with pytest.raises(InputError, match="seed: -1"):
        ProgrammedMatrix(weights, 8, WAY, devices=Devices(0.1), seed=-1)
