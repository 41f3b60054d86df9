"""The gradient of embedding tables for the rows that a batch touched, and the optimiser's step on those rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasrec import _kernels
from nasrec.kernels.embedding_bag import Pooling, bags, is_mean
from nasrec.kernels.implementation import Floats, Ids, Implementation, is_compiled


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
    pooling: Pooling = "mean",
    implementation: Implementation = "kernel",
) -> RowGradients:
    """The gradient of `embedding_bag` for the rows touched, from `grad` `[batch, tables, dim]`.

    `rows` are the tables' numbers of rows. Contributions to a row are added in the order of the ids. The work grows
    with the ids, not with the tables.
    """
    mean = is_mean(pooling)
    if is_compiled(implementation):
        return RowGradients(*_kernels.embedding_bag_coalesce(rows, ids, offsets, grad, mean))
    return RowGradients(*_embedding_bag_coalesce(rows, ids, offsets, grad, mean))


def embedding_bag_adagrad(
    tables: Sequence[Floats],
    states: Sequence[Floats],
    gradients: RowGradients,
    *,
    lr: float,
    eps: float,
    scale: float = 1.0,
    implementation: Implementation = "kernel",
) -> None:
    """One Adagrad step in place on the rows that have a gradient, which is multiplied by `scale` first.

    `states`: the sums of squares, shaped as `tables`. Equals torch.optim.Adagrad with dense gradients, weight decay 0
    and no lr decay: with g = scale * gradient, `state += g^2`, `row -= lr * g / (sqrt(state) + eps)`.
    """
    arguments = (gradients.starts, gradients.counts, gradients.rows, gradients.values, lr, eps, scale)
    if is_compiled(implementation):
        _kernels.embedding_bag_adagrad(tables, states, *arguments)
    else:
        _embedding_bag_adagrad(tables, states, *arguments)


def _embedding_bag_coalesce(
    rows: Sequence[int], ids: Ids, offsets: Ids | None, grad: Floats, mean: bool
) -> tuple[Ids, Ids, Ids, Floats, float]:
    """Gradients of the rows touched: starts, counts, rows, values and squared norm of `RowGradients`."""
    sums: list[dict[int, Floats]] = [{} for _ in rows]
    lookups = np.zeros(len(rows), np.int64)
    for t, b, bag in bags(len(rows), ids, offsets):
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


def _embedding_bag_adagrad(
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
