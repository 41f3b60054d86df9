"""ISAAC (ISCA'16), with every figure and its source; the ReRAM cell and the DRAM that other presets share."""

from __future__ import annotations

from pimsim.adc import isaac_adc
from pimsim.cell import Cell
from pimsim.chip import Chip
from pimsim.converter import Dac, Driver, SampleHold
from pimsim.digital import Buffer, Dram, Fixture, Link, Register, ShiftAdd, VectorUnit
from pimsim.quantity import GIGA, MICRO, MILLI, MM2, NANO, PICO, Quantity, Table
from pimsim.readout import Readout
from pimsim.technology import Technology
from pimsim.tile import Bank, Crossbar, Ima, Tile

ISAAC = "ISAAC, ISCA'16, component table"
PUMA = "PUMA, ASPLOS'19, simulator constants"
MNSIM = "MNSIM 2.0, DAC table: doubles per bit"
LEAKING = "assumption: 10 % of the table's power leaks, as PUMA'19 states for ADC and DAC"
LOADED = "29 to 115 cycles by load, evenly in the logarithm"
_TYPICAL = "from 1e4 to above 1e6, by the device"
CYCLE_S = 100 * NANO  # ISAAC'16: one crossbar read
CLOCK_HZ = 1 * GIGA  # assumption: clock of buses, routers and vector unit


def _powered(milliwatts: float, leaking: float, actions_hz: float) -> float:
    """Energy of an action from a table's power less leakage, at the rate of full activity."""
    return (milliwatts - leaking) * MILLI / actions_hz


def reram_cell(cycle_s: float) -> Cell:
    """ISAAC's cell, in a crossbar that takes `cycle_s` for one read."""
    return Cell(
        area=Quantity(0.0002 * MM2 / (8 * 128 * 128), "m²", f"{ISAAC}: 25 µm² an array (below 4F²; the table is kept)"),
        mac=Quantity(2.4 * MILLI * cycle_s / (8 * 128 * 128), "J", f"{ISAAC}: 0.3 mW an array, all cells driven"),
        read_bit=Quantity(208 * NANO / 32 / (128 * 128 * 2), "J", f"{PUMA}: serial read of 32 arrays, 208 nJ", 0.5),
        read_time=Quantity(328 * MICRO / 32 / (128 * 128), "s", f"{PUMA}: serial read of 32 arrays, 328 µs", 0.5),
        write=Quantity(676 * NANO / 32 / (128 * 128), "J", f"{PUMA}: write of 32 arrays, 676 nJ", 0.5),
        write_time=Quantity(351 * MICRO / 32 / 128, "s", f"{PUMA}: write of 32 arrays, 351 µs, row by row", 0.5),
        endurance=Quantity(1e6, "1", "4-level HfOx, Huang: about 1e6; above 1e4 is typical", 1.0, _TYPICAL),
        on_ohm=Quantity(2e3, "Ω", "CrossSim's ISAAC cell"),
        off_ohm=Quantity(2e6, "Ω", "CrossSim's ISAAC cell"),
    )


def _crossbar() -> Crossbar:
    """One eighth of ISAAC's IMA: a 128 x 128 array of 2-bit cells with all that serves it."""
    rows_hz = 8 * 128 / CYCLE_S  # row drives (or columns read) per second in one IMA
    doubling = [2.0**i for i in range(8)]
    dac_j, dac_w = (4.0 / 1024 - 0.39e-3) * MILLI * CYCLE_S, 0.39 * MICRO
    return Crossbar(
        rows=128,
        columns=128,
        readout=Readout(cell_bits=2, dac_bits=1, adc_bits=8, columns_per_adc=128),
        cell=reram_cell(CYCLE_S),
        adc=isaac_adc(),
        dac=Dac(
            Table(1, tuple(dac_j * d for d in doubling), "J", f"{ISAAC}: 4 mW / 1024 in 100 ns; {MNSIM}"),
            Table(1, tuple(0.00017 * MM2 / 1024 * d for d in doubling), "m²", f"{ISAAC}; {MNSIM}"),
            Table(1, tuple(dac_w * d for d in doubling), "W", f"{PUMA}: 0.39 of 3.9 µW; {MNSIM}"),
        ),
        driver=Driver(
            Quantity(0.0, "J", f"{ISAAC}: contained in the DAC row"),
            Quantity(0.0, "m²", f"{ISAAC}: contained in the DAC row"),
            Quantity(0.0, "W", f"{ISAAC}: contained in the DAC row"),
        ),
        sample_hold=SampleHold(
            Quantity(_powered(0.010, 0.001, rows_hz), "J", f"{ISAAC}: 10 µW per 1024"),
            Quantity(0.00004 * MM2 / 1024, "m²", ISAAC),
            Quantity(0.001 * MILLI / 1024, "W", LEAKING),
        ),
        shift_add=ShiftAdd(
            Quantity(_powered(0.2, 0.02, rows_hz), "J", f"{ISAAC}: 0.2 mW, one addition per conversion"),
            Quantity(0.00024 * MM2 / 4, "m²", ISAAC),
            Quantity(0.02 * MILLI / 4, "W", LEAKING),
            Quantity(0.5, "1", f"{ISAAC}: 4 units for 8 ADCs"),
        ),
        input_register=Register(
            Quantity(_powered(1.24, 0.124, rows_hz), "J", f"{ISAAC}: 1.24 mW, one bit per row and cycle"),
            Quantity(0.0021 * MM2 / (2048 * 8), "m²", f"{ISAAC}: 2 KB"),
            Quantity(0.124 * MILLI / (2048 * 8), "W", LEAKING),
            Quantity(16.0, "bits", f"{ISAAC}: 2 KB for 8 x 128 rows"),
        ),
        output_register=Register(
            Quantity(_powered(0.23, 0.023, 2 * rows_hz), "J", f"{ISAAC}: 0.23 mW, all bits accumulate every cycle"),
            Quantity(0.00077 * MM2 / (256 * 8), "m²", f"{ISAAC}: 256 B"),
            Quantity(0.023 * MILLI / (256 * 8), "W", LEAKING),
            Quantity(2.0, "bits", f"{ISAAC}: 256 B for 8 x 128 columns"),
        ),
        read_time=Quantity(CYCLE_S, "s", f"{ISAAC}: 100 ns cycle"),
    )


def _fixture(name: str, milliwatts: float, mm2: float, source: str = ISAAC) -> Fixture:
    return Fixture(name, Quantity(mm2 * MM2, "m²", source), Quantity(0.1 * milliwatts * MILLI, "W", LEAKING),
                   Quantity(milliwatts * MILLI, "W", source))


def _tile() -> Tile:
    """ISAAC's tile: 12 IMAs of 8 crossbars."""
    return Tile(
        ima=Ima(_crossbar(), 8),
        imas=12,
        edram=Buffer(
            energy=Quantity(20.45 * PICO / 256, "J", "Accelergy library: 20.45 pJ per 256 bits"),
            bandwidth=Quantity(256 * CLOCK_HZ, "bit/s", f"{ISAAC}: 256-bit bus; 1 GHz is an assumption"),
            area=Quantity(0.083 * MM2, "m²", f"{ISAAC}: 64 KB"),
            leakage=Quantity(20.7 * MILLI * 0.46 / 9.06, "W", f"{PUMA}: 0.46 of 9.06 mW, applied to ISAAC's 20.7 mW"),
            peak=Quantity(20.7 * MILLI, "W", ISAAC),
        ),
        bus=Link(
            energy=Quantity(0.054 * PICO, "J", "Accelergy library: 0.054 pJ per bit"),
            bandwidth=Quantity(384 * CLOCK_HZ, "bit/s", f"{ISAAC}: 384 wires; 1 GHz is an assumption"),
            delay=Quantity(1 * NANO, "s", "assumption: one clock"),
            area=Quantity(0.090 * MM2, "m²", ISAAC),
            leakage=Quantity(7.0 * MILLI * 0.5 / 3.5, "W", f"{PUMA}: 0.5 of 3.5 mW, applied to ISAAC's 7 mW"),
            peak=Quantity(7.0 * MILLI, "W", ISAAC),
        ),
        router=Link(
            energy=Quantity(20.74 * PICO / 256, "J", "Accelergy library: 20.74 pJ per 256 bits, one hop (assumption)"),
            bandwidth=Quantity(32 * CLOCK_HZ, "bit/s", f"{ISAAC}: 32-bit flits; 1 GHz is an assumption"),
            delay=Quantity(29 * NANO, "s", f"{PUMA}: 29 to 115 cycles; the lightly loaded end", 0.4, LOADED),
            area=Quantity(0.151 / 4 * MM2, "m²", f"{ISAAC}: one router for 4 tiles"),
            leakage=Quantity(10.5 * MILLI * 0.41 / 16.54, "W", f"{PUMA}: 0.41 of 16.54 mW, applied to ISAAC's 10.5 mW"),
            peak=Quantity(42 / 4 * MILLI, "W", f"{ISAAC}: 42 mW for 4 tiles"),
        ),
        fixtures=(
            _fixture("sigmoid", 0.52, 0.0006),
            _fixture("tile_shift_add", 0.05, 0.00006),
            _fixture("max_pool", 0.4, 0.00024, f"{ISAAC} (recalled, not read)"),
            _fixture("tile_output_register", 1.68, 0.0032, f"{ISAAC} (recalled, not read)"),
        ),
    )


def ddr4() -> Dram:
    """One channel of DDR4-3200."""
    return Dram(
        energy=Quantity(15 * PICO, "J", "assumption: DDR4-class, random 64-byte accesses", 0.5),
        bandwidth=Quantity(25.6 * GIGA * 8, "bit/s", "one DDR4-3200 channel: 64 bits x 3.2 GT/s"),
        delay=Quantity(60 * NANO, "s", "assumption: a row miss with its way through the controller", 0.3),
        burst_bits=Quantity(512.0, "bits", "DDR4: burst of 8 x 64 bits"),
        background=Quantity(50 * MILLI, "W", "assumption: idle power of one rank", 0.5),
    )


def isaac() -> Chip:
    """ISAAC-CE (ISCA'16): 32 nm, 168 tiles, 16 128 crossbars, 65.8 W, 85.4 mm².

    On top of the paper: a vector unit of 32 lanes for what no crossbar does (0.13 mm²), DRAM figures, and banks for
    embedding tables in the form that is sized to its workload (`with_tiles(None)`).
    """
    scale = 32 / 45  # PUMA's own factor from 45 to 32 nm
    return Chip(
        preset="isaac",
        technology=Technology(32 * NANO, 1.0, f"{ISAAC}: 32 nm; supply is an assumption"),
        tile=_tile(),
        tiles=168,
        bank=Bank(crossbars=256, adders=16),  # assumption: 1 MB of 2-bit cells, an adder per element of a 16-wide row
        banks=0,
        vector_unit=VectorUnit(
            lanes=32,  # assumption
            energy=Quantity(0.9 * 2.4 * MILLI * scale / CLOCK_HZ, "J", f"{PUMA}: ALU 2.4 mW x 32/45 at 1 GHz", 0.5),
            rate=Quantity(CLOCK_HZ, "Hz", PUMA),
            area=Quantity(0.00567 * MM2 * scale, "m²", f"{PUMA}: ALU 0.00567 mm² x 32/45"),
            leakage=Quantity(0.1 * 2.4 * MILLI * scale, "W", LEAKING),
        ),
        link=Link(
            energy=Quantity(26 * PICO / 128, "J", "Accelergy library: 26 pJ per 128 bits"),
            bandwidth=Quantity(6.4 * GIGA * 8, "bit/s", f"{ISAAC}: HyperTransport, 6.4 GB/s"),
            delay=Quantity(5 * NANO, "s", f"{PUMA}: 5 ns per packet"),
            area=Quantity(22.88 / 4 * MM2, "m²", f"{ISAAC}: 22.88 mm² for 4 links"),
            leakage=Quantity(10.4 / 4 * 0.1, "W", LEAKING),
            peak=Quantity(10.4 / 4, "W", f"{ISAAC}: 10.4 W for 4 links"),
        ),
        links=4,
        dram=ddr4(),
    )
