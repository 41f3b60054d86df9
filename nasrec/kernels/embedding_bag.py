"""Look-up and pooling of bags of rows of many tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np

from nasrec import _kernels
from nasrec.kernels.implementation import Floats, Ids, Implementation, is_compiled

Pooling: TypeAlias = Literal["sum", "mean"]


def embedding_bag(
    tables: Sequence[Floats],
    ids: Ids,
    offsets: Ids | None = None,
    *,
    pooling: Pooling = "mean",
    implementation: Implementation = "kernel",
) -> Floats:
    """Look up bags of rows of many tables and pool each: `[batch, tables, dim]`.

    `tables`: one `[rows, dim]` per table. `ids` int64 `[batch, tables]`, one per table; or, with `offsets` int64
    `[tables * batch + 1]`, a flat list: bag (t, b) is `ids[offsets[t * batch + b] : offsets[t * batch + b + 1]]`.
    An empty bag gives zeros. IndexError where an id is not in its table names the table, the position (the sample, or
    the place in the flat list) and the id.
    """
    mean = is_mean(pooling)
    if is_compiled(implementation):
        return _kernels.embedding_bag(tables, ids, offsets, mean)
    return _embedding_bag(tables, ids, offsets, mean)


def is_mean(pooling: str) -> bool:
    """Whether `pooling` is "mean", not "sum"; ValueError for anything else."""
    if pooling not in ("sum", "mean"):
        raise ValueError(f"pooling: {pooling!r}, allowed: 'sum' or 'mean'")
    return pooling == "mean"


def bags(tables: int, ids: Ids, offsets: Ids | None) -> Iterator[tuple[int, int, Ids]]:
    """Table, sample and ids of every bag, for the definitions."""
    if offsets is None:
        yield from ((t, b, ids[b, t : t + 1]) for t in range(tables) for b in range(len(ids)))
        return
    batch = (len(offsets) - 1) // tables
    for bag in range(tables * batch):
        yield bag // batch, bag % batch, ids[offsets[bag] : offsets[bag + 1]]


def _embedding_bag(tables: Sequence[Floats], ids: Ids, offsets: Ids | None, mean: bool) -> Floats:
    """Sum or mean of each bag's rows: `[batch, tables, dim]`."""
    batch = len(ids) if offsets is None else (len(offsets) - 1) // len(tables)
    out = np.zeros((batch, len(tables), tables[0].shape[1]), tables[0].dtype)
    for t, b, bag in bags(len(tables), ids, offsets):
        if len(bag):
            out[b, t] = tables[t][bag].sum(axis=0) / (len(bag) if mean else 1)
    return out
