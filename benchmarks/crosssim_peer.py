"""CrossSim 3.2 set up to compute what the crossbar product does: a peer that needs its checkout, see `CROSSSIM`.

`CROSSSIM` in the environment is the folder that holds CrossSim's package `simulator`; CrossSim is not on PyPI.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np


def crosssim_folder() -> Path | None:
    """The checkout named by `CROSSSIM`, None where there is none."""
    folder = os.environ.get("CROSSSIM", "")
    return Path(folder) if folder and (Path(folder) / "simulator" / "__init__.py").is_file() else None


class CrossSimCrossbar:
    """Bit-sliced offset weights, 1-bit inputs, and an ADC conversion per slice and input bit.

    `rows` of the matrix to an array, all columns in one array (CrossSim is slower with narrower ones). The converter
    clips at 2^adc_bits - 1 cell levels with a step of one level, as `Arithmetic(rows, cell_bits, 1, adc_bits)` without
    flip encoding does. CrossSim rounds and clips in float32 and stores the lowest level as no current (infinite on/off
    ratio). It multiplies one matrix of all vectors by all cells of a slice, phase by phase, with NumPy.
    """

    def __init__(
        self, weights: np.ndarray, *, rows: int = 128, weight_bits: int = 8, input_bits: int = 8, cell_bits: int = 2,
        adc_bits: int = 7,
    ) -> None:  # fmt: skip
        """Program `weights` [inputs, outputs], whole numbers of `weight_bits`."""
        folder = crosssim_folder()
        if folder is None:
            raise RuntimeError("CROSSSIM names no folder that holds CrossSim's package simulator")
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        from simulator import AnalogCore, CrossSimParameters

        slices = weight_bits // cell_bits
        levels = 1 << cell_bits
        params: Any = CrossSimParameters()
        params.simulation.useGPU = False
        params.simulation.disable_fast_balanced = True
        params.core.style = "BITSLICED"
        params.core.bit_sliced.style = "OFFSET"
        params.core.bit_sliced.num_slices = slices
        params.core.weight_bits = weight_bits
        params.core.rows_max = rows
        params.core.cols_max = max(weights.shape)
        params.core.mapping.weights.percentile = None
        top = float((1 << (weight_bits - 1)) - 1)  # a weight w is then stored as w + 2^(weight_bits - 1), -2^... as 0
        params.core.mapping.weights.min = -top
        params.core.mapping.weights.max = top
        params.core.mapping.inputs.mvm.min = 0.0
        params.core.mapping.inputs.mvm.max = float((1 << input_bits) - 1)
        params.xbar.device.cell_bits = cell_bits
        params.xbar.device.Rmin = 1000.0
        params.xbar.device.Rmax = 1e9
        params.xbar.device.infinite_on_off_ratio = True
        params.xbar.dac.mvm.model = "QuantizerDAC"
        params.xbar.dac.mvm.bits = input_bits
        params.xbar.dac.mvm.signed = False
        params.xbar.dac.mvm.input_bitslicing = True
        params.xbar.dac.mvm.slice_size = 1
        params.xbar.adc.mvm.model = "QuantizerADC"
        params.xbar.adc.mvm.bits = adc_bits
        params.xbar.adc.mvm.signed = False
        params.xbar.adc.mvm.adc_per_ibit = True
        params.xbar.adc.mvm.adc_range_option = "CALIBRATED"
        # A current of 1 is the highest level of one cell.
        highest = ((1 << adc_bits) - 1) / (levels - 1)
        params.xbar.adc.mvm.calibrated_range = np.array([[0.0, highest]] * slices, np.float32)
        self.params = params
        self.core = AnalogCore(weights.T.astype(np.float32), params=params)

    def multiply(self, codes: np.ndarray) -> np.ndarray:
        """The product of `codes` [vectors, inputs] with the matrix, in CrossSim's float32: [vectors, outputs]."""
        return np.asarray(self.core.matmat(codes.T.astype(np.float32))).T
