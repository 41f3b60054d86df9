"""The interactions and their gradients in torch's own operators: any device, any precision, and easy to read.

The gradients are written out because an operator of torch.library computes below autograd: `nasrec.model.kernel_ops`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention


def dot_interaction(x: Tensor, diagonal: bool) -> Tensor:
    """The lower triangle of `x @ x.T` of each sample, row by row, with or without its diagonal."""
    return torch.bmm(x, x.transpose(1, 2)).flatten(1).index_select(1, _pairs(x, diagonal))


def dot_interaction_backward(x: Tensor, grad: Tensor, diagonal: bool) -> Tensor:
    """The symmetric matrix of pair gradients times `x`; the square of a row counts twice."""
    batch, features, _ = x.shape
    lower = grad.new_zeros(batch, features * features).index_copy_(1, _pairs(x, diagonal), grad)
    lower = lower.view(batch, features, features)
    return torch.bmm(lower + lower.transpose(1, 2), x)


def fm_interaction(x: Tensor) -> Tensor:
    """Squared sum minus sum of squares over the features."""
    return x.sum(1).square() - x.square().sum(1)


def fm_interaction_backward(x: Tensor, grad: Tensor) -> Tensor:
    """Twice the gradient times the sum of the other features."""
    return 2 * grad.unsqueeze(1) * (x.sum(1, keepdim=True) - x)


def low_rank_cross(x0: Tensor, x: Tensor, down: Tensor, up: Tensor, bias: Tensor) -> Tensor:
    """`x0` times a linear map of `x` in two steps, plus `x`."""
    mapped: Tensor = linear(linear(x, down), up, bias)
    return x0 * mapped + x


def low_rank_cross_backward(
    x0: Tensor, x: Tensor, down: Tensor, up: Tensor, bias: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of all five arguments, in their order."""
    hidden = linear(x, down)
    mapped = grad * x0
    inner = mapped @ up
    return grad * linear(hidden, up, bias), grad + inner @ down, inner.t() @ x, mapped.t() @ hidden, mapped.sum(0)


def attention(qkv: Tensor, heads: int) -> Tensor:
    """Softmax of the scaled products of queries and keys, times the values, head by head."""
    q, k, v = _heads(qkv, heads)
    mixed: Tensor = scaled_dot_product_attention(q, k, v)
    return mixed.transpose(1, 2).flatten(2)


def attention_backward(qkv: Tensor, grad: Tensor, heads: int) -> Tensor:
    """The gradients of queries, keys and values beside each other, as they stand in `qkv`."""
    q, k, v = _heads(qkv, heads)
    scale = q.shape[3] ** -0.5
    out = grad.reshape(*grad.shape[:2], heads, q.shape[3]).transpose(1, 2)
    p = (q @ k.transpose(2, 3) * scale).softmax(3)
    slopes = out @ v.transpose(2, 3)
    slopes = p * (slopes - (p * slopes).sum(3, keepdim=True)) * scale
    parts = torch.stack([slopes @ k, slopes.transpose(2, 3) @ q, p.transpose(2, 3) @ out])
    beside: Tensor = parts.permute(1, 3, 0, 2, 4)
    return beside.reshape(qkv.shape)


def _pairs(x: Tensor, diagonal: bool) -> Tensor:
    """Where the pairs stand in the flattened matrix of a sample's products."""
    features = x.shape[1]
    row, column = torch.tril_indices(features, features, 0 if diagonal else -1, device=x.device)
    places: Tensor = row * features + column
    return places


def _heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """`[B, S, 3 D]` as queries, keys and values `[B, heads, S, D / heads]`."""
    batch, rows, width = qkv.shape
    thirds: Tensor = qkv.reshape(batch, rows, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    return thirds[0], thirds[1], thirds[2]
