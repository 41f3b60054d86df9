"""Between digital and analog, the ADC aside: DAC, sample-and-hold, word-line driver."""

from __future__ import annotations

from dataclasses import dataclass

from pimsim.quantity import Quantity, Table


@dataclass(frozen=True)
class Dac:
    """The converter that drives one row with `bits` of an input; figures by bits."""

    energy: Table
    area: Table
    leakage: Table


@dataclass(frozen=True)
class Driver:
    """What activating a word line costs on top of the DAC, per row."""

    energy: Quantity
    area: Quantity
    leakage: Quantity


@dataclass(frozen=True)
class SampleHold:
    """Holds one column's current until its turn at the ADC; one per column."""

    energy: Quantity
    area: Quantity
    leakage: Quantity
