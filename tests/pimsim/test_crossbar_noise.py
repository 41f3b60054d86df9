"""Noise of conversions: Gaussian, the same for any sharing out of the work, and where the definition puts it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from pimsim.crossbar import Arithmetic, ProgrammedMatrix
from pimsim.crossbar_noise import MEAN, SIGMA, TABLES, NoiseScale, draws
from pimsim.errors import InputError


def sample(seed: int = 3, phase: int = 0, block: int = 0, index: int = 0) -> np.ndarray:
    """1,048,576 draws in units of sigma: [vectors, columns]."""
    return (draws(seed, np.arange(2048), 512, block=block, slices=4, index=index, phase=phase) - MEAN) / SIGMA


def test_draws_are_gaussian() -> None:
    z = sample().ravel()
    root = 1 / np.sqrt(z.size)  # one standard error of the mean; 1 / sqrt(2) of it for sigma, sqrt(24) for kurtosis
    assert abs(z.mean()) < 4 * root
    assert abs(z.std() - 1) < 4 * root
    assert abs((z**3).mean()) < 4 * np.sqrt(15) * root
    assert abs((z**4).mean() - 3) < 0.03
    ordered = np.sort(z)
    distance = np.abs(ndtr(ordered) - (np.arange(z.size) + 0.5) / z.size).max()
    assert distance < 0.0007 + 1.63 * root  # the method's own, and what 1 % of samples exceed (Kolmogorov)
    for bound in (2.0, 3.0, 3.5):
        expected = 2 * ndtr(-bound) * z.size
        assert abs((np.abs(z) > bound).sum() - expected) < 0.1 * expected + 4 * np.sqrt(expected)
    assert 20 < (np.abs(z) > 4).sum() < 130 and 4.15 < np.abs(z).max() < 4.3  # 66 expected


def test_the_distribution_is_as_said() -> None:
    """All 2^16 values that the method can give, each equally likely."""
    octets = np.arange(256)
    low = 256 * (TABLES[0][octets & 15] + TABLES[1][octets >> 4]) + octets
    high = 256 * (TABLES[2][octets & 15] + TABLES[3][octets >> 4])
    z = (low[:, None] + high[None]).ravel() - MEAN
    assert z.mean() == 0
    np.testing.assert_array_equal(np.sort(z), np.sort(-z))
    assert z.std() == pytest.approx(SIGMA, rel=1e-9)
    assert (z**4).mean() / SIGMA**4 == pytest.approx(3.001, abs=0.001)
    assert np.abs(z).max() < 32768 - MEAN


@pytest.mark.parametrize("other", [{"phase": 1}, {"block": 1}, {"index": 1}, {"seed": 4}])
def test_places_are_independent(other: dict[str, int]) -> None:
    a, b = sample(), sample(**other)
    root = 1 / np.sqrt(a.size)
    assert abs((a * b).mean()) < 4 * root
    assert abs(((a**2 - 1) * (b**2 - 1)).mean()) < 4 * 2 * root


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("lag", [1, 2, 3, 4, 64])
def test_neighbours_are_independent(axis: int, lag: int) -> None:
    z = sample()
    a, b = np.split(z, [lag], axis)[1], np.split(z, [z.shape[axis] - lag], axis)[0]
    root = 1 / np.sqrt(a.size)
    assert abs((a * b).mean()) < 4.5 * root
    assert abs(((a**2 - 1) * (b**2 - 1)).mean()) < 4.5 * 2 * root


@pytest.mark.parametrize("sigma", [0.05, 0.5, 1.7, 30.0, 1000.0])
@pytest.mark.parametrize("divisor", [1, 2, 5])
def test_whole_noise_is_the_real_noise_rounded(sigma: float, divisor: int) -> None:
    """Mean and variance of the whole numbers: rounding adds 1/12, rounding down takes half off."""
    z = sample() * SIGMA + MEAN
    whole = NoiseScale.of(sigma, divisor).values(z.astype(np.int64)).astype(float)
    real = (z - MEAN) / SIGMA * sigma
    exact = np.floor(real + 0.5) if divisor % 2 else np.floor(real)
    assert np.abs(whole - exact).max() <= 1 + sigma / 1000
    assert whole.mean() - exact.mean() == pytest.approx(0, abs=0.01 + sigma / 2000)
    assert whole.std() == pytest.approx(exact.std(), rel=0.01, abs=0.01)


def test_a_batch_in_two_calls() -> None:
    """What a conversion gets depends on the vector's number, not on the call or the batch it came in."""
    rng = np.random.default_rng(1)
    matrix = ProgrammedMatrix(rng.integers(-128, 128, (200, 20)), 8, Arithmetic(128, 2, 1, 7, noise=1.5))
    codes = rng.integers(0, 256, (150, 200))
    whole = matrix.multiply(codes, 8, seed=5)
    parts = [matrix.multiply(codes[a:b], 8, seed=5, first_vector=a) for a, b in ((0, 1), (1, 70), (70, 150))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert (matrix.multiply(codes, 8, seed=6) != whole).mean() > 0.9
    with pytest.raises(InputError, match="seed: None"):
        matrix.multiply(codes, 8)


def test_noise_is_added_before_the_rounding() -> None:
    """One cell of 1 read 20,000 times with sigma 0.4 and step 1: codes 0, 1, 2 as often as a Gaussian says."""
    way = Arithmetic(1, 2, 1, 8, flip=False, noise=0.4)
    matrix = ProgrammedMatrix(np.full((1, 20), -1), 2, way)  # stored as -1 + 2 = 1
    got = matrix.multiply(np.ones((1000, 1), np.int64), 1, seed=9) + 2
    for code, chance in ((0, ndtr(-1.25)), (1, ndtr(1.25) - ndtr(-1.25)), (2, ndtr(-1.25))):
        assert (got == code).mean() == pytest.approx(chance, abs=0.01)
    assert got.mean() == pytest.approx(1, abs=0.015)
