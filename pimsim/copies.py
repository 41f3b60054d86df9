"""Copies of reused weights under a budget of crossbars: as many as level the busiest operator."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from pimsim.quantity import Count, Number, ceil_div


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
    candidates, place = levelled_place(stages, budget)
    return np.asarray(candidates)[place] if isinstance(place, np.ndarray) else candidates[place]


def levelled_place(stages: Iterable[tuple[int, Count]], budget: Count) -> tuple[tuple[int, ...], Count]:
    """As `levelled_rounds`: the numbers of rounds worth looking at, ascending, and the place of the least in them."""
    by_vectors: dict[int, Count] = {}
    for vectors, crossbars in stages:
        by_vectors[vectors] = by_vectors[vectors] + crossbars if vectors in by_vectors else crossbars
    candidates = round_counts(tuple(by_vectors))
    last = len(candidates) - 1

    def needed(rounds: Count) -> Count:
        total: Count = 0
        for vectors, crossbars in by_vectors.items():
            total = total + ceil_div(vectors, rounds) * crossbars
        return total

    if not isinstance(budget, np.ndarray) and not any(isinstance(x, np.ndarray) for x in by_vectors.values()):
        place = bisect_left(candidates, True, key=lambda rounds: bool(needed(rounds) <= budget))
        return candidates, min(place, last)
    each = np.broadcast_shapes(*(np.shape(x) for x in by_vectors.values()))  # designs that need different numbers
    steps = [1 << bit for bit in reversed(range(len(candidates).bit_length()))]
    # One row per design: what it needs, falling; then, so that a step never leads past it, what always fits.
    falling = np.full((*each, 2 * steps[0]), -1, np.int64)
    for index, rounds in enumerate(candidates):
        falling[..., index] = needed(rounds)
    rows = np.arange(math.prod(each), dtype=np.intp).reshape(each) * (2 * steps[0])
    found = np.broadcast_to(rows, np.broadcast_shapes(each, np.shape(budget))).copy()
    for step in steps:
        too_few = np.greater(falling.reshape(-1)[step - 1:].take(found, mode="clip"), budget)
        found += np.multiply(too_few, step, dtype=np.intp)
    found -= rows
    return candidates, np.minimum(found, last, out=found)


def budget_of_area(area_m2: Number, fixed_m2: Number, tile_m2: Number, tile_crossbars: Count) -> Count:
    """Crossbars of the tiles that fit `area_m2` beside `fixed_m2` (banks, vector unit, links); below 0: too few."""
    tiles = np.floor((area_m2 - fixed_m2) / tile_m2)
    whole = tiles.astype(np.int64) if isinstance(tiles, np.ndarray) else int(tiles)
    return whole * tile_crossbars
