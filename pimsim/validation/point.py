"""What validation consists of: a published figure beside the model's, and a factor that was fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["arithmetic", "calibrated", "predicted"]
"""The published table adds up; a factor was fitted to this figure, or it follows by construction; none of these."""


@dataclass(frozen=True)
class Point:
    """One figure of a target; `quantity` names its unit, in which `published` and `modelled` are given."""

    target: str
    quantity: str
    kind: Kind
    published: float
    modelled: float

    @property
    def error(self) -> float:
        """Modelled over published, less one; where zero is published, what was modelled."""
        return self.modelled / self.published - 1.0 if self.published else self.modelled

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"target": self.target, "quantity": self.quantity, "kind": self.kind, "published": self.published,
                "modelled": self.modelled, "error": self.error}


@dataclass(frozen=True)
class Factor:
    """A number that was fitted to a target: what it multiplies, its value, and the loss that decided it."""

    target: str
    what: str
    value: float
    loss: str


@dataclass(frozen=True)
class Validation:
    """All points and all fitted factors."""

    points: tuple[Point, ...]
    factors: tuple[Factor, ...]

    def count(self, kind: Kind) -> int:
        """How many points are of a kind."""
        return sum(point.kind == kind for point in self.points)


def relative_fit(modelled: Sequence[float], published: Sequence[float]) -> float:
    """The factor k with the least sum of (k · modelled / published - 1)²: relative least squares."""
    ratios = [m / p for m, p in zip(modelled, published, strict=True)]
    return sum(ratios) / sum(ratio * ratio for ratio in ratios)
