"""Look-up of many tables as the operator `torch.ops.nasrec.embedding_bag`, with dense gradients.

For models whose tables are ordinary parameters, and for graphs of torch.compile and torch.export. `EmbeddingTables`
(`nasrec.model.embedding`) trains without gradients as large as its tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from nasrec import kernels
from nasrec.kernels import Pooling
from nasrec.model.embedding_torch import bags_of_tables
from nasrec.model.kernel_ops import array, define, differentiate, refuse_tangents, tensor


def embedding_bag(
    tables: Sequence[Tensor],
    ids: Tensor,
    offsets: Tensor | None = None,
    *,
    weights: Tensor | None = None,
    pooling: Pooling = "mean",
) -> Tensor:
    """Look up bags of rows of many tables `[rows, dim]` and pool each: `[batch, T, dim]`, float64 or float32.

    `ids`, `offsets` and their errors are those of `nasrec.kernels.embedding_bag`; `weights`, one per id, go with
    pooling "sum" only (ValueError). Tables and weights get dense gradients.
    """
    if forward_ad._current_level >= 0:
        refuse_tangents([*tables, *([] if weights is None else [weights])], "embedding_bag")
    result: Tensor = _OPERATOR(list(tables), ids, offsets, weights, pooling)
    return result


def look_up(tables: list[Tensor], ids: Tensor, offsets: Tensor | None, weights: Tensor | None, pooling: str) -> Tensor:
    """What the operator computes: the kernel where it takes the tables, torch's operators elsewhere."""
    _check(tables, weights, pooling)
    if _takes(tables, weights):
        stored = [array(table) for table in tables]
        return tensor(
            kernels.embedding_bag(
                stored, array(ids), _or_none(offsets), weights=_or_none(weights), pooling=cast(Pooling, pooling)
            )
        )
    pooled = []
    for table, bags in zip(tables, _bags(tables, ids, offsets, weights, pooling), strict=True):
        values = table[bags.ids].to(_result_dtype(tables)) * bags.factors
        pooled.append(values.new_zeros(bags.count, table.shape[1]).index_add_(0, bags.of_id, values))
    return torch.stack(pooled, 1)


class _Bags:
    """One table's ids, the bag of each, and what each counts `[ids, 1]`."""

    def __init__(self, ids: Tensor, sizes: Tensor, weights: Tensor | None, mean: bool, dtype: torch.dtype) -> None:
        self.ids, self.count = ids, len(sizes)
        self.of_id = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
        factors = 1 / sizes[self.of_id].to(dtype) if mean else torch.ones(len(ids), dtype=dtype, device=ids.device)
        self.factors = (factors if weights is None else weights.to(dtype)).unsqueeze(1)


def _bags(
    tables: Sequence[Tensor], ids: Tensor, offsets: Tensor | None, weights: Tensor | None, pooling: str
) -> Iterator[_Bags]:
    rows, begin = [len(table) for table in tables], 0
    flat = weights.t().reshape(-1) if weights is not None and offsets is None else weights
    for own, sizes in bags_of_tables(ids, offsets, rows):
        part = None if flat is None else flat[begin : begin + len(own)]
        yield _Bags(own, sizes, part, pooling == "mean", _result_dtype(tables))
        begin += len(own)


def look_up_shape(
    tables: list[Tensor], ids: Tensor, offsets: Tensor | None, weights: Tensor | None, pooling: str
) -> Tensor:
    """An empty result of the shape and precision that `look_up` gives."""
    _check(tables, weights, pooling)
    batch = ids.shape[0] if offsets is None else (offsets.shape[0] - 1) // len(tables)
    return tables[0].new_empty(batch, len(tables), tables[0].shape[1], dtype=_result_dtype(tables))


def _backward(
    tables: list[Tensor], ids: Tensor, offsets: Tensor | None, weights: Tensor | None, grad: Tensor, pooling: str
) -> list[Tensor]:
    """The gradient of each table, in its own precision."""
    if _takes(tables, weights):
        rows = kernels.embedding_bag_coalesce(
            [len(table) for table in tables], array(ids), _or_none(offsets), array(grad),
            weights=_or_none(weights), pooling=cast(Pooling, pooling),
        )  # fmt: skip
        grads = [table.new_zeros(table.shape) for table in tables]
        for index, dense in enumerate(grads):
            touched, values = rows.of_table(index)
            dense[tensor(touched)] = tensor(values).to(dense.dtype)
        return grads
    grads = []
    for index, bags in enumerate(_bags(tables, ids, offsets, weights, pooling)):
        total = grad.new_zeros(tables[index].shape)
        total.index_add_(0, bags.ids, grad[:, index][bags.of_id] * bags.factors)
        grads.append(total.to(tables[index].dtype))
    return grads


def _backward_shape(tables: list[Tensor], *_: Any) -> list[Tensor]:
    return [torch.empty_like(table, memory_format=torch.contiguous_format) for table in tables]


def _weights_backward(
    tables: list[Tensor], ids: Tensor, offsets: Tensor | None, weights: Tensor, grad: Tensor
) -> Tensor:
    """The gradient of `weights`: each id's row times the gradient of its bag."""
    found = []
    for index, bags in enumerate(_bags(tables, ids, offsets, weights, "sum")):
        found.append((tables[index][bags.ids].to(grad.dtype) * grad[:, index][bags.of_id]).sum(1))
    flat = torch.cat(found).to(weights.dtype)
    return flat if offsets is not None else flat.view(len(tables), -1).t().contiguous()


def _weights_backward_shape(
    tables: list[Tensor], ids: Tensor, offsets: Tensor | None, weights: Tensor, grad: Tensor
) -> Tensor:
    return torch.empty_like(weights, memory_format=torch.contiguous_format)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tables, ids, offsets, weights, ctx.pooling = inputs
    ctx.save_for_backward(*tables, ids, offsets, weights)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    *tables, ids, offsets, weights = ctx.saved_tensors
    of_tables: list[Tensor | None] = [None] * len(tables)
    of_weights = None
    if any(ctx.needs_input_grad[0]):
        of_tables = _BACKWARD(tables, ids, offsets, weights, grad, ctx.pooling)
    if weights is not None and ctx.needs_input_grad[3]:
        of_weights = _WEIGHTS_BACKWARD(tables, ids, offsets, weights, grad)
    return of_tables, None, None, of_weights, None


def _check(tables: Sequence[Tensor], weights: Tensor | None, pooling: str) -> None:
    if not tables:
        raise ValueError("tables: an empty list, expected at least one table")
    if pooling not in ("sum", "mean"):
        raise ValueError(f"pooling: {pooling!r}, allowed: 'sum' or 'mean'")
    if weights is not None and pooling != "sum":
        raise ValueError("weights: only with pooling 'sum'")


def _result_dtype(tables: Sequence[Tensor]) -> torch.dtype:
    return torch.float64 if tables[0].dtype == torch.float64 else torch.float32


def _takes(tables: Sequence[Tensor], weights: Tensor | None) -> bool:
    """Kernels take float32, float16 and bfloat16 on the CPU, all tables of one kind, and weights of float32."""
    kind = tables[0].dtype
    return (
        kind in (torch.float32, torch.float16, torch.bfloat16)
        and all(table.is_cpu and table.dtype == kind for table in tables)
        and (weights is None or weights.dtype == torch.float32)
    )


def _or_none(x: Tensor | None) -> Any:
    return None if x is None else array(x)


_ARGUMENTS = "Tensor[] tables, Tensor ids, Tensor? offsets, "
_OPERATOR = define(f"embedding_bag({_ARGUMENTS}Tensor? weights, str pooling) -> Tensor", look_up, look_up_shape)
_BACKWARD = define(
    f"embedding_bag_backward({_ARGUMENTS}Tensor? weights, Tensor grad, str pooling) -> Tensor[]",
    _backward,
    _backward_shape,
)
_WEIGHTS_BACKWARD = define(
    f"embedding_bag_weights_backward({_ARGUMENTS}Tensor weights, Tensor grad) -> Tensor",
    _weights_backward,
    _weights_backward_shape,
)
differentiate(_OPERATOR, _gradients, _setup, once=(_BACKWARD, _WEIGHTS_BACKWARD))
