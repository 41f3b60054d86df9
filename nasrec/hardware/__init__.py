"""The seam between models and hardware: the only room of `nasrec` that imports `pimsim`."""

from nasrec.hardware.arithmetic import arithmetic_of
from nasrec.hardware.baseline import baseline_workload
from nasrec.hardware.chip import chip_of, chip_to_toml, choice_from_toml
from nasrec.hardware.chips import NUMERIC, CostedChips, costed_chips, is_lossless
from nasrec.hardware.cost import HardwareCost, breakdown_of, cost_of, measure, measure_workload
from nasrec.hardware.counts import Counts, counts_of
from nasrec.hardware.workload import EMBEDDING_BITS, workload_of
from pimsim import Workload

__all__ = [
    "EMBEDDING_BITS",
    "NUMERIC",
    "CostedChips",
    "Counts",
    "HardwareCost",
    "Workload",
    "arithmetic_of",
    "baseline_workload",
    "breakdown_of",
    "chip_of",
    "chip_to_toml",
    "choice_from_toml",
    "cost_of",
    "costed_chips",
    "counts_of",
    "is_lossless",
    "measure",
    "measure_workload",
    "workload_of",
]
