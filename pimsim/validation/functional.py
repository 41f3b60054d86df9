"""The numbers that crossbars give, against exact integer products."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from pimsim.crossbar import Arithmetic, ProgrammedMatrix
from pimsim.readout import Encoding
from pimsim.validation.point import Factor, Point

TARGET = "functional product"
SEED, CASES = 12, 24
_BITS = range(3, 10)  # ADC bits at which the error of one 128-row product is taken


def validate() -> tuple[list[Point], list[Factor]]:
    """Exact at the lossless bits, wrong for some input one bit below, error falling with bits."""
    rng = np.random.default_rng(SEED)
    wrong = clipped = outputs = 0
    for _ in range(CASES):
        way, inputs, weight_bits = _random_way(rng)
        weights = rng.integers(-(1 << (weight_bits - 1)) + 1, 1 << (weight_bits - 1), (inputs, 5))
        codes = rng.integers(0, 256, (6, inputs))
        product = ProgrammedMatrix(weights, weight_bits, way).multiply(codes, 8, shortcut=False)
        wrong += int((product != codes @ weights).sum())
        outputs += product.size
        clipped += _loses_one_bit_below(way)
    errors = mean_errors()
    rises = sum(later > one for one, later in pairwise(errors))
    return [
        Point(TARGET, f"wrong of {outputs} outputs at lossless bits", "arithmetic", 0.0, float(wrong)),
        Point(TARGET, f"of {CASES} crossbars, those wrong for some input one bit below", "arithmetic", float(CASES),
              float(clipped)),
        Point(TARGET, f"mean error at 9 bits over that at {_BITS[0]}", "arithmetic", 0.0, errors[-1] / errors[0]),
        Point(TARGET, "bits at which one more raises the mean error", "arithmetic", 0.0, float(rises)),
    ], []


def _random_way(rng: np.random.Generator) -> tuple[Arithmetic, int, int]:
    """A crossbar with its lossless ADC, a number of inputs, and bits of weights that fill its cells."""
    encoding: Encoding = "differential" if rng.random() < 0.4 else "offset"
    rows, cell_bits, dac_bits = int(rng.integers(2, 200)), int(rng.integers(1, 5)), int(rng.integers(1, 5))
    flip = encoding == "offset" and bool(rng.random() < 0.5)
    way = Arithmetic(rows, cell_bits, dac_bits, adc_bits=30, flip=flip, encoding=encoding)
    way = replace(way, adc_bits=way.lossless_adc_bits)
    return way, int(rng.integers(1, 3 * rows)), int(rng.integers(2, 9))


def _loses_one_bit_below(way: Arithmetic) -> bool:
    """Whether the fullest column and input that there are come out wrong with one ADC bit less."""
    bits = 2 * way.cell_bits + (way.encoding == "differential")  # weights that fill two cells
    full = (1 << (bits - 1)) - 1
    weights = np.full((way.rows, 1), full)
    if way.flip:  # the fullest column that is not stored as its complement: half of the cells
        weights[way.rows // 2:] = -full - 1
    codes = np.full((1, way.rows), (1 << way.dac_bits) - 1)
    if way.adc_bits == 1:
        return True  # nothing is left to convert
    less = ProgrammedMatrix(weights, bits, way).with_converter(adc_bits=way.adc_bits - 1)
    return bool((less.multiply(codes, way.dac_bits, shortcut=False) != codes @ weights).any())


def mean_errors() -> list[float]:
    """Mean absolute error of a random product of 128 rows at each of `_BITS`, the last of which are lossless."""
    rng = np.random.default_rng(SEED)
    weights, codes = rng.integers(-128, 128, (256, 16)), rng.integers(0, 256, (32, 256))
    matrix = ProgrammedMatrix(weights, 8, Arithmetic(128, 2, 1, adc_bits=9, flip=False))
    exact = codes @ weights
    return [float(np.abs(matrix.with_converter(adc_bits=bits).multiply(codes, 8, shortcut=False) - exact).mean())
            for bits in _BITS]
