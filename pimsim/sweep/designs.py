"""Designs that are no product of axes: one value of each option per design."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim.chip import Chip
from pimsim.cost import Gating
from pimsim.evaluate import add_up
from pimsim.mapping import place, possible
from pimsim.sweep.grid import RESULTS, Columns
from pimsim.workload import Workload


def evaluate_designs(workload: Workload, chip: Chip, designs: Columns, *, chips: int = 1, dram: bool = False,
                     gating: Gating = "idle_gated") -> Columns:
    """The possible ones of `designs` with their results; adc_bits 0 is replaced by the lossless bits."""
    designs = _select(designs, _buildable(chip, designs))
    built = _built(chip, designs)
    mapping = place(workload, built, copies=designs.get("copies", 1), chips=chips, dram=dram)
    fits = np.broadcast_to(possible(mapping, built), _count(designs))
    if not fits.all():
        designs = _select(designs, fits)
        built = _built(chip, designs)
        mapping = place(workload, built, copies=designs.get("copies", 1), chips=chips, dram=dram)
    totals = add_up(workload, built, mapping, gating=gating)
    figures = {name: getattr(totals, name) for name in RESULTS if name != "utilization"}
    figures["utilization"] = mapping.utilization
    figures |= {"crossbars": mapping.crossbars, "tiles": mapping.tiles, "banks": mapping.banks}
    if "adc_bits" in designs:
        designs = {**designs, "adc_bits": np.broadcast_to(built.crossbar.adc_bits, _count(designs))}
    return {**designs, **{name: np.broadcast_to(value, _count(designs)) for name, value in figures.items()}}


def _count(designs: Columns) -> int:
    return len(next(iter(designs.values()))) if designs else 1


def _select(designs: Columns, keep: NDArray[Any]) -> Columns:
    return designs if keep.all() else {name: values[keep] for name, values in designs.items()}


def _buildable(chip: Chip, designs: Columns) -> NDArray[Any]:
    """Which designs can exist, the chip's own options standing in for axes that the space does not have."""
    options = {**chip.options(), **designs}
    possible = np.less_equal(options["columns_per_adc"], options["columns"])
    if options["active_rows"] is not None:
        possible = possible & np.less_equal(options["active_rows"], options["rows"])
    return np.broadcast_to(possible, _count(designs))


def _built(chip: Chip, designs: Columns) -> Chip:
    """One chip whose options are arrays, a value per design."""
    options = {name: values for name, values in designs.items() if name != "copies"}
    bits = options.pop("adc_bits", None)
    if bits is None or not _count(designs):
        return chip.with_options(**options)
    if np.all(bits != 0):
        return chip.with_options(**options, adc_bits=bits)
    lossless = chip.with_options(**options, adc_bits=None).crossbar.adc_bits
    return chip.with_options(**options, adc_bits=np.where(bits == 0, lossless, bits))


