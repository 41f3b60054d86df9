"""What a two-dimensional plot shows of a search: its points, its front as a staircase, its hypervolume over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrec.report.summary import OBJECTIVES, Strategy, Trial

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """Mean and spread (least and greatest) over seeds, after each evaluation [n]."""

    mean: Floats
    low: Floats
    high: Floats
    seeds: int


def front_line(costs: Sequence[float], losses: Sequence[float]) -> list[int]:
    """Indices of the points that nothing beats in both cost and loss, by rising cost (equal points: the first)."""
    order = sorted(range(len(costs)), key=lambda index: (costs[index], losses[index]))
    line: list[int] = []
    for index in order:
        if not line or losses[index] < losses[line[-1]]:
            line.append(index)
    return line


def feasible_trials(strategy: Strategy) -> list[Trial]:
    """The feasible trials of all seeds together."""
    return [trial for run in strategy.seeds for trial in run.trials if trial.feasible]


def objective(trials: Sequence[Trial], name: str) -> list[float]:
    """One objective of every trial, in SI units."""
    column = OBJECTIVES.index(name)
    return [trial.values[column] for trial in trials]


def hypervolume_band(strategy: Strategy) -> Band | None:
    """Hypervolume over evaluations across seeds, as long as every seed has it; None without any."""
    length = min((len(run.hypervolume) for run in strategy.seeds), default=0)
    if length == 0:
        return None
    values = np.array([run.hypervolume[:length] for run in strategy.seeds], dtype=np.float64)
    return Band(values.mean(axis=0), values.min(axis=0), values.max(axis=0), len(values))


def loss_window(losses: Sequence[float], marks: Sequence[float]) -> tuple[float, float]:
    """The range of log loss worth showing: all of `marks`, and of `losses` what is not far above the best.

    A chip with too few ADC bits computes noise; a handful of such points would flatten everything else.
    """
    values = sorted([*losses, *marks])
    if not values:
        return 0.0, 1.0
    low = values[0]
    high = max([float(np.quantile(losses, 0.85)) if losses else low, *marks])
    pad = 0.06 * (high - low) or 0.01
    return low - pad, high + pad
