"""ReRAM macros of the literature, each way of using one as a crossbar of the model.

Their papers publish totals, not circuits: one converter, one cell and one read pulse from other sources stand in for
all of them, and only ratios within one macro mean anything. How many input bits a pulse carries and how many rows are
read is an assumption wherever the source says nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pimsim.adc import MOST_ADC_BITS, Adc
from pimsim.cell import Cell
from pimsim.converter import Dac, Driver, SampleHold
from pimsim.digital import Register, ShiftAdd
from pimsim.quantity import FEMTO, MICRO, NANO, Quantity, Table
from pimsim.readout import Pairs, Readout
from pimsim.tile import Crossbar
from pimsim.workload import MatVec

STEP_F = 100 * FEMTO  # F per step: ZigZag-IMC's converter model; its part for a capacitor DAC, 4^bits, left out
STEP_S, STEP_ROW_S = 0.640 * NANO, 0.00653 * NANO  # s per step, and per row: ZigZag-IMC's converter model
PULSE_S = 3.16 * NANO  # s: a read pulse, MNSIM 2.0's figure from a macro of ISSCC'19
ON_A = 5 * MICRO  # A: current of a cell that is on, Yao's macro in ZigZag-IMC's community file
_REST = "none of its own: a macro's digital parts scale with its conversions"


@dataclass(frozen=True)
class Use:
    """One way of using a macro: bits of inputs, weights and converter, rows read at once, input bits in a pulse.

    `accumulation` of pulses as in `Readout`, and of the cells of a weight likewise: analog adds weighted currents, so
    that a weight has one conversion. `pairs` None: unsigned weights.
    """

    input_bits: int
    weight_bits: int
    adc_bits: int
    rows: int
    dac_bits: int = 1
    accumulation: Literal["digital", "analog"] = "analog"
    pairs: Pairs | None = None

    @property
    def product(self) -> MatVec:
        """One output of the macro: a vector of `rows` inputs times one column of weights."""
        return MatVec("macro", self.rows, 1, 1, self.weight_bits, self.input_bits, self.adc_bits)

    def crossbar(self, vdd_v: float) -> Crossbar:
        """The macro in this use at a supply of `vdd_v`."""
        magnitude = self.weight_bits if self.pairs is None else max(self.weight_bits - 1, 1)
        cells = magnitude if self.accumulation == "analog" else 1  # whose currents are added before a conversion
        bits = range(1, MOST_ADC_BITS + 1)
        nothing = Quantity(0.0, "J", _REST), Quantity(0.0, "m²", _REST), Quantity(0.0, "W", _REST)
        unknown = Quantity(0.0, "J", "not asked for in a macro")
        return Crossbar(
            rows=self.rows,
            columns=2 * magnitude,
            readout=Readout(
                cell_bits=cells, dac_bits=self.dac_bits, adc_bits=self.adc_bits, columns_per_adc=1, flip=False,
                encoding="offset" if self.pairs is None else "differential", pairs=self.pairs or "converted",
                accumulation=self.accumulation, phase_bits=None, pipelined=False),
            cell=Cell(
                area=unknown,
                mac=Quantity(cells * 0.5 * vdd_v * ON_A * PULSE_S, "J", "supply x 5 µA x 3.16 ns, half the cells on"),
                read_bit=unknown, read_time=unknown, write=unknown, write_time=unknown, endurance=unknown,
                on_ohm=unknown, off_ohm=unknown),
            adc=Adc(
                "macro",
                Table(1, tuple(b * STEP_F * vdd_v**2 for b in bits), "J", "ZigZag-IMC: 100 fF a bit"),
                Table(1, (0.0,) * MOST_ADC_BITS, "m²", _REST),
                Table(1, (0.0,) * MOST_ADC_BITS, "W", _REST),
                Quantity(1 / (STEP_S + STEP_ROW_S * self.rows), "Hz", "ZigZag-IMC: 0.640 + 0.00653 x rows ns a bit"),
                serial=True),
            dac=Dac(Table(1, (0.0,) * 8, "J", _REST), Table(1, (0.0,) * 8, "m²", _REST),
                    Table(1, (0.0,) * 8, "W", _REST)),
            driver=Driver(*nothing),
            sample_hold=SampleHold(*nothing),
            shift_add=ShiftAdd(*nothing, Quantity(1.0, "1", _REST)),
            input_register=Register(*nothing, Quantity(1.0, "bits", _REST)),
            output_register=Register(*nothing, Quantity(1.0, "bits", _REST)),
            read_time=Quantity(PULSE_S, "s", "MNSIM 2.0: 3.16 ns, from a macro of ISSCC'19"),
        )
