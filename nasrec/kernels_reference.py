"""The definitions of the kernels in plain NumPy, in the precision of their input: what kernels are tested against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Ids: TypeAlias = NDArray[np.int64]


def _bags(tables: int, ids: Ids, offsets: Ids | None) -> Iterator[tuple[int, int, Ids]]:
    if offsets is None:
        yield from ((t, b, ids[b, t : t + 1]) for t in range(tables) for b in range(len(ids)))
        return
    batch = (len(offsets) - 1) // tables
    for bag in range(tables * batch):
        yield bag // batch, bag % batch, ids[offsets[bag] : offsets[bag + 1]]


def embedding_bag(tables: Sequence[Floats], ids: Ids, offsets: Ids | None, mean: bool) -> Floats:
    """Sum or mean of each bag's rows: `[batch, tables, dim]`."""
    batch = len(ids) if offsets is None else (len(offsets) - 1) // len(tables)
    out = np.zeros((batch, len(tables), tables[0].shape[1]), tables[0].dtype)
    for t, b, bag in _bags(len(tables), ids, offsets):
        if len(bag):
            out[b, t] = tables[t][bag].sum(axis=0) / (len(bag) if mean else 1)
    return out


def embedding_bag_coalesce(
    rows: Sequence[int], ids: Ids, offsets: Ids | None, grad: Floats, mean: bool
) -> tuple[Ids, Ids, Ids, Floats, float]:
    """Gradients of the rows touched: starts, counts, rows, values and squared norm of `RowGradients`."""
    sums: list[dict[int, Floats]] = [{} for _ in rows]
    lookups = np.zeros(len(rows), np.int64)
    for t, b, bag in _bags(len(rows), ids, offsets):
        lookups[t] += len(bag)
        for row in bag:
            part = grad[b, t] / (len(bag) if mean else 1)
            sums[t][int(row)] = sums[t].get(int(row), np.zeros_like(part)) + part
    starts = np.concatenate([[0], np.cumsum(lookups)])
    touched = np.zeros(starts[-1], np.int64)
    values = np.zeros((starts[-1], grad.shape[2]), grad.dtype)
    for t, of_table in enumerate(sums):
        for place, row in enumerate(sorted(of_table), start=starts[t]):
            touched[place], values[place] = row, of_table[row]
    counts = np.array([len(of_table) for of_table in sums], np.int64)
    return starts, counts, touched, values, float(np.square(values.astype(np.float64)).sum())


def embedding_bag_adagrad(
    tables: Sequence[Floats],
    states: Sequence[Floats],
    starts: Ids,
    counts: Ids,
    rows: Ids,
    values: Floats,
    lr: float,
    eps: float,
    scale: float,
) -> None:
    """One Adagrad step in place on the touched rows."""
    for t, (table, state) in enumerate(zip(tables, states, strict=True)):
        place = slice(starts[t], starts[t] + counts[t])
        gradient = scale * values[place]
        state[rows[place]] += gradient**2
        table[rows[place]] -= lr * gradient / (np.sqrt(state[rows[place]]) + eps)


def dot_interaction(x: Floats) -> Floats:
    """Strict lower triangle of `x @ x.T` of each sample, row by row."""
    i, j = np.tril_indices(x.shape[1], -1)
    products: Floats = (x @ x.transpose(0, 2, 1))[:, i, j]
    return products


def dot_interaction_backward(x: Floats, grad: Floats) -> Floats:
    """The symmetric matrix of pair gradients times `x`."""
    i, j = np.tril_indices(x.shape[1], -1)
    pairs = np.zeros((x.shape[0], x.shape[1], x.shape[1]), x.dtype)
    pairs[:, i, j] = pairs[:, j, i] = grad
    product: Floats = pairs @ x
    return product


def fm_interaction(x: Floats) -> Floats:
    """Squared sum minus sum of squares over the features."""
    difference: Floats = np.square(x.sum(axis=1)) - np.square(x).sum(axis=1)
    return difference


def fm_interaction_backward(x: Floats, grad: Floats) -> Floats:
    """Twice the gradient times the sum of the other features."""
    product: Floats = 2 * grad[:, None, :] * (x.sum(axis=1, keepdims=True) - x)
    return product


def _heads(x: Floats, heads: int) -> Floats:
    """`[batch, rows, heads * dim]` as `[batch, heads, rows, dim]`."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(0, 2, 1, 3)


def _probabilities(q: Floats, k: Floats) -> Floats:
    scores = q @ k.swapaxes(2, 3) / np.sqrt(q.dtype.type(q.shape[3]))
    weights = np.exp(scores - scores.max(axis=3, keepdims=True, initial=-np.inf))
    probabilities: Floats = weights / weights.sum(axis=3, keepdims=True)
    return probabilities


def attention(qkv: Floats, heads: int) -> Floats:
    """Softmax of the scaled products of queries and keys, times the values, head by head."""
    q, k, v = (_heads(part, heads) for part in np.split(qkv, 3, axis=2))
    return (_probabilities(q, k) @ v).transpose(0, 2, 1, 3).reshape(*qkv.shape[:2], qkv.shape[2] // 3)


def attention_backward(qkv: Floats, grad: Floats, heads: int) -> Floats:
    """The gradients of queries, keys and values beside each other, as they stand in `qkv`."""
    q, k, v = (_heads(part, heads) for part in np.split(qkv, 3, axis=2))
    out = _heads(grad, heads)
    p = _probabilities(q, k)
    slopes = out @ v.swapaxes(2, 3)
    slopes = p * (slopes - (p * slopes).sum(axis=3, keepdims=True)) / np.sqrt(q.dtype.type(q.shape[3]))
    parts = (slopes @ k, slopes.swapaxes(2, 3) @ q, p.swapaxes(2, 3) @ out)
    return np.concatenate([part.transpose(0, 2, 1, 3).reshape(grad.shape) for part in parts], axis=2)
