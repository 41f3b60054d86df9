"""What a user writes with numba, one thread: its parallel loops bring a second OpenMP pool into a process with torch.

That second pool keeps turning on the cores that the others are measured on; so with two threads numba is left out.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lookups import TABLES, Lookups
from benchmarks.peers import module
from benchmarks.timing import Work

Floats = NDArray[np.float32]


@cache
def _compiled() -> dict[str, Any] | str:
    """The three loops, compiled when first called; the reason where numba is absent."""
    numba: Any = module("numba")
    if isinstance(numba, str):
        return numba
    compiled = numba.njit(fastmath=True, error_model="numpy")

    @compiled
    def embedding_bag(tables: Floats, rows: NDArray[np.int64], pooled: int, batch: int, out: Floats) -> None:
        for bag in range(len(rows) // pooled):
            of_bag = out[bag % batch, bag // batch]
            of_bag[:] = 0
            for place in range(bag * pooled, (bag + 1) * pooled):
                row = tables[rows[place]]
                for k in range(len(of_bag)):
                    of_bag[k] += row[k]

    @compiled
    def dot_interaction(x: Floats, out: Floats) -> None:
        for sample in range(x.shape[0]):
            pair = 0
            for i in range(1, x.shape[1]):
                for j in range(i):
                    total = np.float32(0)
                    for k in range(x.shape[2]):
                        total += x[sample, i, k] * x[sample, j, k]
                    out[sample, pair] = total
                    pair += 1

    @compiled
    def fm_interaction(x: Floats, out: Floats) -> None:
        squares = np.zeros(x.shape[2], np.float32)
        for sample in range(x.shape[0]):
            total = out[sample]
            total[:] = 0
            squares[:] = 0
            for i in range(x.shape[1]):
                for k in range(x.shape[2]):
                    value = x[sample, i, k]
                    total[k] += value
                    squares[k] += value * value
            for k in range(x.shape[2]):
                total[k] = total[k] * total[k] - squares[k]

    return {"embedding_bag": embedding_bag, "dot_interaction": dot_interaction, "fm_interaction": fm_interaction}


def _loop(name: str, threads: int) -> Any:
    if threads > 1:
        return "numba is measured with one thread: its parallel loops bring a second OpenMP pool"
    loops = _compiled()
    return loops if isinstance(loops, str) else loops[name]


def embedding_bag(tables: Floats, lookups: Lookups, threads: int) -> Work | str:
    """Sum of the rows of each bag: `[batch, tables, dim]`."""
    loop = _loop("embedding_bag", threads)
    if isinstance(loop, str):
        return loop
    rows, pooled, shape = lookups.pool_rows, lookups.pooled, (lookups.batch, TABLES, tables.shape[1])

    def look_up() -> Floats:
        out = np.empty(shape, np.float32)
        loop(tables, rows, pooled, shape[0], out)
        return out

    return look_up


def dot_interaction(x: Floats, threads: int) -> Work | str:
    """Products of all pairs of rows below the diagonal: `[batch, pairs]`."""
    return _of_features("dot_interaction", x, x.shape[1] * (x.shape[1] - 1) // 2, threads)


def fm_interaction(x: Floats, threads: int) -> Work | str:
    """Square of the sum less sum of the squares: `[batch, dim]`."""
    return _of_features("fm_interaction", x, x.shape[2], threads)


def _of_features(name: str, x: Floats, width: int, threads: int) -> Work | str:
    loop = _loop(name, threads)
    if isinstance(loop, str):
        return loop

    def interact() -> Floats:
        out = np.empty((len(x), width), np.float32)
        loop(x, out)
        return out

    return interact
