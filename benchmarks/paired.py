"""Differences between models that were trained with the same seeds and tested on the same rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Difference:
    """A mean difference of log loss and its standard errors: by seed, by test row, and both together.

    By seed: how much another set of seeds would move it, these test rows given. By row: how much other test rows
    would, these trained models given. Together: root of the sum of squares, as for two independent reasons. None where
    there is one seed or one row only.
    """

    mean: float
    by_seed: float | None
    by_row: float | None

    @property
    def error(self) -> float | None:
        """Both together."""
        return None if self.by_seed is None or self.by_row is None else math.hypot(self.by_seed, self.by_row)

    def to_json(self) -> dict[str, float | None]:
        """Plain values."""
        return {"mean": self.mean, "by_seed": self.by_seed, "by_row": self.by_row, "error": self.error}


def difference(losses: NDArray[np.float64], others: NDArray[np.float64]) -> Difference:
    """`losses` minus `others`, each [seeds, rows]: the same seeds and rows in the same order.

    Raises ValueError where the shapes differ.
    """
    if losses.shape != others.shape or losses.ndim != 2:
        raise ValueError(f"losses {losses.shape} and {others.shape}: expected the same [seeds, rows]")
    gaps = losses - others
    return Difference(float(gaps.mean()), standard_error(gaps.mean(axis=1)), standard_error(gaps.mean(axis=0)))


def standard_error(values: NDArray[np.float64]) -> float | None:
    """Of the mean of independent values; None for fewer than two."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
