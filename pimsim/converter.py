"""Between digital and analog, the ADC aside: DAC, sample-and-hold, word-line driver."""

from __future__ import annotations

from dataclasses import dataclass

from pimsim.quantity import Count, Number, Quantity, Table

_IN_THE_LINE = Quantity(0.0, "J", "contained in the energy of the line")
_NO_INTEGRATOR_J = Quantity(0.0, "J", "no integrator")
_NO_INTEGRATOR_S = Quantity(0.0, "s", "no integrator")


@dataclass(frozen=True)
class Dac:
    """The converter that drives one row with `bits` of an input; figures by bits."""

    energy: Table
    area: Table
    leakage: Table


@dataclass(frozen=True)
class Driver:
    """What selecting a word line for one input digit costs on top of the DAC, whatever the digit is; per row.

    `cell_energy` is the part of it that each cell on the line adds.
    """

    energy: Quantity
    area: Quantity
    leakage: Quantity
    cell_energy: Quantity = _IN_THE_LINE

    def energy_j(self, columns: Count) -> Number:
        """Energy of selecting a line of `columns` cells once."""
        return self.energy.value + columns * self.cell_energy.value


@dataclass(frozen=True)
class SampleHold:
    """Holds one column's signal until its turn at the ADC; one per column; `energy` per sample.

    Where input digits accumulate in analog it integrates the samples: `integrate` and `integrate_time` per step.
    """

    energy: Quantity
    area: Quantity
    leakage: Quantity
    integrate: Quantity = _NO_INTEGRATOR_J
    integrate_time: Quantity = _NO_INTEGRATOR_S
