"""The digital parts: adders, registers, buffers, links, the vector unit, DRAM, and parts that only take up room."""

from __future__ import annotations

from dataclasses import dataclass

from pimsim.cost import Footprint
from pimsim.quantity import Count, Number, Quantity, larger

WIRE = Quantity(0.2e-9, "F/m", "assumption: 0.2 pF a millimetre of wire with its repeaters", 0.3)
"""Capacitance of the wires of a network on the chip."""


@dataclass(frozen=True)
class ShiftAdd:
    """Shift-and-add units; `energy` per addition, area and leakage per unit, `per_adc` units for each ADC."""

    energy: Quantity
    area: Quantity
    leakage: Quantity
    per_adc: Quantity


@dataclass(frozen=True)
class Register:
    """Register file whose size follows the crossbar: `bits_per_line` for each row (or column); figures per bit."""

    energy: Quantity
    area: Quantity
    leakage: Quantity
    bits_per_line: Quantity


@dataclass(frozen=True)
class Buffer:
    """A memory of fixed size; `energy` per bit read or written, `bandwidth` in bits per second."""

    energy: Quantity
    bandwidth: Quantity
    area: Quantity
    leakage: Quantity
    peak: Quantity

    def footprint(self) -> Footprint:
        """Area, leakage and peak power of one."""
        return Footprint(self.area.value, self.leakage.value, self.peak.value)


@dataclass(frozen=True)
class Link:
    """Wires with their ends; `energy` per bit, `bandwidth` in bits per second, `delay` before the first bit arrives."""

    energy: Quantity
    bandwidth: Quantity
    delay: Quantity
    area: Quantity
    leakage: Quantity
    peak: Quantity

    def footprint(self) -> Footprint:
        """Area, leakage and peak power of one."""
        return Footprint(self.area.value, self.leakage.value, self.peak.value)

    def time_s(self, bits: Number) -> Number:
        """Time until `bits` have arrived."""
        return self.delay.value + bits / self.bandwidth.value


@dataclass(frozen=True)
class VectorUnit:
    """`lanes` of 16-bit arithmetic for products of activations and element-wise work.

    `energy` per lane and step at 16 bits, scaled in proportion to the operands' bits (assumption); `rate` in steps
    per second; area and leakage per lane. `per_tile`: every tile has so many lanes, not the chip; all work together.
    """

    lanes: int
    energy: Quantity
    rate: Quantity
    area: Quantity
    leakage: Quantity
    per_tile: bool = False

    def energy_j(self, steps: int, bits: int) -> float:
        """Energy of `steps` lane steps on `bits`-bit operands."""
        return steps * self.energy.value * bits / 16

    def time_s(self, steps: int, tiles: Count) -> Number:
        """Time of `steps` lane steps spread over all lanes of a chip with `tiles` tiles."""
        lanes = self.lanes * larger(tiles, 1) if self.per_tile else self.lanes
        return -(-steps // lanes) / self.rate.value

    def footprint(self) -> Footprint:
        """Area, leakage and peak power of all lanes of the chip, or of a tile."""
        peak = self.energy.value * self.rate.value + self.leakage.value
        return Footprint(self.area.value, self.leakage.value, peak).times(self.lanes)


@dataclass(frozen=True)
class Dram:
    """Off-chip memory: energy per bit, bandwidth in bits per second, delay of an access, smallest access in bits."""

    energy: Quantity
    bandwidth: Quantity
    delay: Quantity
    burst_bits: Quantity
    background: Quantity


@dataclass(frozen=True)
class Fixture:
    """A part that is counted in area and power but that no modelled action uses."""

    name: str
    area: Quantity
    leakage: Quantity
    peak: Quantity

    def footprint(self) -> Footprint:
        """Area, leakage and peak power."""
        return Footprint(self.area.value, self.leakage.value, self.peak.value)
