"""The gradient of embedding tables for the rows that a batch touched, and the optimiser's step on those rows.

Nothing here grows with the tables: time and memory follow the number of ids. All of it gives the same bits for any
number of threads and on any instruction set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from nasrec import _kernels
from nasrec.kernels.embedding_bag import Pooling, bags, is_mean
from nasrec.kernels.implementation import Floats, Ids, Implementation, is_compiled

Optimizer: TypeAlias = Literal["adagrad", "row_wise_adagrad", "sgd"]
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)  # the compiled kernels know them by their places


@dataclass(frozen=True)
class RowGradients:
    """The gradient of the rows that a batch touched, repeated rows added up.

    Rows of table t are `rows[starts[t] : starts[t] + counts[t]]` (int64, ascending), their gradients the same places of
    `values` `[lookups, dim]`; the other places are not set. `square` is the squared norm of the whole gradient.
    """

    starts: Ids
    counts: Ids
    rows: Ids
    values: Floats
    square: float

    def of_table(self, table: int) -> tuple[Ids, Floats]:
        """The rows of one table and their gradients, as views."""
        place = slice(int(self.starts[table]), int(self.starts[table] + self.counts[table]))
        return self.rows[place], self.values[place]


def embedding_bag_coalesce(
    rows: Sequence[int],
    ids: Ids,
    offsets: Ids | None,
    grad: Floats,
    *,
    weights: Floats | None = None,
    pooling: Pooling = "mean",
    implementation: Implementation = "kernel",
) -> RowGradients:
    """The gradient of `embedding_bag` for the rows touched, from `grad` `[batch, tables, dim]`.

    `rows` are the tables' numbers of rows; `ids`, `offsets`, `weights` and `pooling` are those of `embedding_bag`.
    Contributions to a row are added in the order of the ids.
    """
    mean = is_mean(pooling)
    if is_compiled(implementation):
        return RowGradients(*_kernels.embedding_bag_coalesce(rows, ids, offsets, weights, grad, mean))
    return _embedding_bag_coalesce(rows, ids, offsets, weights, grad, mean)


def embedding_bag_square_norm(
    rows: Sequence[int],
    ids: Ids,
    offsets: Ids | None,
    grad: Floats,
    *,
    weights: Floats | None = None,
    pooling: Pooling = "mean",
    implementation: Implementation = "kernel",
) -> float:
    """The squared norm of the tables' dense gradient, as `RowGradients.square` to the bit, without the gradient.

    For clipping before `embedding_bag_update`: pass the factor as its `scale`.
    """
    mean = is_mean(pooling)
    if is_compiled(implementation):
        return _kernels.embedding_bag_square_norm(rows, ids, offsets, weights, grad, mean)
    return _embedding_bag_coalesce(rows, ids, offsets, weights, grad, mean).square


def embedding_bag_step(
    tables: Sequence[Floats],
    states: Sequence[Floats] | None,
    gradients: RowGradients,
    *,
    optimizer: Optimizer,
    lr: float,
    eps: float = 1e-10,
    scale: float = 1.0,
    implementation: Implementation = "kernel",
) -> None:
    """One step in place on the rows that have a gradient, which is multiplied by `scale` first: g = scale * gradient.

    - "adagrad": `state += g^2`, `row -= lr * g / (sqrt(state) + eps)`, element by element; states shaped as tables.
      Equals torch.optim.Adagrad with dense gradients, weight decay 0 and no lr decay (Duchi et al., JMLR 2011).
    - "row_wise_adagrad": `state += mean(g^2)`, `row -= lr / (sqrt(state) + eps) * g`; a state `[rows]` per table.
      Equals FBGEMM's EXACT_ROWWISE_ADAGRAD.
    - "sgd": `row -= lr * g`; states are None.

    Tables and states are contiguous, writable and apart from one another. IndexError where a row is not in its table
    names table, position and row; nothing has changed then.
    """
    chosen = _place_of(optimizer)
    if is_compiled(implementation):
        at = (gradients.starts, gradients.counts, gradients.rows, gradients.values)
        _kernels.embedding_bag_step(tables, states, *at, chosen, lr, eps, scale)
    else:
        _embedding_bag_step(tables, states, gradients, optimizer, lr, eps, scale)


def embedding_bag_update(
    tables: Sequence[Floats],
    states: Sequence[Floats] | None,
    ids: Ids,
    offsets: Ids | None,
    grad: Floats,
    *,
    optimizer: Optimizer,
    lr: float,
    eps: float = 1e-10,
    scale: float = 1.0,
    weights: Floats | None = None,
    pooling: Pooling = "mean",
    implementation: Implementation = "kernel",
) -> None:
    """`embedding_bag_coalesce` and `embedding_bag_step` in one pass, the same bits, without storing the gradient."""
    mean, chosen = is_mean(pooling), _place_of(optimizer)
    if is_compiled(implementation):
        _kernels.embedding_bag_update(tables, states, ids, offsets, weights, grad, mean, chosen, lr, eps, scale)
    else:
        rows = [len(table) for table in tables]
        gradients = _embedding_bag_coalesce(rows, ids, offsets, weights, grad, mean)
        _embedding_bag_step(tables, states, gradients, optimizer, lr, eps, scale)


def _place_of(optimizer: str) -> int:
    """The number of an optimizer; ValueError for what is none."""
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer: {optimizer!r}, allowed: {', '.join(map(repr, OPTIMIZERS))}")
    return OPTIMIZERS.index(optimizer)


def _embedding_bag_coalesce(
    rows: Sequence[int], ids: Ids, offsets: Ids | None, weights: Floats | None, grad: Floats, mean: bool
) -> RowGradients:
    """Gradients of the rows touched, lookup by lookup."""
    sums: list[dict[int, Floats]] = [{} for _ in rows]
    lookups = np.zeros(len(rows), np.int64)
    factors = None if weights is None else _bag_weights(len(rows), weights, offsets)
    for t, b, bag in bags(len(rows), ids, offsets):
        lookups[t] += len(bag)
        of_bag = np.ones(len(bag), grad.dtype) if factors is None else next(factors)
        for row, factor in zip(bag, of_bag, strict=True):
            part = factor * grad[b, t] / (len(bag) if mean else 1)
            sums[t][int(row)] = sums[t].get(int(row), np.zeros_like(part)) + part
    starts = np.concatenate([[0], np.cumsum(lookups)])
    touched = np.zeros(starts[-1], np.int64)
    values = np.zeros((starts[-1], grad.shape[2]), grad.dtype)
    for t, of_table in enumerate(sums):
        for place, row in enumerate(sorted(of_table), start=starts[t]):
            touched[place], values[place] = row, of_table[row]
    counts = np.array([len(of_table) for of_table in sums], np.int64)
    return RowGradients(starts, counts, touched, values, float(np.square(values.astype(np.float64)).sum()))


def _bag_weights(tables: int, weights: Floats, offsets: Ids | None) -> Iterator[Floats]:
    """The weights of every bag, in the order of `bags`."""
    if offsets is None:
        return iter(weights.T.reshape(-1, 1))
    return iter(np.split(weights, offsets[1:-1]))


def _embedding_bag_step(
    tables: Sequence[Floats],
    states: Sequence[Floats] | None,
    gradients: RowGradients,
    optimizer: Optimizer,
    lr: float,
    eps: float,
    scale: float,
) -> None:
    """One step in place on the touched rows."""
    for t, table in enumerate(tables):
        rows, values = gradients.of_table(t)
        gradient = scale * values
        if states is None:
            table[rows] -= lr * gradient
            continue
        square = gradient**2
        states[t][rows] += square if optimizer == "adagrad" else square.mean(axis=1)
        root = np.sqrt(states[t][rows])
        table[rows] -= lr * gradient / ((root if optimizer == "adagrad" else root[:, None]) + eps)
