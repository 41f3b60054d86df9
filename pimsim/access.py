"""How often the rows of a table are used: shares of the lookups from counts, from a trace, or Zipf by assumption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from pimsim.errors import InputError
from pimsim.quantity import Count, Number, each
from pimsim.workload import Gather

_SUMMED = 4096  # terms of a harmonic number that are added one by one


def access_steps(counts: ArrayLike, most: int = 64) -> tuple[tuple[int, float], ...]:
    """Steps for `Gather.access` from the accesses of each row, in any order; at most `most` steps, finest at the top.

    The rows are sorted by their counts and cut at ranks that grow by a constant factor.
    """
    ordered = np.sort(np.asarray(counts, np.float64))[::-1]
    if ordered.ndim != 1 or not len(ordered) or ordered[-1] < 0:
        raise InputError(f"counts has shape {np.shape(counts)}, allowed: one count, 0 or more, for each row")
    cuts = np.unique(np.ceil(len(ordered) ** (np.arange(most + 1) / most)).astype(np.int64))
    edges = [0, *(int(cut) for cut in cuts)]
    return tuple((stop - start, float(ordered[start:stop].sum())) for start, stop in pairwise(edges))


@lru_cache(maxsize=4096)
def harmonic(n: int, s: float) -> float:
    """The generalised harmonic number H(n, s) = sum over k = 1 … n of k^-s.

    Beyond 4096 terms by the Euler-Maclaurin formula, whose next term is below 1e-12 of the whole there.
    """
    if n <= _SUMMED:
        return math.fsum(math.pow(k, -s) for k in range(1, n + 1))
    a, b = float(_SUMMED), float(n)
    span = math.log(b / a)  # near s = 1 the difference of both powers would lose its digits
    integral = span if s == 1.0 else math.pow(a, 1.0 - s) * math.expm1((1.0 - s) * span) / (1.0 - s)
    ends = (math.pow(b, -s) - math.pow(a, -s)) / 2.0
    slopes = s * (math.pow(a, -s - 1.0) - math.pow(b, -s - 1.0)) / 12.0
    return harmonic(_SUMMED, s) + integral + ends + slopes


def is_known(op: Gather) -> bool:
    """Whether `op` says how its rows are used."""
    return op.zipf is not None or bool(op.steps)


@lru_cache(maxsize=65536)
def _share(zipf: float | None, steps: tuple[tuple[int, float], ...], total: int, rows: int) -> float:
    """Share of the accesses that the `rows` hottest of `total` rows get."""
    if rows >= total:
        return 1.0
    if zipf is not None:
        return harmonic(rows, zipf) / harmonic(total, zipf)
    left, hits = rows, 0.0
    for held, accesses in steps:
        if left >= held:
            hits += accesses
        else:
            hits += accesses * left / held
        left = max(left - held, 0)
    return min(hits / sum(accesses for _, accesses in steps), 1.0)


def hit_share(op: Gather, rows: Count) -> Number:
    """Share of the lookups of `op` that go to its `rows` hottest rows.

    Zipf: H(rows, s) / H(all, s). Steps and traces: within a step the accesses are spread evenly; rows that a trace does
    not show are taken as never used. InputError if `op` does not say how its rows are used.
    """
    require_use(op)
    return each(lambda count: _share(op.zipf, op.steps, op.rows, int(count)), rows)


def require_use(op: Gather) -> None:
    """InputError if nothing says how the rows of `op` are used."""
    if not is_known(op):
        raise InputError(f"{op.name}: nothing says how its rows are used, needed: field 'zipf', 'access' or 'trace'")


@lru_cache(maxsize=4096)
def _block_shares(zipf: float | None, steps: tuple[tuple[int, float], ...], total: int, block: int,
                  first: int) -> Sequence[float]:
    """Shares of the hottest blocks of `block` rows, rows in the order of their use; the last entry holds all others.

    The first block has only `first` rows.
    """
    blocks = min(1 - (first - total) // block, _SUMMED)
    reached = [0.0, *(_share(zipf, steps, total, min(first + i * block, total)) for i in range(blocks))]
    return [*(b - a for a, b in pairwise(reached)), 1.0 - reached[-1]]


def ordered_blocks(op: Gather, block: int, lookups: float, first: int | None = None) -> float:
    """Expected number of different blocks of `block` rows that `lookups` lookups touch, rows in the order of their use.

    `first`: rows of the first block, if fewer. The lookups are independent (assumption): the sum over blocks of
    1 - (1 - p)^lookups. Beyond the 4096 hottest blocks the rest of the accesses is spread evenly, which is the most
    that those blocks can add.
    """
    first = block if first is None else first
    *shares, rest = _block_shares(op.zipf, op.steps, op.rows, block, first)
    found = math.fsum(1.0 - (1.0 - min(share, 1.0)) ** lookups for share in shares)
    others = 1 - (first - op.rows) // block - len(shares)
    return min(found + spread_blocks(others, max(rest, 0.0), lookups), lookups)


def spread_blocks(blocks: int, share: float, lookups: float) -> float:
    """Expected number of different ones of `blocks` equal blocks that `lookups` lookups touch.

    Each lookup goes to one of them with probability `share`.
    """
    return min(blocks * (1.0 - (1.0 - share / blocks) ** lookups), lookups) if blocks else 0.0
