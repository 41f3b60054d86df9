"""Gaussian noise of conversions, drawn by counting: the same numbers as csrc/crossbar_noise.h, which has the method.

What a conversion gets depends on the seed and on its place alone: vector, block, slice, phase and column. One draw is
z = 256 (T0[a & 15] + T1[a >> 4] + T2[b & 15] + T3[b >> 4]) + a - 127.5, with a and b bytes of a hash: 2^16 equally
likely values whose distribution function is within 0.0007 of a Gaussian's; kurtosis 3.001, largest value 4.2 sigma.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TABLES = np.array(
    [
        [-17, 6, 15, -10, -7, -13, 1, -29, 29, -1, 13, 7, 10, -15, -6, 17],
        [-13, -12, -10, 37, -4, 16, -5, -2, 2, 5, -16, 4, -37, 10, 12, 13],
        [-6, 1, -1, 5, 30, 9, -3, -2, 2, 3, -9, -30, -5, 1, -1, 6],
        [14, -1, 5, -27, 21, -18, 8, -12, 12, -8, 18, -21, 27, -5, 1, -14],
    ]
)
MEAN = 127.5  # of z before it is taken off
SIGMA = 7453.417286721575  # of z
LARGEST_SIGMA = 3700.0  # in units of column sums: what the factor of 15 bits can express
_MOST_SHIFT = 14
_BYTES = np.arange(256)
_LOW = 256 * (TABLES[0][_BYTES & 15] + TABLES[1][_BYTES >> 4]) + _BYTES
_HIGH = 256 * (TABLES[2][_BYTES & 15] + TABLES[3][_BYTES >> 4])


@dataclass(frozen=True)
class NoiseScale:
    """Draws to whole numbers in units of column sums: `(((z * factor) >> 16) + half) >> shift`."""

    factor: int
    half: int
    shift: int

    @classmethod
    def of(cls, sigma: float, divisor: int) -> NoiseScale:
        """For noise of `sigma` units before a division by `divisor` that rounds half up.

        Rounded where the divisor is odd, rounded down where it is even: adding divisor // 2 to a whole number then
        divides as adding divisor / 2 to the real one would.
        """
        shift = _MOST_SHIFT
        while shift > 0 and round(sigma * 65536 * (1 << shift) / SIGMA) > 32767:
            shift -= 1
        factor = round(sigma * 65536 * (1 << shift) / SIGMA)
        rounding = 0.5 if divisor % 2 else 0.0
        half = round((1 << shift) * rounding - MEAN * factor / 65536 + 0.5)  # 0.5: what >> 16 takes off on average
        return cls(factor, half, shift)

    def values(self, z: NDArray[np.int64]) -> NDArray[np.int64]:
        """The noise of draws `z`."""
        return (((z * self.factor) >> 16) + self.half) >> self.shift

    @property
    def largest(self) -> int:
        """What no noise exceeds in magnitude."""
        return int(np.abs(self.values(np.array([-32768, 32767]))).max())


def draws(
    seed: int, vectors: NDArray[np.int64], columns: int, *, block: int, slices: int, index: int, phase: int
) -> NDArray[np.int64]:
    """z (with its mean) for vectors numbered `vectors` and the first `columns` columns: `[vectors, columns]`."""
    numbers = np.arange(columns, dtype=np.uint64)
    place = np.uint64((block * slices + index) << 32)
    keys = _mix64(_mix64(np.array([seed], np.uint64)) ^ place ^ numbers)
    counts = (vectors >> 2).astype(np.uint32) * np.uint32(0x9E3779B1) + np.uint32(phase * 0x85EBCA77 & 0xFFFFFFFF)
    x = counts[:, None] ^ keys.astype(np.uint32)[None]
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD)
    x = (x ^ (x >> np.uint32(15))) + (keys >> np.uint64(32)).astype(np.uint32)[None]
    shift = ((vectors & 3) * 8).astype(np.uint32)[:, None]
    octets = []
    for factor in (0xD35A2D97, 0x735A2D95):
        word = x * np.uint32(factor)
        octets.append(((word ^ (word >> np.uint32(15))) >> shift & np.uint32(255)).astype(np.int64))
    return np.asarray(_LOW[octets[0]] + _HIGH[octets[1]], np.int64)


def _mix64(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
