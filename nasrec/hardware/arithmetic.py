"""The numbers that a chip's crossbars compute, for the layers of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec.arch import ChipChoice
from nasrec.hardware.chip import chip_of
from pimsim.crossbar import Arithmetic, ProgrammedMatrix, calibrate_step

CALIBRATION_VECTORS = 64  # input vectors on which a matrix's ADC step is chosen


class CrossbarArithmetic:
    """Programs weight matrices on the crossbars of one chip; see `nasrec.model.arithmetic.Arithmetic`."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        """Keep the settings of the chip's readout."""
        self.arithmetic = arithmetic

    def program(
        self,
        weight_codes: NDArray[Any],
        weight_bits: int,
        sample_codes: NDArray[Any],
        input_bits: int,
    ) -> ProgrammedMatrix:
        """Program `weight_codes` [inputs, outputs]; the ADC's step suits `sample_codes` [vectors, inputs]."""
        matrix = ProgrammedMatrix(weight_codes, weight_bits, self.arithmetic)
        if matrix.lossless:
            return matrix
        spread = np.linspace(0, len(sample_codes) - 1, min(len(sample_codes), CALIBRATION_VECTORS)).astype(np.int64)
        return matrix.with_converter(adc_step=calibrate_step(matrix, sample_codes[spread], input_bits))


def arithmetic_of(choice: ChipChoice) -> CrossbarArithmetic:
    """The arithmetic of the chip that `choice` describes."""
    return CrossbarArithmetic(Arithmetic(**chip_of(choice).arithmetic_options()))
