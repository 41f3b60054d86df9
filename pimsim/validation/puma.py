"""PUMA (ASPLOS'19): the node's power and area from the constants of its simulator; its rate by construction."""

from __future__ import annotations

from pimsim.cost import total_footprint
from pimsim.presets import puma
from pimsim.quantity import MICRO, MILLI
from pimsim.validation.point import Factor, Kind, Point

TARGET = "PUMA"


def validate() -> tuple[list[Point], list[Factor]]:
    """Power, area, rate and capacity of the node, and the power of a matrix unit."""
    chip = puma()
    whole = total_footprint(chip.parts(138, 0, 1, dram=False))
    unit = 8 * float(total_footprint(chip.crossbar.parts()).peak_w)  # W: a matrix unit is 8 crossbars
    tops, area, power = float(chip.tops(16, 16)), float(whole.area_m2) / MICRO, float(whole.peak_w)
    crossbars = 138 * chip.tile.crossbars
    rows: list[tuple[str, Kind, float, float]] = [
        ("power, W", "arithmetic", 62.5, power),  # PUMA'19, node
        ("area, mm²", "arithmetic", 90.6, area),  # PUMA'19, node
        ("peak rate at 16 x 16 bits, TOPS", "calibrated", 52.31, tops),  # PUMA'19, node; the stage is set to meet it
        ("rate per area, TOPS/mm²", "calibrated", 0.577, tops / area),  # PUMA'19, abstract
        ("rate per power, TOPS/W", "calibrated", 0.837, tops / power),  # PUMA'19, abstract
        ("matrix units", "arithmetic", 2208.0, crossbars / 8),  # PUMA'19: 138 tiles x 8 cores x 2
        ("weights, MB", "arithmetic", 69.0, crossbars * float(chip.crossbar.bits) / 8 / 2**20),  # PUMA'19
        ("power of a matrix unit, mW", "arithmetic", 43.97 / 2304 / MILLI, unit / MILLI),  # 43.97 nJ in 2304 ns
    ]
    return [Point(TARGET, *row) for row in rows], []
