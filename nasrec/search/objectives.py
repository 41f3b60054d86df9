"""What the search minimises, which candidates are allowed, and how good a set of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

from nasrec.score import Score

OBJECTIVES = ("log_loss", "energy_j", "latency_s", "area_m2")


@dataclass(frozen=True)
class Budget:
    """Upper limits on a candidate's hardware; None means no limit. A candidate above one is infeasible."""

    energy_j: float | None = None
    latency_s: float | None = None
    area_m2: float | None = None

    def excess(self, score: Score) -> tuple[float, ...]:
        """Relative excess over each limit, in field order; <= 0 means within (Optuna's convention for constraints)."""
        return tuple(
            -1.0 if limit is None else getattr(score.hardware, name) / limit - 1.0
            for name, limit in asdict(self).items()
        )

    def allows(self, costs: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of `costs` [n, 3], in field order, are within every limit."""
        limits = [np.inf if limit is None else limit for limit in asdict(self).values()]
        return np.asarray(np.all(costs <= limits, axis=1))


def objective_values(score: Score) -> tuple[float, ...]:
    """The score in the order of `OBJECTIVES`; all are minimised."""
    hardware = score.hardware
    return (score.log_loss, hardware.energy_j, hardware.latency_s, hardware.area_m2)


def targeted_score(values: Sequence[float], targets: Sequence[float], weight: float = 0.02) -> float:
    """One number: log loss plus `weight` for each doubling of energy, latency or area above its target.

    `targets` are in the order of `OBJECTIVES` without log loss; a cost below its target earns nothing.
    """
    return float(values[0]) + weight * float(targeted_costs(np.asarray(values[1:]), targets))


def targeted_costs(costs: NDArray[np.float64], targets: Sequence[float]) -> NDArray[np.float64]:
    """Doublings of `costs` [..., 3] above `targets`, added up [...]."""
    return np.asarray(np.maximum(0.0, np.log2(costs / np.asarray(targets))).sum(axis=-1))


def comparable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [n, 4] on the scale on which they are compared: log loss as it is, costs as log10 (they span decades)."""
    points = np.atleast_2d(np.asarray(values, dtype=np.float64)).copy()
    points[:, 1:] = np.log10(points[:, 1:])
    return points


def hypervolume(values: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """Hypervolume that the points dominate below `reference`, in nats x decades^3 (see `comparable`)."""
    if len(values) == 0:
        return 0.0
    return float(moocore.hypervolume(comparable(np.asarray(values)), ref=comparable(np.asarray([reference]))[0]))


def hypervolume_curve(values: Sequence[Sequence[float]], reference: Sequence[float]) -> list[float]:
    """The hypervolume after each evaluation."""
    return [hypervolume(values[: count + 1], reference) for count in range(len(values))]


def front(values: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the points that no other dominates, in the given order; of equal points the first."""
    if len(values) == 0:
        return []
    kept = moocore.is_nondominated(np.asarray(values, dtype=np.float64), keep_weakly=False)
    return [int(index) for index in np.flatnonzero(kept)]


def knee(values: Sequence[Sequence[float]]) -> int:
    """Index of the point of a front that is nearest to the ideal corner, each objective scaled to the front's range."""
    points = comparable(np.asarray(values))
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    return int(np.argmin(np.linalg.norm(scaled, axis=1)))
