"""The compiled kernels of nasrec: NumPy arrays in, NumPy arrays out, no torch.

Every function takes `implementation`: "kernel" is the compiled one (float32 only), "reference" its definition in NumPy,
which works in the precision of its input. Kernels give the same bits for any number of threads and on any instruction
set. Arrays that are not contiguous are copied; another kind of number than the stated one is refused (TypeError).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nasrec import _kernels, kernels_reference
from nasrec._kernels import isa, set_isa, set_threads, threads

__all__ = [
    "RowGradients", "attention", "attention_backward", "dot_interaction", "dot_interaction_backward", "embedding_bag",
    "embedding_bag_adagrad", "embedding_bag_coalesce", "fm_interaction", "fm_interaction_backward", "isa", "set_isa",
    "set_threads", "threads",
]  # fmt: skip

Floats: TypeAlias = NDArray[np.floating[Any]]
Ids: TypeAlias = NDArray[np.int64]
Implementation: TypeAlias = Literal["kernel", "reference"]
Pooling: TypeAlias = Literal["sum", "mean"]


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
    mean = _is_mean(pooling)
    if _compiled(implementation):
        return _kernels.embedding_bag(tables, ids, offsets, mean)
    return kernels_reference.embedding_bag(tables, ids, offsets, mean)


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
    mean = _is_mean(pooling)
    if _compiled(implementation):
        return RowGradients(*_kernels.embedding_bag_coalesce(rows, ids, offsets, grad, mean))
    return RowGradients(*kernels_reference.embedding_bag_coalesce(rows, ids, offsets, grad, mean))


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
    if _compiled(implementation):
        _kernels.embedding_bag_adagrad(tables, states, *arguments)
    else:
        kernels_reference.embedding_bag_adagrad(tables, states, *arguments)


def dot_interaction(x: Floats, *, implementation: Implementation = "kernel") -> Floats:
    """Dot products of all pairs of features: `[batch, features, dim]` to `[batch, features (features - 1) / 2]`.

    The strict lower triangle row by row: pairs (1,0), (2,0), (2,1), (3,0), ... (DLRM; Naumov et al., arXiv 1906.00091).
    """
    if _compiled(implementation):
        return _kernels.dot_interaction(x)
    return kernels_reference.dot_interaction(x)


def dot_interaction_backward(x: Floats, grad: Floats, *, implementation: Implementation = "kernel") -> Floats:
    """The gradient of `dot_interaction` with respect to `x`, from `grad` shaped as its result."""
    if _compiled(implementation):
        return _kernels.dot_interaction_backward(x, grad)
    return kernels_reference.dot_interaction_backward(x, grad)


def fm_interaction(x: Floats, *, implementation: Implementation = "kernel") -> Floats:
    """Squared sum minus sum of squares over the features: `[batch, features, dim]` to `[batch, dim]`.

    Rendle's second-order factorisation machine (ICDM 2010) in NASRec's form, without the factor 1/2.
    """
    if _compiled(implementation):
        return _kernels.fm_interaction(x)
    return kernels_reference.fm_interaction(x)


def fm_interaction_backward(x: Floats, grad: Floats, *, implementation: Implementation = "kernel") -> Floats:
    """The gradient of `fm_interaction` with respect to `x`, from `grad` shaped as its result."""
    if _compiled(implementation):
        return _kernels.fm_interaction_backward(x, grad)
    return kernels_reference.fm_interaction_backward(x, grad)


def attention(qkv: Floats, heads: int, *, implementation: Implementation = "kernel") -> Floats:
    """Multi-head self-attention over the rows of each sample: `[batch, rows, 3 * width]` to `[batch, rows, width]`.

    Queries, keys and values are the thirds of the last axis of `qkv`; head h has the h-th of `heads` equal parts of
    each: softmax(q k^T / sqrt(width / heads)) v (Vaswani et al., NeurIPS 2017, eq. 1). Made for few numbers per head.
    """
    if _compiled(implementation):
        return _kernels.attention(qkv, heads)
    return kernels_reference.attention(qkv, heads)


def attention_backward(qkv: Floats, grad: Floats, heads: int, *, implementation: Implementation = "kernel") -> Floats:
    """The gradient of `attention` with respect to `qkv`, from `grad` shaped as its result.

    The kernel computes the probabilities again: nothing of size rows x rows is kept.
    """
    if _compiled(implementation):
        return _kernels.attention_backward(qkv, grad, heads)
    return kernels_reference.attention_backward(qkv, grad, heads)


def _is_mean(pooling: str) -> bool:
    if pooling not in ("sum", "mean"):
        raise ValueError(f"pooling: {pooling!r}, allowed: 'sum' or 'mean'")
    return pooling == "mean"


def _compiled(implementation: str) -> bool:
    if implementation not in ("kernel", "reference"):
        raise ValueError(f"implementation: {implementation!r}, allowed: 'kernel' or 'reference'")
    return implementation == "kernel"
