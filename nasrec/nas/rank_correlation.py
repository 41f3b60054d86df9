"""How well one list of numbers orders what another list measures: Kendall's tau and Pearson's r, with intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasrec.errors import InputError

CONFIDENCE = 0.95
RESAMPLES = 10_000
CHUNK = 500  # resamples at a time: bounds memory, changes no result


@dataclass(frozen=True)
class Estimate:
    """A statistic, and the ends of its bootstrap interval; None where it is undefined (a list of equal numbers)."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class RankCorrelation:
    """Kendall's tau-b and Pearson's r over `count` pairs."""

    count: int
    kendall: Estimate
    pearson: Estimate

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def correlate(x: ArrayLike, y: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> RankCorrelation:
    """Kendall's tau-b and Pearson's r of `x` [N] and `y` [N], each with a 95 % bootstrap interval.

    The interval is the percentile bootstrap's (Efron 1979): pairs are drawn anew with replacement `resamples` times,
    and its ends are the 2.5 % and 97.5 % quantiles of the statistic. A pair that is drawn twice is tied with itself in
    both lists, which tau-b leaves out; draws in which a statistic is undefined are left out too. The same arguments
    give the same interval. Raises InputError for lists of unequal length, or with a number that is not finite.
    """
    a, b = (np.asarray(values, np.float64).reshape(-1) for values in (x, y))
    if a.size != b.size or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError(f"correlation: {a.size} and {b.size} numbers: allowed are equal counts of finite numbers")
    if a.size < 2:
        return RankCorrelation(int(a.size), Estimate(None, None, None), Estimate(None, None, None))
    rng = np.random.default_rng(seed)
    sizes = [min(CHUNK, resamples - done) for done in range(0, resamples, CHUNK)]
    weights = [rng.multinomial(a.size, np.full(a.size, 1 / a.size), size=size).astype(np.float64) for size in sizes]
    kendall, pearson = (
        _estimate(statistic(a, b, np.ones((1, a.size))), [statistic(a, b, drawn) for drawn in weights])
        for statistic in (_kendall, _pearson)
    )
    return RankCorrelation(int(a.size), kendall, pearson)


def _kendall(x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kendall's tau-b (Kendall 1945) for each row of `weights` [R, N], which say how often a pair is in the list.

    tau_b = (concordant - discordant) / sqrt(pairs not tied in x * pairs not tied in y).
    """
    of_x, of_y = (np.sign(values[:, None] - values[None, :]) for values in (x, y))

    def over_pairs(signs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(((weights @ signs) * weights).sum(axis=1))

    return _ratio(over_pairs(of_x * of_y), over_pairs(of_x * of_x) * over_pairs(of_y * of_y))


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's r for each row of `weights` [R, N]."""
    total = weights.sum(axis=1, keepdims=True)
    of_x, of_y = (values - (weights @ values)[:, None] / total for values in (x, y))
    covariance = (weights * of_x * of_y).sum(axis=1)
    square = (weights * of_x**2).sum(axis=1) * (weights * of_y**2).sum(axis=1)
    # Equal numbers have no spread; rounding of their mean must not invent one.
    return _ratio(covariance, np.where(_differ(x, weights) & _differ(y, weights), square, 0.0))


def _differ(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each row of `weights` [R, N] has drawn two different `values` [N]."""
    drawn = weights > 0
    return np.asarray(np.where(drawn, values, -np.inf).max(axis=1) > np.where(drawn, values, np.inf).min(axis=1))


def _ratio(above: NDArray[np.float64], below_square: NDArray[np.float64]) -> NDArray[np.float64]:
    """`above` / sqrt(`below_square`), which rounding must not take beyond -1 or 1; NaN where it is 0 / 0."""
    defined = below_square > 0
    return np.where(defined, np.clip(above / np.sqrt(np.where(defined, below_square, 1.0)), -1.0, 1.0), np.nan)


def _estimate(value: NDArray[np.float64], drawn: list[NDArray[np.float64]]) -> Estimate:
    defined = np.concatenate([np.empty(0), *drawn])
    defined = defined[np.isfinite(defined)]
    if not np.isfinite(value[0]) or defined.size == 0:
        return Estimate(float(value[0]) if np.isfinite(value[0]) else None, None, None)
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(value[0]), float(low), float(high))
