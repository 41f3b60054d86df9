"""NeuRRAM (Wan et al., Nature 2022): 48 cores that sense voltages and accumulate input digits in analog."""

from __future__ import annotations

from pimsim.adc import MOST_ADC_BITS, Adc
from pimsim.cell import Cell
from pimsim.chip import Chip
from pimsim.converter import Dac, Driver, SampleHold
from pimsim.digital import Buffer, Fixture, Link, Register, ShiftAdd, VectorUnit
from pimsim.presets.isaac import ddr4, isaac
from pimsim.quantity import FEMTO, MEGA, MICRO, NANO, PICO, UM2, Quantity, Table
from pimsim.readout import Readout
from pimsim.technology import Technology
from pimsim.tile import Bank, Crossbar, Ima, Tile

WAN = "NeuRRAM, Nature 2022, as digitised in CiMLoop's macro"
WORD_LINE_FACTOR = 1.07105
"""Fitted: energy of word lines over C·V², to (output, input) bits (3, 1) and (6, 4) by relative least squares."""
INPUT_FACTOR = 1.15932
"""Fitted likewise: energy of input pulses over V²·G·t."""
VDD_V, READ_V, PULSE_S = 1.8, 0.5, 10 * NANO  # V, V, s: NeuRRAM's supply, read voltage and read pulse
CORE_M2 = 1270 * 256 / 0.28 * UM2  # NeuRRAM: 256 neurons of 1270 µm² are 28 % of a core
CLOCK_HZ = 100 * MEGA  # assumption: clock of the digital parts at 130 nm
_NONE = "assumption: none is published, none is booked"
_SCATTER = "the digitised points of word lines scatter by 10 %"
_INSIDE = f"{WAN}: contained in the neuron"


def crossbar(word_line: float = WORD_LINE_FACTOR, pulses: float = INPUT_FACTOR) -> Crossbar:
    """One core: 256 x 256 cells, a neuron (sampling, integrator, ADC in steps) for each column.

    `word_line` and `pulses` multiply the energies C·V² of a word line and V²·G·t of a cell; 1 for nothing fitted.
    """
    bits = range(1, MOST_ADC_BITS + 1)
    mean_s = (1 / 250e3 + 1 / 1e6) / 2  # S: cells spread evenly between on and off (assumption)
    swing = VDD_V**2 * word_line  # V²
    fit = f"times {word_line:g}" + (" (fitted)" if word_line != 1.0 else "")
    cell_fit = f"times {pulses:g}" + (" (fitted)" if pulses != 1.0 else "")
    return Crossbar(
        rows=256,
        columns=256,
        readout=Readout(cell_bits=3, dac_bits=1, adc_bits=8, columns_per_adc=1, encoding="differential", flip=False,
                        pairs="rows", sensing="voltage", accumulation="analog", inputs="ternary", phase_bits=3,
                        pipelined=False),
        cell=Cell(
            area=Quantity(0.12 * CORE_M2 / 65536, "m²", f"{WAN}: cells are 12 % of a core, 126 F²"),
            mac=Quantity(READ_V**2 * mean_s * PULSE_S * pulses, "J", f"{WAN}: 0.5 V, 0.25 to 1 MΩ, 10 ns, {cell_fit}"),
            read_bit=Quantity(READ_V**2 * mean_s * PULSE_S / 3, "J", "assumption: the cell's own energy", 1.0),
            read_time=Quantity(1.47 * MICRO / 256, "s", "assumption: a row in one read of 3 bits, 1.47 µs"),
            write=Quantity(1.75**2 / 250e3 * 8.52 * MICRO, "J", f"{WAN}: SET at 1.75 V for 8.52 µs into 250 kΩ", 1.0),
            write_time=Quantity(256 * 8.52 * MICRO, "s", f"{WAN}: 8.52 µs; assumption: cells of a row in turn", 1.0),
            endurance=Quantity(1e6, "1", "assumption: as a 4-level HfOx cell, Huang", 1.0),
            on_ohm=Quantity(250e3, "Ω", f"{WAN}: cell model"),
            off_ohm=Quantity(1e6, "Ω", f"{WAN}: cell model"),
        ),
        adc=Adc(
            "neurram",
            Table(1, tuple(0.3 * PICO * b for b in bits), "J", f"{WAN}: 0.3 pJ a step"),
            Table(1, (1270 * UM2,) * MOST_ADC_BITS, "m²", f"{WAN}: a neuron of 1270 µm²"),
            Table(1, (0.0,) * MOST_ADC_BITS, "W", _NONE),
            Quantity(1 / (0.3 * MICRO), "Hz", f"{WAN}: 0.3 µs a step"),
            serial=True,
        ),
        dac=Dac(Table(1, (0.0,) * 8, "J", f"{WAN}: contained in the cells' energy"),
                Table(1, (0.0,) * 8, "m²", f"{WAN}: contained in the drivers' area"), Table(1, (0.0,) * 8, "W", _NONE)),
        driver=Driver(
            Quantity(48 * FEMTO * swing, "J", f"{WAN}: 48 fF at 1.8 V, {fit}", 0.1, _SCATTER),
            Quantity(0.21 * CORE_M2 / 256, "m²", f"{WAN}: drivers are 21 % of a core"),
            Quantity(0.0, "W", _NONE),
            Quantity((1.5 + 0.6) * FEMTO * swing, "J", f"{WAN}: 1.5 + 0.6 fF a cell at 1.8 V, {fit}", 0.1, _SCATTER),
        ),
        sample_hold=SampleHold(
            Quantity(1.2 * PICO, "J", f"{WAN}: 1.2 pJ a sample"),
            Quantity(0.0, "m²", _INSIDE),
            Quantity(0.0, "W", _NONE),
            Quantity(0.25 * PICO, "J", f"{WAN}: 0.25 pJ an integration step"),
            Quantity(0.27 * MICRO, "s", f"{WAN}: 0.27 µs an integration step"),
        ),
        shift_add=ShiftAdd(
            Quantity(0.1 * PICO, "J", f"{WAN}: 0.1 pJ an ADC step"),
            Quantity(0.0, "m²", _INSIDE),
            Quantity(0.0, "W", _NONE),
            Quantity(1.0, "1", f"{WAN}: one for each neuron"),
        ),
        input_register=_register("rows"),
        output_register=_register("columns"),
        read_time=Quantity(0.0, "s", f"{WAN}: contained in the integration step"),
        settle_time=Quantity(0.3 * MICRO, "s", f"{WAN}: 0.3 µs between phases, with sampling"),
    )


def _register(lines: str) -> Register:
    """Registers of a core, which its area and energies do not list."""
    source = f"{WAN}: registers of the {lines} are not listed; contained in the rest of the core"
    return Register(Quantity(0.0, "J", source), Quantity(0.0, "m²", source), Quantity(0.0, "W", source),
                    Quantity(16.0, "bits", "assumption: 16 a line"))


def _tile(word_line: float, pulses: float) -> Tile:
    """A core with what connects it; the buffers lie in the rest of the core's area."""
    energy = 130 / 32 * VDD_V**2  # of digital parts at 130 nm and 1.8 V over 32 nm and 1 V: C·V² (assumption)
    scaled = "ISAAC's, times 130/32 and 1.8² (assumption)"
    isaacs = isaac().tile
    nothing = Quantity(0.0, "W", _NONE)
    room = Quantity(0.0, "m²", f"{WAN}: contained in the rest of the core")
    return Tile(
        ima=Ima(crossbar(word_line, pulses), 1),
        imas=1,
        edram=Buffer(Quantity(isaacs.edram.energy.value * energy, "J", scaled, 0.5),
                     Quantity(256 * CLOCK_HZ, "bit/s", "assumption: 256 bits at 100 MHz"), room, nothing, nothing),
        bus=Link(Quantity(isaacs.bus.energy.value * energy, "J", scaled, 0.5),
                 Quantity(256 * CLOCK_HZ, "bit/s", "assumption: 256 wires at 100 MHz"),
                 Quantity(1 / CLOCK_HZ, "s", "assumption: one clock"), room, nothing, nothing),
        router=Link(Quantity(isaacs.router.energy.value * energy, "J", scaled, 0.5),
                    Quantity(256 * CLOCK_HZ, "bit/s", "assumption: 256 bits at 100 MHz"),
                    Quantity(4 / CLOCK_HZ, "s", "assumption: four clocks"), room, nothing, nothing),
        fixtures=(Fixture("core_rest", Quantity(0.39 * CORE_M2, "m²", f"{WAN}: what neurons, drivers and cells leave"),
                          nothing, nothing),),
    )


def neurram(word_line: float = WORD_LINE_FACTOR, pulses: float = INPUT_FACTOR) -> Chip:
    """NeuRRAM (Nature 2022): 130 nm, 48 cores of 256 x 256 cells, weights of 4 bits in pairs of cells, 55.7 mm².

    The two factors are fitted, see `crossbar`; all the rest is the published circuit. Leakage is not published and is
    not booked, so its static energy is zero. Buffers, vector unit and DRAM are assumptions that let it run a workload.
    """
    unit = isaac().vector_unit
    energy = 130 / 32 * VDD_V**2
    return Chip(
        preset="neurram",
        technology=Technology(130 * NANO, VDD_V, WAN),
        tile=_tile(word_line, pulses),
        tiles=48,
        bank=Bank(crossbars=16, adders=16),  # assumption
        banks=0,
        vector_unit=VectorUnit(
            lanes=32,  # assumption
            energy=Quantity(unit.energy.value * energy, "J", "ISAAC's, times 130/32 and 1.8² (assumption)", 0.5),
            rate=Quantity(CLOCK_HZ, "Hz", "assumption: 100 MHz"),
            area=Quantity(0.0, "m²", "assumption: off the chip, as NeuRRAM's control"),
            leakage=Quantity(0.0, "W", _NONE),
        ),
        link=isaac().link,
        links=0,
        dram=ddr4(),
    )
