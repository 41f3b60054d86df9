"""PUMA (ASPLOS'19): the node of 138 tiles, from the constants of the authors' simulator."""

from __future__ import annotations

import math

from pimsim.adc import PUMA_STAGE_S, puma_adc
from pimsim.chip import Chip
from pimsim.converter import Dac, Driver, SampleHold
from pimsim.digital import Buffer, Fixture, Link, Register, ShiftAdd, VectorUnit
from pimsim.presets.isaac import ISAAC, LEAKING, LOADED, PUMA, ddr4, reram_cell
from pimsim.quantity import GIGA, MICRO, MILLI, MM2, NANO, PICO, Quantity, Table
from pimsim.readout import Readout
from pimsim.technology import Technology
from pimsim.tile import Bank, Crossbar, Ima, Tile

CLOCK_HZ = 1 * GIGA  # PUMA'19: 1 GHz
CORES = 8  # PUMA'19: cores of a tile
UNITS = 2  # PUMA'19: matrix units of a core, 8 crossbars each
_WIDE = math.sqrt(8)  # PUMA, simulator constants: scaling of instruction memories to 8 bytes an entry
_NO_DRIVER = f"{PUMA}: contained in the DAC"


def _crossbar() -> Crossbar:
    """One eighth of a matrix unit: a 128 x 128 array of 2-bit cells, its ADC, and its share of what the eight share."""
    lines_hz = 128 / PUMA_STAGE_S  # rows driven or columns converted per second, at full activity
    memory = 256 * 8 / 8  # bits: a unit's input or output memory of 256 B, an eighth of it
    return Crossbar(
        rows=128,
        columns=128,
        readout=Readout(cell_bits=2, dac_bits=1, adc_bits=8, columns_per_adc=128),
        cell=reram_cell(PUMA_STAGE_S),
        adc=puma_adc(),
        dac=Dac(
            Table(1, (3.50625 * MICRO / 8 / (lines_hz / 128),) * 8, "J", f"{PUMA}: 3.506 µW, one for 8 crossbars"),
            Table(1, (1.67e-7 * MM2 / 8,) * 8, "m²", f"{PUMA}: 1.67e-7 mm², one for 8 crossbars"),
            Table(1, (0.390625 * MICRO / 8,) * 8, "W", f"{PUMA}: 0.391 µW, one for 8 crossbars"),
        ),
        driver=Driver(Quantity(0.0, "J", _NO_DRIVER), Quantity(0.0, "m²", _NO_DRIVER), Quantity(0.0, "W", _NO_DRIVER)),
        sample_hold=SampleHold(
            Quantity(8.73e-6 * MILLI / (lines_hz / 128), "J", f"{PUMA}: 9.7 nW less leakage"),
            Quantity(0.00004 / 8 / 128 * MM2, "m²", PUMA),
            Quantity(0.97e-6 * MILLI, "W", f"{PUMA}: 0.97 of 9.7 nW"),
        ),
        shift_add=ShiftAdd(
            Quantity(0.045 * MILLI / lines_hz, "J", f"{PUMA}: 0.05 mW less leakage, one addition per conversion"),
            Quantity(0.00006 * MM2, "m²", PUMA),
            Quantity(0.005 * MILLI, "W", f"{PUMA}: 0.005 of 0.05 mW"),
            Quantity(1.0, "1", f"{PUMA}: one unit for a crossbar"),
        ),
        input_register=Register(
            Quantity((0.16 + 1.7 / 128) * MILLI / 8 / lines_hz, "J", f"{PUMA}: write 0.16 mW, read 1.7 mW every 128th"),
            Quantity(0.00078 * MM2 / 8 / memory, "m²", f"{PUMA}: 0.00078 mm² for 8 crossbars"),
            Quantity(0.04 * MILLI / 8 / memory, "W", f"{PUMA}: 0.04 mW for 8 crossbars"),
            Quantity(memory / 128, "bits", f"{PUMA}: 256 B for 8 crossbars"),
        ),
        output_register=Register(
            Quantity(0.16 * MILLI / 8 / (memory / PUMA_STAGE_S), "J", f"{PUMA}: 0.16 mW, all bits every stage"),
            Quantity(0.00078 * MM2 / 8 / memory, "m²", f"{PUMA}: 0.00078 mm² for 8 crossbars"),
            Quantity(0.04 * MILLI / 8 / memory, "W", f"{PUMA}: 0.04 mW for 8 crossbars"),
            Quantity(memory / 128, "bits", f"{PUMA}: 256 B for 8 crossbars"),
        ),
        read_time=Quantity(PUMA_STAGE_S, "s", "a stage: follows from PUMA's peak rate, see pimsim.adc"),
    )


def _fixture(name: str, dynamic_mw: float, leaking_mw: float, mm2: float, count: int = 1) -> Fixture:
    """`count` parts of the given power and area."""
    return Fixture(name, Quantity(count * mm2 * MM2, "m²", PUMA), Quantity(count * leaking_mw * MILLI, "W", PUMA),
                   Quantity(count * (dynamic_mw + leaking_mw) * MILLI, "W", PUMA))


def _tile() -> Tile:
    """PUMA's tile: 8 cores around 64 KB of eDRAM."""
    return Tile(
        ima=Ima(_crossbar(), 8 * UNITS),
        imas=CORES,
        edram=Buffer(
            energy=Quantity(8.6 * MILLI * 2 / CLOCK_HZ / 256, "J", f"{PUMA}: 8.6 mW, 256 bits in 2 cycles"),
            bandwidth=Quantity(256 * CLOCK_HZ / 2, "bit/s", f"{PUMA}: 256 bits in 2 cycles"),
            area=Quantity(0.086 * MM2, "m²", f"{PUMA}: 64 KB"),
            leakage=Quantity(0.46 * MILLI, "W", PUMA),
            peak=Quantity((8.6 + 0.46) * MILLI, "W", PUMA),
        ),
        bus=Link(
            energy=Quantity(3.0 * MILLI * 2 / CLOCK_HZ / 384, "J", f"{PUMA}: 3 mW, 384 bits in 2 cycles"),
            bandwidth=Quantity(384 * CLOCK_HZ / 2, "bit/s", f"{PUMA}: 384 bits in 2 cycles"),
            delay=Quantity(1 * NANO, "s", f"{PUMA}: one cycle"),
            area=Quantity(0.090 * MM2, "m²", PUMA),
            leakage=Quantity(0.5 * MILLI, "W", PUMA),
            peak=Quantity(3.5 * MILLI, "W", PUMA),
        ),
        router=Link(
            energy=Quantity(16.13 * MILLI / CLOCK_HZ / 32, "J", f"{PUMA}: 16.13 mW; assumption: 32 bits a cycle"),
            bandwidth=Quantity(32 * CLOCK_HZ, "bit/s", f"{PUMA}: 32-bit flits, one a cycle (assumption)"),
            delay=Quantity(29 * NANO, "s", f"{PUMA}: 29 to 115 cycles; the lightly loaded end", 0.4, LOADED),
            area=Quantity(0.047 / 4 * MM2, "m²", f"{PUMA}: one router of 4 ports for 4 tiles"),
            leakage=Quantity(0.41 / 4 * MILLI, "W", f"{PUMA}: one router for 4 tiles"),
            peak=Quantity((16.13 + 0.41) / 4 * MILLI, "W", f"{PUMA}: one router for 4 tiles"),
        ),
        fixtures=(
            _fixture("core_control", 1.25 * 0.2, 0.0, 0.00145 * 2.25, CORES),
            _fixture("core_instructions", 0.46 * _WIDE, 0.078 * _WIDE, 0.00108 * _WIDE, CORES),
            _fixture("core_data", 0.57, 0.33, 0.00392, CORES),
            _fixture("core_activation", 0.26 - 0.026, 0.026, 0.0003, CORES),
            _fixture("tile_control", 0.25 * 0.2, 0.0, 0.00145),
            _fixture("tile_instructions", 0.65 * _WIDE, 0.33 * _WIDE, 0.0041 * _WIDE),
            _fixture("tile_attributes", 0.65 / 2 * _WIDE, 0.33 / 2 * _WIDE, 0.0041 * _WIDE),
            _fixture("edram_control", 0.475, 0.05, 0.00145),
            _fixture("receive_buffer", 2 * 4.48, 2 * 0.09, 2 * 0.0022),
        ),
    )


def puma() -> Chip:
    """PUMA (ASPLOS'19): 32 nm, 1 GHz, 138 tiles of 8 cores, 2208 matrix units of 8 crossbars, 62.5 W, 90.6 mm².

    Its vector functional units, one a core, together are the chip's vector unit. DRAM figures are on top of the paper.
    """
    scale = 32 / 45  # PUMA's own factor from 45 to 32 nm
    return Chip(
        preset="puma",
        technology=Technology(32 * NANO, 0.9, f"{PUMA}: 32 nm, 0.9 V"),
        tile=_tile(),
        tiles=138,
        bank=Bank(crossbars=256, adders=16),  # assumption: as ISAAC's
        banks=0,
        vector_unit=VectorUnit(
            lanes=CORES,  # PUMA: one a core
            per_tile=True,
            energy=Quantity(2.4 * MILLI * scale / CLOCK_HZ, "J", f"{PUMA}: ALU 2.4 mW x 32/45 at 1 GHz"),
            rate=Quantity(CLOCK_HZ, "Hz", PUMA),
            area=Quantity(0.00567 * MM2 * scale, "m²", f"{PUMA}: ALU 0.00567 mm² x 32/45"),
            leakage=Quantity(0.27 * MILLI * scale, "W", f"{PUMA}: ALU 0.27 mW x 32/45"),
        ),
        link=Link(
            energy=Quantity(26 * PICO / 128, "J", "Accelergy library: 26 pJ per 128 bits"),
            bandwidth=Quantity(6.4 * GIGA * 8, "bit/s", f"{PUMA}: HyperTransport, 6.4 GB/s"),
            delay=Quantity(5 * NANO, "s", f"{PUMA}: 5 ns per packet"),
            area=Quantity(22.88 / 4 * MM2, "m²", f"{ISAAC} and {PUMA}: 22.88 mm² for 4 links"),
            leakage=Quantity(10.4 / 4 * 0.1, "W", LEAKING),
            peak=Quantity(10.4 / 4, "W", f"{ISAAC} and {PUMA}: 10.4 W for 4 links"),
        ),
        links=4,
        dram=ddr4(),
    )
