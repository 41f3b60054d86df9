"""Feature interactions as torch functions: the compiled kernels on CPU float32, torch's own operators elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from nasrec import kernels


def uses_kernels(x: Tensor) -> bool:
    """The rule of dispatch: kernels take float32 on the CPU; float64 (references) and cuda go through torch."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def dot_interaction(x: Tensor) -> Tensor:
    """Dot products of all pairs of features: `[B, F, D]` to `[B, F(F-1)/2]`, pairs (1,0), (2,0), (2,1), (3,0), ..."""
    if uses_kernels(x):
        return _DotInteraction.apply(x)  # type: ignore[no-untyped-call, no-any-return]
    features = x.shape[1]
    row, column = torch.tril_indices(features, features, -1, device=x.device)
    return torch.bmm(x, x.transpose(1, 2)).flatten(1).index_select(1, row * features + column)


def fm_interaction(x: Tensor) -> Tensor:
    """Squared sum minus sum of squares over the features (NASRec's FM, no factor 1/2): `[B, F, D]` to `[B, D]`."""
    if uses_kernels(x):
        return _FmInteraction.apply(x)  # type: ignore[no-untyped-call, no-any-return]
    return x.sum(1).square() - x.square().sum(1)


def attention(qkv: Tensor, heads: int) -> Tensor:
    """Multi-head self-attention over the rows: `[B, S, 3 D]`, thirds q, k and v, to `[B, S, D]` (Vaswani et al. 2017).

    Head h has the h-th of `heads` equal parts of D; the scores are scaled by 1 / sqrt(D / heads).
    """
    if uses_kernels(qkv):
        return _Attention.apply(qkv, heads)  # type: ignore[no-untyped-call, no-any-return]
    batch, rows, _ = qkv.shape
    q, k, v = qkv.view(batch, rows, 3, heads, -1).permute(2, 0, 3, 1, 4)
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class _DotInteraction(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _tensor(kernels.dot_interaction(_array(x)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return _tensor(kernels.dot_interaction_backward(_array(x), _array(grad)))


class _FmInteraction(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _tensor(kernels.fm_interaction(_array(x)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return _tensor(kernels.fm_interaction_backward(_array(x), _array(grad)))


class _Attention(Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        ctx.save_for_backward(qkv)
        ctx.heads = heads
        return _tensor(kernels.attention(_array(qkv), heads))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (qkv,) = ctx.saved_tensors
        return _tensor(kernels.attention_backward(_array(qkv), _array(grad), ctx.heads)), None


def _array(x: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return x.detach().numpy()


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(array)
