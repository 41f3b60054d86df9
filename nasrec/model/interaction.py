"""Feature interactions as torch functions: the compiled kernels on the CPU, torch's own operators elsewhere.

Importing this registers the operators `torch.ops.nasrec.dot_interaction`, `fm_interaction`, `low_rank_cross` and
`attention` (see `nasrec.model.kernel_ops`). The functions here call them under torch.compile and torch.export, and the
kernels directly otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nasrec import kernels
from nasrec.model import interaction_torch
from nasrec.model.kernel_ops import KernelOp, array, tensor


def uses_kernels(x: Tensor) -> bool:
    """The rule of dispatch: kernels take float32 on the CPU; float64 (references) and cuda go through torch."""
    return x.is_cpu and x.dtype == torch.float32


def takes_bfloat16(x: Tensor) -> bool:
    """The same where the kernel takes bfloat16 too; it adds up in float32 and rounds its result once."""
    return x.is_cpu and (x.dtype == torch.float32 or x.dtype == torch.bfloat16)


def dot_interaction(x: Tensor, *, diagonal: bool = False) -> Tensor:
    """Dot products of all pairs of features: `[B, F, D]` to `[B, F(F-1)/2]`, pairs (1,0), (2,0), (2,1), (3,0), ...

    With `diagonal` the pairs of a feature with itself too: `[B, F(F+1)/2]`, (0,0), (1,0), (1,1), (2,0), ...
    """
    return _DOT(x, diagonal) if takes_bfloat16(x) else interaction_torch.dot_interaction(x, diagonal)


def fm_interaction(x: Tensor) -> Tensor:
    """Squared sum minus sum of squares over the features (NASRec's FM, no factor 1/2): `[B, F, D]` to `[B, D]`."""
    return _FM(x) if takes_bfloat16(x) else interaction_torch.fm_interaction(x)


def low_rank_cross(x0: Tensor, x: Tensor, down: Tensor, up: Tensor, bias: Tensor) -> Tensor:
    """`x0 * (x @ down.T @ up.T + bias) + x`: the cross layer of DCN-v2 in its low-rank form, `[B, D]`.

    `x0`, `x` `[B, D]`, `down` `[rank, D]`, `up` `[D, rank]`, `bias` `[D]` (Wang et al., WWW 2021, arXiv 2008.13535).
    """
    if uses_kernels(x):
        return _CROSS(x0, x, down, up, bias)
    return interaction_torch.low_rank_cross(x0, x, down, up, bias)


def attention(qkv: Tensor, heads: int) -> Tensor:
    """Multi-head self-attention over the rows: `[B, S, 3 D]`, thirds q, k and v, to `[B, S, D]` (Vaswani et al. 2017).

    Head h has the h-th of `heads` equal parts of D; the scores are scaled by 1 / sqrt(D / heads).
    """
    return _ATTENTION(qkv, heads) if uses_kernels(qkv) else interaction_torch.attention(qkv, heads)


def _dot(x: Tensor, diagonal: bool = False) -> Tensor:
    if takes_bfloat16(x):
        return tensor(kernels.dot_interaction(array(x), diagonal=diagonal))
    return interaction_torch.dot_interaction(x, diagonal)


def _dot_backward(x: Tensor, grad: Tensor, diagonal: bool = False) -> Tensor:
    if takes_bfloat16(x):
        return tensor(kernels.dot_interaction_backward(array(x), array(grad), diagonal=diagonal))
    return interaction_torch.dot_interaction_backward(x, grad, diagonal)


def _dot_shape(x: Tensor, diagonal: bool = False) -> Tensor:
    batch, features, _ = _three(x)
    return x.new_empty(batch, features * (features + (1 if diagonal else -1)) // 2)


def _fm(x: Tensor) -> Tensor:
    return tensor(kernels.fm_interaction(array(x))) if takes_bfloat16(x) else interaction_torch.fm_interaction(x)


def _fm_backward(x: Tensor, grad: Tensor) -> Tensor:
    if takes_bfloat16(x):
        return tensor(kernels.fm_interaction_backward(array(x), array(grad)))
    return interaction_torch.fm_interaction_backward(x, grad)


def _fm_shape(x: Tensor) -> Tensor:
    batch, _, dim = _three(x)
    return x.new_empty(batch, dim)


def _cross(x0: Tensor, x: Tensor, down: Tensor, up: Tensor, bias: Tensor) -> Tensor:
    if uses_kernels(x):
        return tensor(kernels.low_rank_cross(array(x0), array(x), array(down), array(up), array(bias)))
    return interaction_torch.low_rank_cross(x0, x, down, up, bias)


def _cross_backward(
    x0: Tensor, x: Tensor, down: Tensor, up: Tensor, bias: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    if uses_kernels(x):
        arrays = (array(x0), array(x), array(down), array(up), array(bias), array(grad))
        dx0, dx, ddown, dup, dbias = kernels.low_rank_cross_backward(*arrays)
        return tensor(dx0), tensor(dx), tensor(ddown), tensor(dup), tensor(dbias)
    return interaction_torch.low_rank_cross_backward(x0, x, down, up, bias, grad)


def _cross_shape(x0: Tensor, x: Tensor, down: Tensor, up: Tensor, bias: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _attention(qkv: Tensor, heads: int) -> Tensor:
    if uses_kernels(qkv):
        return tensor(kernels.attention(array(qkv), heads))
    return interaction_torch.attention(qkv, heads).contiguous()


def _attention_backward(qkv: Tensor, grad: Tensor, heads: int) -> Tensor:
    if uses_kernels(qkv):
        return tensor(kernels.attention_backward(array(qkv), array(grad), heads))
    return interaction_torch.attention_backward(qkv, grad, heads)


def _attention_shape(qkv: Tensor, heads: int) -> Tensor:
    batch, rows, width = _three(qkv)
    if width % (3 * heads) != 0:
        raise ValueError(f"qkv: last dimension {width}, expected 3 * {heads} heads * 1 or more")
    return qkv.new_empty(batch, rows, width // 3)


def _three(x: Tensor) -> torch.Size:
    if x.dim() != 3:
        raise ValueError(f"{x.dim()} dimensions, expected 3")
    return x.shape


_DOT = KernelOp("dot_interaction", "x", "bool diagonal=False", _dot, _dot_backward, _dot_shape)
_FM = KernelOp("fm_interaction", "x", "", _fm, _fm_backward, _fm_shape)
_CROSS = KernelOp("low_rank_cross", "x0 x down up bias", "", _cross, _cross_backward, _cross_shape)
_ATTENTION = KernelOp("attention", "qkv", "int heads", _attention, _attention_backward, _attention_shape)
