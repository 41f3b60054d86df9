"""The Pareto set of a sweep, kept while its blocks stream by: memory follows the set, not the space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim.errors import InputError
from pimsim.sweep.grid import FIGURES, Columns

OBJECTIVES = ("energy_j", "latency_s", "area_m2")
_JUDGES = 24  # points that a block is held against before the exact step
_SAMPLE = 1024  # designs of a block that the judges are chosen on


class Front:
    """The designs that no other beats in all `objectives` (all minimised); of equal ones the first that came."""

    def __init__(self, objectives: tuple[str, ...] = OBJECTIVES) -> None:
        """Start with no design; InputError for an objective that is no figure."""
        for name in objectives:
            if name not in FIGURES:
                raise InputError(f"objectives has {name!r}, allowed: {', '.join(FIGURES)}")
        if len(set(objectives)) < len(objectives):
            raise InputError(f"objectives has {', '.join(objectives)}, allowed: every figure once")
        if not objectives:
            raise InputError("objectives is empty, allowed: one or more figures")
        self.objectives = objectives
        self.columns: Columns = {}

    def add(self, designs: Columns) -> None:
        """Take in designs, those of a block or the best of it."""
        kept = designs
        if self.columns:
            kept = {name: np.concatenate([self.columns[name], column]) for name, column in designs.items()}
        best = nondominated(np.stack(self.points(kept), axis=1))
        self.columns = {name: column[best] for name, column in kept.items()}

    def points(self, designs: Columns) -> list[NDArray[np.float64]]:
        """The objectives of designs, an array each."""
        return [np.asarray(designs[name], np.float64) for name in self.objectives]


def best_of(points: list[NDArray[np.float64]], known: list[NDArray[np.float64]]) -> NDArray[np.intp]:
    """Places of the points that no other one beats, and none of `known` either; of equal points the first.

    `points`: for each objective an array `[designs]`; `known` likewise, or empty.
    """
    alive = np.arange(len(points[0]), dtype=np.intp)
    for judge in _judges(points, known):
        spared, equal = points[0] < judge[0], points[0] == judge[0]
        for values, limit in zip(points[1:], judge[1:], strict=True):
            spared |= values < limit
            equal &= values == limit
        spared |= equal
        left = np.flatnonzero(spared)
        if len(left) < len(spared):
            alive, points = alive.take(left), [values.take(left) for values in points]
    return alive[nondominated(np.stack(points, axis=1))]


def _judges(points: list[NDArray[np.float64]], known: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Points `[judges, objectives]` that between them beat most of a sample, the one that beats most first."""
    count = len(points[0])
    sample = np.stack([values[::max(1, count // _SAMPLE)] for values in points], axis=1)
    found = sample[nondominated(sample)]
    if known:
        found = np.concatenate([np.stack(known, axis=1), found])
    found = found[::max(1, len(found) // 256)]
    beats = np.all(found[:, None, :] <= sample[None, :, :], axis=2)
    beats &= np.any(found[:, None, :] < sample[None, :, :], axis=2)
    chosen: list[int] = []
    while len(chosen) < _JUDGES and beats.size:
        most = int(np.argmax(beats.sum(axis=1)))
        if np.count_nonzero(beats[most]) * 128 < len(sample):
            break
        chosen.append(most)
        beats = beats[:, ~beats[most]]
    return found[chosen]


def nondominated(points: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows no other row beats, all columns minimised; of equal rows the first."""
    import moocore

    if not len(points):
        return np.zeros(0, bool)
    return np.asarray(moocore.is_nondominated(points, keep_weakly=False), bool)
