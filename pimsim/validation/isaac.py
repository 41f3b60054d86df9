"""ISAAC-CE (ISCA'16): its table adds up through the model's own roll-up, and its ADC rule holds."""

from __future__ import annotations

from pimsim.cost import total_footprint
from pimsim.presets import isaac
from pimsim.quantity import MICRO, MILLI
from pimsim.readout import lossless_adc_bits
from pimsim.validation.point import Factor, Point

TARGET = "ISAAC-CE"


def validate() -> tuple[list[Point], list[Factor]]:
    """Power, area, rate, capacity and the ADCs' share; published figures from the paper's component table."""
    chip = isaac()
    ima, tile = total_footprint(chip.tile.ima.parts()), total_footprint(chip.tile.parts())
    parts = chip.parts(168, 0, 1, dram=False)
    whole = total_footprint(parts)
    tops = float(chip.tops(16, 16))
    area = float(whole.area_m2) / MICRO  # mm²
    adc = float(parts["adc"].peak_w)
    ima_adc = float(chip.tile.ima.parts()["adc"].peak_w)
    tile_adc = float(chip.tile.parts()["adc"].peak_w)
    megabytes = 16_128 * float(chip.crossbar.bits) / 8 / 2**20
    rows = [
        ("power of an IMA, mW", 24.08, float(ima.peak_w) / MILLI),  # ISAAC, component table
        ("area of an IMA, mm²", 0.01312, float(ima.area_m2) / MICRO),  # ISAAC, component table
        ("power of a tile, mW", 329.8, float(tile.peak_w) / MILLI),  # ISAAC, component table
        ("area of a tile, mm²", 0.3723, float(tile.area_m2) / MICRO),  # ISAAC, component table
        ("power of the chip, W", 65.8, float(whole.peak_w)),  # ISAAC, component table
        ("area of the chip, mm²", 85.4, area),  # ISAAC, component table
        ("peak rate at 16 x 16 bits, TOPS", 41.29, tops),  # ISAAC: 16 128 arrays, 100 ns, 2 operations per MAC
        ("rate per area, GOPS/mm²", 479.0, 1e3 * tops / area),  # ISAAC, text
        ("weights, MB", 63.0, megabytes),  # ISAAC: 16 128 arrays of 128 x 128 x 2 bits
        ("ADCs' share of an IMA's power", 16 / 24.08, ima_adc / float(ima.peak_w)),  # ISAAC, component table
        ("ADCs' share of a tile's power", 0.58, tile_adc / float(tile.peak_w)),  # ISAAC, text: 58 %
        ("ADCs' share of the chip's power", 0.490, adc / float(whole.peak_w)),  # Xiao et al., review: 49 %
        ("lossless ADC bits, 128 rows", 9.0, float(lossless_adc_bits(128, 2, 1, flip=False))),  # ISAAC, section 5
        ("lossless ADC bits with flip encoding", 8.0, float(lossless_adc_bits(128, 2, 1))),  # ISAAC, section 5
    ]
    return [Point(TARGET, quantity, "arithmetic", published, modelled) for quantity, published, modelled in rows], []
