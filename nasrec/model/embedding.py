"""Embedding tables with their own sparse Adagrad: nothing that a training step does grows with the tables."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from nasrec import kernels
from nasrec.kernels import Pooling
from nasrec.model import embedding_torch
from nasrec.model.embedding_op import embedding_bag
from nasrec.model.embedding_trace import Traced
from nasrec.model.interaction import uses_kernels
from nasrec.model.kernel_ops import array, is_traced, tensor

LAZY_BYTES = 1 << 20

TablesOptimizer: TypeAlias = Literal["adagrad", "row_wise_adagrad"]


class EmbeddingTables(nn.Module):
    """One embedding table per categorical field, looked up together: ids to `[B, T, dim]`.

    The tables are not trained by an optimiser: they have no `.grad`. In training, `backward()` leaves the gradient of
    the looked-up rows pending here; `grad_sq_norm` (for clipping) and `adagrad_step` use it. On the CPU in float32 all
    of it runs in the compiled kernels; in float64 or on cuda, torch's operators do the same (on cuda repeated rows
    add up in no fixed order). State: `tables.N` and the Adagrad sums `adagrad.N`, of the same shape, or `[rows]` where
    the optimiser is row-wise.
    """

    def __init__(
        self,
        rows: Sequence[int],
        dim: int = 16,
        *,
        pooling: Pooling = "mean",
        generator: torch.Generator | None = None,
    ) -> None:
        """Tables of `rows[t]` rows, Xavier-normal each; bags are pooled by "mean" or "sum"."""
        super().__init__()
        if pooling not in ("sum", "mean"):
            raise ValueError(f"pooling: {pooling!r}, allowed: 'sum' or 'mean'")
        self.dim = dim
        self.pooling: Pooling = pooling
        self.optimizer: TablesOptimizer = "adagrad"
        self.tables = nn.ParameterList()
        self.adagrad = _Sums()
        for index, count in enumerate(rows):
            table = torch.empty(count, dim)
            nn.init.xavier_normal_(table, generator=generator)
            self.tables.append(nn.Parameter(table, requires_grad=False))
            self.adagrad.register_buffer(str(index), _zeros(count, dim))
        self._pending: list[embedding_torch.Pending] = []
        self._traced = Traced(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy has its own pending gradient."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._traced = Traced(self)

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of each table."""
        return tuple(table.shape[0] for table in self.tables)

    def forward(self, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Look up int64 `ids` `[B, T]`, or bags in a flat list with `offsets` `[T * B + 1]`, table by table.

        Bag (t, b) is `ids[offsets[t * B + b] : offsets[t * B + b + 1]]`; an empty one gives zeros. IndexError names
        table, position and id where an id is not in its table.
        """
        if self.training and torch.is_grad_enabled() and len(self.tables):
            if is_traced(ids):
                return self._traced.look_up(list(self.tables), ids, offsets, self.pooling)
            anchor = torch.empty(0, requires_grad=True)  # without it autograd would see nothing to differentiate
            return _Lookup.apply(anchor, self, ids, offsets)  # type: ignore[no-untyped-call, no-any-return]
        return self._look_up(ids, offsets)

    @torch.no_grad()
    def redraw(self, std: float, generator: torch.Generator | None = None) -> None:
        """Start anew from normal draws of deviation `std`: near 0, rare values overfit later."""
        for table in self.tables:
            table.normal_(0.0, std, generator=generator)

    def grad_sq_norm(self) -> float:
        """Squared norm of the pending gradient, repeated rows added up first, as of a dense gradient; 0 if none."""
        if not self._pending:
            return 0.0
        ids, offsets, grad = self._joined()
        if uses_kernels(grad):
            return kernels.embedding_bag_square_norm(
                self.rows, array(ids), _or_none(offsets), array(grad), pooling=self.pooling
            )
        return self._of_rows().square

    def adagrad_step(self, lr: float, eps: float, scale: float = 1.0) -> None:
        """Apply the pending gradient times `scale`, as torch.optim.Adagrad (weight decay 0) would; then forget it.

        Row-wise, as `nasrec.kernels.embedding_bag_step` says.
        """
        if not self._pending:
            return
        ids, offsets, grad = self._joined()
        if uses_kernels(grad):
            kernels.embedding_bag_update(
                self._stored(), [array(state) for state in self.adagrad.buffers()], array(ids), _or_none(offsets),
                array(grad), optimizer=self.optimizer, lr=lr, eps=eps, scale=scale, pooling=self.pooling,
            )  # fmt: skip
        else:
            states = list(self.adagrad.buffers())
            embedding_torch.adagrad(list(self.tables), states, self._of_rows(), lr, eps, scale)
        self.clear_pending()

    def start_optimizer(self, optimizer: TablesOptimizer) -> None:
        """Train from now on with "adagrad" or "row_wise_adagrad", its sums at zero.

        The row-wise one has one sum a row, of the mean square of the row's gradient: it takes 1 / dim of the memory.
        """
        if optimizer not in get_args(TablesOptimizer):
            raise ValueError(f"optimizer: {optimizer!r}, allowed: {', '.join(map(repr, get_args(TablesOptimizer)))}")
        self.optimizer = optimizer
        for index, table in enumerate(self.tables):
            sums = table.new_zeros(len(table)) if optimizer == "row_wise_adagrad" else torch.zeros_like(table)
            self.adagrad.register_buffer(str(index), sums)

    def clear_pending(self) -> None:
        """Forget the pending gradient."""
        self._pending.clear()

    def exchange(self, gather: Callable[[Tensor], list[Tensor]]) -> None:
        """Let the pending gradient be that of all processes: `gather` gives everybody's tensor, in order."""
        if not self._pending:
            return
        ids, offsets, grad = self._joined()
        grads = gather(grad)
        places = [None] * len(grads) if offsets is None else gather(offsets)
        self._pending[:] = zip(gather(ids), places, grads, strict=True)

    def dense_grads(self) -> list[Tensor]:
        """The pending gradient as dense tensors shaped as the tables: for tests and small tables."""
        grads = [torch.zeros_like(table) for table in self.tables]
        if self._pending:
            gradients = self._of_rows()
            for index, grad in enumerate(grads):
                rows, values = gradients.of_table(index)
                grad[rows] = values
        return grads

    def quantized(self, bits: int) -> EmbeddingTables:
        """A copy for scoring whose rows are rounded as stored in `bits` (2 to 16): table-wise symmetric steps.

        A value becomes step * round(value / step), with step = max |value| / (2^(bits - 1) - 1) of its table. The copy
        is in evaluation mode and shares the Adagrad sums.
        """
        if not 2 <= bits <= 16:
            raise ValueError(f"bits: {bits!r}, allowed: 2 to 16")
        copy = EmbeddingTables([], self.dim, pooling=self.pooling)
        for table in self.tables:
            step = (table.abs().amax() if table.numel() else table.new_zeros(())) / ((1 << (bits - 1)) - 1)
            values = table.clone() if step == 0 else (table / step).round_().mul_(step)
            copy.tables.append(nn.Parameter(values, requires_grad=False))
        copy.adagrad = self.adagrad
        return copy.eval()

    def _stored(self) -> list[np.ndarray[Any, Any]]:
        # Much quicker than iterating over a ParameterList.
        return [array(table) for table in self.tables.parameters(recurse=False)]

    def _look_up(self, ids: Tensor, offsets: Tensor | None) -> Tensor:
        if len(self.tables) == 0:
            return torch.zeros(len(ids), 0, self.dim, device=ids.device)
        if is_traced(ids):
            return embedding_bag(list(self.tables), ids, offsets, pooling=self.pooling)
        if uses_kernels(self.tables[0]):
            return tensor(kernels.embedding_bag(self._stored(), array(ids), _or_none(offsets), pooling=self.pooling))
        return embedding_torch.look_up(list(self.tables), ids, offsets, self.pooling)

    def _joined(self) -> embedding_torch.Pending:
        """All that is pending as one look-up, its gradient contiguous; remembered, for clipping asks for it first."""
        ids, offsets, grad = embedding_torch.joined(self._pending, len(self.tables))
        self._pending[:] = [(ids, offsets, grad.contiguous())]
        return self._pending[0]

    def _of_rows(self) -> embedding_torch.RowGradients:
        ids, offsets, grad = self._joined()
        return embedding_torch.coalesce(self.rows, ids, offsets, grad, self.pooling)

    def keep(self, ids: Tensor, offsets: Tensor | None, grad: Tensor) -> None:
        """Add the gradient of the result of a look-up of `ids` to what is pending."""
        self._pending.append((ids, offsets, grad))


class _Sums(nn.Module):
    """Holds the Adagrad sums as buffers named by their table's number."""


def _zeros(*shape: int) -> Tensor:
    """Zeros of float32; large ones take memory only where they are written, which a model that is not trained never is.

    The system's pages are zero, start at cache lines and come when they are touched; torch.zeros touches them all.
    """
    count = math.prod(shape)
    if 4 * count < LAZY_BYTES or not hasattr(mmap, "MAP_ANONYMOUS"):
        return torch.zeros(shape)
    pages = mmap.mmap(-1, 4 * count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(pages, dtype=torch.float32).view(shape)


class _Lookup(Function):
    @staticmethod
    def forward(ctx: Any, anchor: Tensor, module: EmbeddingTables, ids: Tensor, offsets: Tensor | None) -> Tensor:
        ctx.module, ctx.ids, ctx.offsets = module, ids, offsets
        return module._look_up(ids, offsets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, None, None]:
        ctx.module.keep(ctx.ids, ctx.offsets, grad)
        return None, None, None, None


def _or_none(x: Tensor | None) -> np.ndarray[Any, Any] | None:
    return None if x is None else array(x)
