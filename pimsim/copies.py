"""Copies of reused weights under a budget of crossbars: as many as level the busiest operator."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pimsim.quantity import Count, Number, ceil_div, larger


@lru_cache(maxsize=256)
def round_counts(vectors: tuple[int, ...]) -> tuple[int, ...]:
    """Every number of rounds r at which some ceil(v / r) changes, ascending: the numbers worth looking at.

    ceil(v / r) = k first holds at r = ceil(v / k), so these are the values ceil(v / k): about 2·sqrt(v) for each v.
    """
    found = {1}
    for most in vectors:
        root = int(most**0.5) + 1
        found.update(range(1, min(root, most) + 1))
        found.update(-(-most // k) for k in range(1, root + 1))
    return tuple(sorted(found))


def levelled_rounds(stages: Iterable[tuple[int, Count]], budget: Count) -> Count:
    """The least r such that all operators fit `budget` crossbars when each has enough copies for r rounds.

    `stages`: for each operator its vectors v and the crossbars x of one copy. The copies are ceil(v / r), so their sum
    of x · ceil(v / r) never rises with r and the least r is exact. Where not even one copy each fits: the most vectors,
    which is one copy each. `budget` and x may be arrays that broadcast, a value per design.
    """
    by_vectors: dict[int, Count] = {}
    for vectors, crossbars in stages:
        by_vectors[vectors] = by_vectors[vectors] + crossbars if vectors in by_vectors else crossbars
    if not by_vectors:
        return 1
    candidates = round_counts(tuple(by_vectors))

    def needed(rounds: Count) -> Count:
        total: Count = 0
        for vectors, crossbars in by_vectors.items():
            total = total + ceil_div(vectors, rounds) * crossbars
        return total

    last = len(candidates) - 1
    if not isinstance(budget, np.ndarray) and not any(isinstance(x, np.ndarray) for x in by_vectors.values()):
        return candidates[min(bisect_left(candidates, True, key=lambda rounds: bool(needed(rounds) <= budget)), last)]
    values = np.asarray(candidates)
    low: NDArray[np.int64] = np.zeros(np.broadcast_shapes(*(np.shape(x) for x in (budget, *by_vectors.values()))), int)
    high = np.full_like(low, last)
    for _ in range(last.bit_length()):
        middle = (low + high) // 2
        fits = np.less_equal(needed(values[middle]), budget)
        high = np.where(fits, middle, high)
        low = np.minimum(np.where(fits, low, middle + 1), high)
    return values[high]


def budget_of_area(area_m2: Number, fixed_m2: Number, tile_m2: Number, tile_crossbars: Count) -> Count:
    """Crossbars of the tiles that fit `area_m2` beside `fixed_m2` (banks, vector unit, links); never below 0."""
    tiles = np.floor((area_m2 - fixed_m2) / tile_m2)
    whole = tiles.astype(np.int64) if isinstance(tiles, np.ndarray) else int(tiles)
    return larger(whole, 0) * tile_crossbars  # type: ignore[no-any-return]
