"""What tracers see of a look-up in training whose gradient waits in the module: two operators, one of them backward.

`nasrec.model.embedding.EmbeddingTables` keeps the gradient of looked-up rows instead of giving it to autograd. In a
graph of torch.compile that is `torch.ops.nasrec.embedding_bag_keep`, which hands it to the module of a number.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from nasrec.model.embedding_op import look_up, look_up_shape
from nasrec.model.kernel_ops import define, differentiate


class Keeper(Protocol):
    """A module that takes the gradient of a look-up."""

    def keep(self, ids: Tensor, offsets: Tensor | None, grad: Tensor) -> None:
        """Take it."""
        ...


class Traced:
    """A module's face to tracers: its number, a tensor to differentiate by, and the count of gradients it was given.

    The count is there to be changed: a graph may neither drop nor merge operators that change their argument.
    """

    def __init__(self, keeper: Keeper) -> None:
        """Give `keeper` a number for as long as it lives."""
        self.number = next(_NUMBERS)
        self.anchor = torch.empty(0, requires_grad=True)
        self.count = torch.zeros((), dtype=torch.int64)
        _KEEPERS[self.number] = keeper

    def look_up(self, tables: Sequence[Tensor], ids: Tensor, offsets: Tensor | None, pooling: str) -> Tensor:
        """Pooled rows `[B, T, dim]`, whose gradient goes to the keeper."""
        result: Tensor = _LOOK_UP(self.anchor, self.count, list(tables), ids, offsets, pooling, self.number)
        return result


def _compute(
    anchor: Tensor, count: Tensor, tables: list[Tensor], ids: Tensor, offsets: Tensor | None, pooling: str, number: int
) -> Tensor:
    return look_up(tables, ids, offsets, None, pooling)


def _shape(
    anchor: Tensor, count: Tensor, tables: list[Tensor], ids: Tensor, offsets: Tensor | None, pooling: str, number: int
) -> Tensor:
    return look_up_shape(tables, ids, offsets, None, pooling)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, ctx.count, _, ids, offsets, _, ctx.number = inputs
    ctx.save_for_backward(ids, offsets)
    ctx.tables = len(inputs[2])


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    ids, offsets = ctx.saved_tensors
    _KEEP(ctx.count, ids, offsets, grad, ctx.number)
    return torch.zeros(0, device="cpu"), None, [None] * ctx.tables, None, None, None, None


def _keep(count: Tensor, ids: Tensor, offsets: Tensor | None, grad: Tensor, number: int) -> None:
    # Copies: a compiled graph uses the memory of its tensors again.
    _KEEPERS[number].keep(ids.clone(), None if offsets is None else offsets.clone(), grad.clone())
    count += 1


_NUMBERS = itertools.count()
_KEEPERS: WeakValueDictionary[int, Any] = WeakValueDictionary()
_LOOK_UP = define(
    "embedding_bag_trained(Tensor anchor, Tensor count, Tensor[] tables, Tensor ids, Tensor? offsets, str pooling, "
    "int number) -> Tensor",
    _compute,
    _shape,
)
_KEEP = define(
    "embedding_bag_keep(Tensor(a!) count, Tensor ids, Tensor? offsets, Tensor grad, int number) -> ()",
    _keep,
    lambda *_: None,
)
differentiate(_LOOK_UP, _backward, _setup, once=())
