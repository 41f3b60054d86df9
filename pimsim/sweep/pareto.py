"""The Pareto set of a sweep, kept while its blocks stream by: memory follows the set, not the space."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim.cost import Gating
from pimsim.errors import InputError
from pimsim.files import atomic_path
from pimsim.sweep import COUNTS, RESULTS, Space
from pimsim.sweep.grid import Columns, blocks, evaluate_block
from pimsim.workload import Workload

OBJECTIVES = ("energy_j", "latency_s", "area_m2")
_JUDGES = 24  # points of the front that a block is held against before the exact step


class Front:
    """The designs that no other beats in all `objectives` (all minimised); of equal ones the first that came."""

    def __init__(self, objectives: tuple[str, ...] = OBJECTIVES) -> None:
        """Start with no design."""
        for name in objectives:
            if name not in (*RESULTS, *COUNTS):
                raise InputError(f"objectives has {name!r}, allowed: {', '.join((*RESULTS, *COUNTS))}")
        if not objectives:
            raise InputError("objectives is empty, allowed: one or more figures")
        self.objectives = objectives
        self.columns: Columns = {}

    def add(self, designs: Columns) -> None:
        """Take in a block of designs."""
        values = self._points(designs)
        alive = np.arange(len(values))
        for judge in self._judges(values):
            # Only what is beaten outright goes: equal designs are left to the exact step.
            beaten = np.all(values[alive] >= judge, axis=1) & np.any(values[alive] > judge, axis=1)
            alive = alive[~beaten]
        kept = {name: column[alive] for name, column in designs.items()}
        if self.columns:
            kept = {name: np.concatenate([self.columns[name], column]) for name, column in kept.items()}
        best = nondominated(self._points(kept))
        self.columns = {name: column[best] for name, column in kept.items()}

    def _points(self, designs: Columns) -> NDArray[Any]:
        return np.stack([np.asarray(designs[name], np.float64) for name in self.objectives], axis=1)

    def _judges(self, values: NDArray[Any]) -> NDArray[Any]:
        """Points spread over what is known: for weights on the logarithms, the best of the block and of the front."""
        known = values if not self.columns else np.concatenate([self._points(self.columns), values[::61]])
        if not len(known):
            return known
        logs = np.log(np.maximum(known, np.finfo(np.float64).tiny))
        rng = np.random.default_rng(0)  # any weights give the same front; these only decide how fast
        weights = rng.dirichlet(np.ones(len(self.objectives)), _JUDGES)
        return known[np.unique(np.argmin(logs @ weights.T, axis=0))]  # type: ignore[no-any-return]


def nondominated(points: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows no other row beats, all columns minimised; of equal rows the first."""
    import moocore

    if not len(points):
        return np.zeros(0, bool)
    return np.asarray(moocore.is_nondominated(points, keep_weakly=False), bool)


def sweep_to_front(workload: Workload, space: Space, objectives: tuple[str, ...] = OBJECTIVES, *, chips: int = 1,
                   dram: bool = False, gating: Gating = "idle_gated", chunk: int = 65536,
                   progress: Callable[[int], None] | None = None) -> tuple[Columns, int]:
    """The Pareto set of a space, with the axes and objectives of its designs, and how many designs were evaluated.

    `progress` is called with the designs done since the last call, impossible ones included.
    """
    front, count = Front(objectives), 0
    for axes in blocks(space.axes, chunk):
        part = evaluate_block(workload, space.chip, axes, objectives, chips=chips, dram=dram, gating=gating)
        front.add(part)
        count += len(part[objectives[0]])
        if progress is not None:
            progress(math.prod(map(len, axes.values())))
    return front.columns, count


def front_to_parquet(workload: Workload, space: Space, out: Path, objectives: tuple[str, ...] = OBJECTIVES,
                     **settings: Any) -> int:
    """Write the Pareto set of a space, whole or not at all; returns the number of designs that were evaluated."""
    import polars

    columns, count = sweep_to_front(workload, space, objectives, **settings)
    with atomic_path(out) as temporary:
        polars.DataFrame(columns).write_parquet(temporary)
    return count
