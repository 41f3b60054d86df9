"""Which sample vectors the step of a chip's converters is chosen on."""

from __future__ import annotations

import numpy as np
import pytest

from nasrec.arch import ChipChoice
from nasrec.hardware import arithmetic_of
from pimsim.crossbar import ProgrammedMatrix, calibrate_step

LOSSY, LOSSLESS = (arithmetic_of(ChipChoice(rows=128, cell_bits=2, dac_bits=1, adc_bits=bits)) for bits in (5, 8))


@pytest.mark.parametrize(("vectors", "numbers"), [(64, range(64)), (40, range(40)), (190, range(0, 190, 3))])
def test_a_step_suits_vectors_from_all_of_the_sample(vectors: int, numbers: range) -> None:
    """At most 64, the first and the last among them: of 190 every third. The first half of them tells nothing."""
    rng = np.random.default_rng(0)
    weights, codes = rng.integers(-128, 128, (128, 8)), rng.integers(0, 256, (vectors, 128))
    codes[: vectors // 2] = 0
    codes[-2] = 0
    matrix = ProgrammedMatrix(weights, 8, LOSSY.arithmetic)
    expected = calibrate_step(matrix, codes[list(numbers)], 8)
    assert expected > calibrate_step(matrix, codes[: vectors // 2], 8) == 1
    assert LOSSY.program(weights, 8, codes, 8).arithmetic.adc_step == expected
    assert LOSSLESS.program(weights, 8, codes, 8).arithmetic.adc_step == 1


def test_every_vector_of_the_spread_counts() -> None:
    """One vector that tells something among zeros: it is used where it is one of the 64, and only there."""
    rng = np.random.default_rng(1)
    weights, full = rng.integers(-128, 128, (128, 8)), rng.integers(0, 256, 128)
    for place in (0, 3, 96, 186, 189, 1, 94, 188):
        codes = np.zeros((190, 128), np.int64)
        codes[place] = full
        assert (LOSSY.program(weights, 8, codes, 8).arithmetic.adc_step > 1) == (place % 3 == 0)
