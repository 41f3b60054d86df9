"""A chip at another node: what of it scales, by which law, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pimsim.adc import survey_adc
from pimsim.figures import SCALED, Figure, figures, with_replaced
from pimsim.quantity import Table
from pimsim.survey import survey_energy_j

if TYPE_CHECKING:
    from pimsim.chip import Chip

_LAW = "Stillmaker & Baas"
_TREND = "the survey's trend of ADCs"
_STAYING = ("cell", "crossbar", "sample_hold", "link", "dram", "chip")  # owners of figures that no node changes


def at_node(chip: Chip, node_nm: int) -> Chip:
    """`chip` at another node, from its nominal supply to the other's; see `Chip.at_node`."""
    here = chip.technology
    there = here.at(node_nm)
    if there is here:
        return chip
    area, energy, delay = here.area_scale(there), here.energy_scale(there), here.delay_scale(there)
    # The regression has the node as a factor: bits and rate do not matter.
    trend = survey_energy_j(8, 1e9, there.node_m) / survey_energy_j(8, 1e9, here.node_m)
    by_unit = {"J": energy, "W": energy, "s": delay, "Hz": 1.0 / delay, "bit/s": 1.0 / delay}
    new: dict[str, Figure] = {}
    for name, figure in figures(chip).items():
        owner, _, field = name.rpartition(".")
        if figure.unit == "m²":
            factor, law = area, _LAW
        elif owner == "adc":
            factor, law = (1.0 if field == "rate" else trend), _TREND
        elif owner in _STAYING or figure.unit not in by_unit:
            continue
        else:
            factor, law = (energy / delay if field == "peak" else by_unit[figure.unit]), _LAW
        if factor != 1.0:
            new[name] = _times(figure, factor, f"{SCALED}{here.node_nm} nm by {factor:.4g}, {law}")
    if chip.crossbar.adc.model == "survey":
        there_adc = survey_adc(there.node_m)
        new |= {"adc.energy": there_adc.energy, "adc.area": there_adc.area, "adc.leakage": there_adc.leakage}
    return replace(with_replaced(chip, new), technology=there)


def _times(figure: Figure, factor: float, note: str) -> Figure:
    source = figure.source + note
    if isinstance(figure, Table):
        return replace(figure, values=tuple(value * factor for value in figure.values), source=source)
    return replace(figure, value=figure.value * factor, source=source)
