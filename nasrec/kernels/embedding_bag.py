"""Look-up and pooling of bags of rows of many tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nasrec import _kernels
from nasrec.kernels.implementation import Floats, Ids, Implementation, is_compiled
from nasrec.kernels.quantized_rows import QuantizedRows

Pooling: TypeAlias = Literal["sum", "mean"]
Table: TypeAlias = NDArray[np.floating[Any]] | NDArray[np.uint16] | QuantizedRows


def embedding_bag(
    tables: Sequence[Table],
    ids: Ids,
    offsets: Ids | None = None,
    *,
    weights: Floats | None = None,
    pooling: Pooling = "mean",
    out: NDArray[np.float32] | None = None,
    implementation: Implementation = "kernel",
) -> Floats:
    """Look up bags of rows of many tables and pool each: float32 `[batch, tables, dim]`.

    `tables`: one `[rows, dim]` per table, all float32, all float16, all uint16 (the bits of bfloat16), or all
    `QuantizedRows` of equal bits and dim. `ids` int64 `[batch, tables]`, one per table; or, with `offsets` int64
    `[tables * batch + 1]`, a flat list: bag (t, b) is `ids[offsets[t * batch + b] : offsets[t * batch + b + 1]]`.
    `weights`: float32, shaped as `ids`, the factor of each row, with pooling "sum" only. An empty bag gives zeros.
    `out`: an array to fill and return, contiguous and no part of a table. Rows are added in the order of the ids in
    float32: the same bits for any number of threads, and on any instruction set except for codes, whose products AVX2
    and AVX-512 add by fused multiply-adds and plain C++ does not.

    IndexError where an id is not in its table names the table, the position (the sample, or the place in the flat list)
    and the id; `out` is untouched then, as after a ValueError or TypeError for what does not fit.
    """
    mean = is_mean(pooling)
    if mean and weights is not None:
        raise ValueError("weights: only with pooling 'sum'")
    first = tables[0] if len(tables) else None
    if not is_compiled(implementation):
        found = _embedding_bag([_values(table) for table in tables], ids, offsets, weights, mean)
        if out is None:
            return found
        out[:] = found
        return out
    if not isinstance(first, QuantizedRows):
        return _kernels.embedding_bag(tables, ids, offsets, weights, mean, out)
    codes, scale_bias = [], []
    for t, table in enumerate(tables):
        if not isinstance(table, QuantizedRows) or (table.bits, table.dim) != (first.bits, first.dim):
            raise ValueError(f"tables[{t}]: expected QuantizedRows with {first.bits} bits and dim {first.dim}")
        codes.append(table.codes)
        scale_bias.append(table.scale_bias)
    return _kernels.embedding_bag_codes(codes, scale_bias, first.bits, first.dim, ids, offsets, weights, mean, out)


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


def _values(table: Table) -> Floats:
    """A table's numbers: float64 as they are, all else as float32."""
    if isinstance(table, QuantizedRows):
        return table.dequantize()
    if np.issubdtype(table.dtype, np.floating):
        return table.astype(np.promote_types(table.dtype, np.float32), copy=False)
    return (table.astype(np.uint32) << 16).view(np.float32)


def _embedding_bag(
    tables: Sequence[Floats], ids: Ids, offsets: Ids | None, weights: Floats | None, mean: bool
) -> Floats:
    """Sum, weighted sum or mean of each bag's rows: `[batch, tables, dim]`."""
    batch = len(ids) if offsets is None else (len(offsets) - 1) // len(tables)
    out = np.zeros((batch, len(tables), tables[0].shape[1]), tables[0].dtype)
    places = np.arange(ids.size).reshape(ids.shape)
    for t, b, bag in bags(len(tables), places, offsets):
        rows = tables[t][ids.ravel()[bag]]
        if weights is not None:
            rows = rows * weights.ravel()[bag, None]
        if len(bag):
            out[b, t] = rows.sum(axis=0) / (len(bag) if mean else 1)
    return out
