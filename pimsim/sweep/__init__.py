"""Every chip of a product space over one workload, with the formulas of `evaluate` on arrays of designs."""

from pimsim.sweep.designs import evaluate_designs
from pimsim.sweep.grid import COUNTS, FIGURES, RESULTS
from pimsim.sweep.pareto import Front
from pimsim.sweep.run import front_to_parquet, sweep, sweep_to_front, sweep_to_parquet
from pimsim.sweep.space import AXES, Space
from pimsim.sweep.workers import Threads

__all__ = [
    "AXES",
    "COUNTS",
    "FIGURES",
    "RESULTS",
    "Front",
    "Space",
    "Threads",
    "evaluate_designs",
    "front_to_parquet",
    "sweep",
    "sweep_to_front",
    "sweep_to_parquet",
]
