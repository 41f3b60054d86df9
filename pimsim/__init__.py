"""What a model costs on a processing-in-memory chip, and what the chip's arithmetic does to it."""

from pimsim import presets
from pimsim.chip import Chip
from pimsim.cost import Cost, Footprint, OpCost, Report
from pimsim.errors import InputError
from pimsim.evaluate import Totals, evaluate, totals
from pimsim.explain import explain
from pimsim.mapping import Mapping, Placement, place
from pimsim.quantity import Quantity
from pimsim.readout import Readout, lossless_adc_bits
from pimsim.uncertainty import UncertainReport, evaluate_uncertain, probability_less
from pimsim.workload import Elementwise, Gather, MatMul, MatVec, Workload

__all__ = [
    "Chip",
    "Cost",
    "Elementwise",
    "Footprint",
    "Gather",
    "InputError",
    "Mapping",
    "MatMul",
    "MatVec",
    "OpCost",
    "Placement",
    "Quantity",
    "Readout",
    "Report",
    "Totals",
    "UncertainReport",
    "Workload",
    "evaluate",
    "evaluate_uncertain",
    "explain",
    "lossless_adc_bits",
    "place",
    "presets",
    "probability_less",
    "totals",
]
