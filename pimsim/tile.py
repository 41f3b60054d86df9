"""From crossbar to tile: how components are put together, and what that takes up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pimsim.adc import Adc
from pimsim.cell import Cell
from pimsim.converter import Dac, Driver, SampleHold
from pimsim.cost import Footprint, Parts, added_parts
from pimsim.digital import Buffer, Fixture, Link, Register, ShiftAdd
from pimsim.quantity import Count, Number, Quantity, ceil_div, larger
from pimsim.readout import Phase, Readout

PIPELINE_CYCLES = 2  # assumption: after the last read, one cycle to convert and one to add up, as ISAAC pipelines them
_IN_THE_READ = Quantity(0.0, "s", "contained in the read time")


@dataclass(frozen=True)
class Crossbar:
    """An array of cells with its converters and registers.

    One DAC and driver per row, one sample-and-hold per column, one ADC per `readout.columns_per_adc` columns; the
    registers' sizes follow the rows and columns. `read_time` is the array's own time for one input digit,
    `settle_time` what a phase takes on top of its digits and its conversion.
    """

    rows: Count
    columns: Count
    readout: Readout
    cell: Cell
    adc: Adc
    dac: Dac
    driver: Driver
    sample_hold: SampleHold
    shift_add: ShiftAdd
    input_register: Register
    output_register: Register
    read_time: Quantity
    settle_time: Quantity = _IN_THE_READ

    @property
    def adcs(self) -> Count:
        """Converters on this crossbar."""
        return ceil_div(self.columns, self.readout.columns_per_adc)

    @cached_property
    def adc_bits(self) -> Count:
        """Bits of each converter: as chosen, or lossless."""
        return self.readout.resolved_adc_bits(self.rows)

    def phase_bits(self, phase: Phase) -> Count:
        """Bits that the conversion at the end of `phase` has to find, at least 1."""
        if not phase.known_bits:
            return self.adc_bits
        return larger(self.adc_bits - phase.known_bits, 1)  # type: ignore[no-any-return]

    def phase_s(self, phase: Phase) -> Number:
        """Time of one phase: the array's and that of the columns which share an ADC, overlapped if pipelined."""
        if phase.pulses == 1 and not (phase.integrations or phase.known_bits):
            return self._digit_s  # the usual phase of a digital readout, asked for by every operator
        return self._phase_s(phase)

    @cached_property
    def _digit_s(self) -> Number:
        return self._phase_s(Phase(1))

    def _phase_s(self, phase: Phase) -> Number:
        shared = self.readout.columns_per_adc
        if self.readout.conversions_per_slice < self.readout.columns_per_slice:
            shared = ceil_div(shared, 2)  # two columns, one conversion
        converting = shared / self.adc.rate_hz(self.phase_bits(phase))
        integrating = phase.integrations * self.sample_hold.integrate_time.value
        reading = phase.pulses * self.read_time.value + integrating + self.settle_time.value
        return larger(reading, converting) if self.readout.pipelined else reading + converting

    @cached_property
    def cycle_s(self) -> Number:
        """Time of the shortest phase: of one input digit."""
        return self.phase_s(self.readout.shortest_phase)

    def vector_s(self, inputs: Count, input_bits: int, signed: bool) -> Number:
        """Time to read one vector of a matrix with `inputs` inputs, row blocks side by side."""
        _, deepest = self.readout.reads(inputs, self.rows)  # type: ignore[arg-type]
        total: Number = 0.0
        for phase in self.readout.schedule(input_bits, signed):
            total = total + phase.count * deepest * self.phase_s(phase)
        return total

    @property
    def drain_s(self) -> Number:
        """Time from the last read of a vector to its result: the rest of the pipeline, if there is one."""
        return PIPELINE_CYCLES * self.cycle_s if self.readout.pipelined else 0.0

    @property
    def bits(self) -> Count:
        """Bits that the cells hold."""
        return self.rows * self.columns * self.readout.cell_bits

    def parts(self) -> dict[str, Footprint]:
        """Area, leakage and peak power of each component; peak: all rows and columns in every cycle."""
        rate = 1.0 / self.cycle_s
        rows, columns, adcs, dac_bits = self.rows, self.columns, self.adcs, self.readout.dac_bits
        adders = adcs * self.shift_add.per_adc.value
        input_bits = rows * self.input_register.bits_per_line.value
        output_bits = columns * self.output_register.bits_per_line.value
        cells = rows * columns
        converted = columns * self.readout.conversions_per_slice // self.readout.columns_per_slice
        sampling = self.sample_hold.energy.value + self.readout.shortest_phase.integrations \
            * self.sample_hold.integrate.value
        return {
            "adc": _part(adcs, self.adc.area_m2(self.adc_bits), self.adc.leakage_w(self.adc_bits),
                         converted * rate * self.adc.energy_j(self.adc_bits)),
            "dac": _part(rows, self.dac.area.at(dac_bits), self.dac.leakage.at(dac_bits),
                         rows * rate * self.dac.energy.at(dac_bits)),
            "driver": _part(rows, self.driver.area.value, self.driver.leakage.value,
                            rows * rate * self.driver.energy_j(columns)),
            "sample_hold": _part(columns, self.sample_hold.area.value, self.sample_hold.leakage.value,
                                 converted * rate * sampling),
            "array": _part(cells, self.cell.area.value, 0.0, cells * rate * self.cell.mac.value),
            "shift_add": _part(adders, self.shift_add.area.value, self.shift_add.leakage.value,
                               converted * self.adc.steps(self.adc_bits) * rate * self.shift_add.energy.value),
            "input_register": _part(input_bits, self.input_register.area.value, self.input_register.leakage.value,
                                    rows * dac_bits * rate * self.input_register.energy.value),
            "output_register": _part(output_bits, self.output_register.area.value,
                                     self.output_register.leakage.value,
                                     output_bits * rate * self.output_register.energy.value),
        }


def _part(count: Number, area_m2: Number, leakage_w: Number, dynamic_w: Number) -> Footprint:
    """`count` units of the given area and leakage, that together use `dynamic_w` at full activity."""
    return Footprint(count * area_m2, count * leakage_w, dynamic_w + count * leakage_w)


def _times(parts: Parts, n: Number) -> dict[str, Footprint]:
    return {name: part.times(n) for name, part in parts.items()}


@dataclass(frozen=True)
class Ima:
    """ISAAC's in-situ multiply-accumulate unit: crossbars that share a bus stop."""

    crossbar: Crossbar
    crossbars: int

    def parts(self) -> dict[str, Footprint]:
        """Footprints by component."""
        return _times(self.crossbar.parts(), self.crossbars)


@dataclass(frozen=True)
class Tile:
    """IMAs around a buffer, a bus to them, a share of a router, and fixtures."""

    ima: Ima
    imas: int
    edram: Buffer
    bus: Link
    router: Link
    fixtures: tuple[Fixture, ...]

    @property
    def crossbars(self) -> int:
        """Crossbars in one tile."""
        return self.imas * self.ima.crossbars

    def parts(self) -> dict[str, Footprint]:
        """Footprints by component."""
        shared: dict[str, Footprint] = {
            "edram": self.edram.footprint(), "bus": self.bus.footprint(), "router": self.router.footprint()}
        fixtures = ({fixture.name: fixture.footprint()} for fixture in self.fixtures)
        return added_parts([_times(self.ima.parts(), self.imas), shared, *fixtures])


@dataclass(frozen=True)
class Bank:
    """Crossbars read only as memory, with adders beside them (near-memory reduction).

    An array keeps its cells and one row driver per row; instead of the ADCs of a product it has one converter that
    tells the levels of one cell apart. The bank has the tile's bus and router share. ReRAM keeps its data without
    power: only the array that is read is switched on, so one array per bank leaks. All of this is assumption.
    """

    crossbars: int
    adders: int

    def parts(self, tile: Tile) -> dict[str, Footprint]:
        """Footprints by component of one bank built from the components of `tile`."""
        xb = tile.ima.crossbar
        bits, shift_add = xb.readout.cell_bits, xb.shift_add
        reading = bits * xb.cell.read_bit.value / xb.cell.read_time.value  # one cell at a time
        area = xb.rows * (xb.columns * xb.cell.area.value + xb.dac.area.at(1)) + xb.adc.area_m2(bits)
        leakage = xb.rows * xb.dac.leakage.at(1) + xb.adc.leakage_w(bits)
        arrays = Footprint(area * self.crossbars, leakage, leakage + reading)
        adding = self.adders * shift_add.energy.value / xb.cell.read_time.value
        bank = arrays + _part(self.adders, shift_add.area.value, shift_add.leakage.value, adding)
        return {"bank": bank, "bus": tile.bus.footprint(), "router": tile.router.footprint()}
