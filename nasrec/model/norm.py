"""Layer normalisation over the sliced width, so that supernet and subnet are the same function."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nasrec import kernels
from nasrec.model.interaction import uses_kernels
from nasrec.model.kernel_ops import KernelOp, array, tensor
from nasrec.model.weights import Weights

EPS = 1e-5  # NASRec


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = EPS) -> Tensor:
    """LayerNorm over the last dimension of x [..., width]: the compiled kernel on the CPU, torch's operator elsewhere.

    torch's own takes several times as long on rows of 16 numbers, which is what embeddings are. Importing this
    registers `torch.ops.nasrec.layer_norm` (see `nasrec.model.kernel_ops`).
    """
    if uses_kernels(x):
        return _LAYER_NORM(x, weight, bias, eps)
    return functional.layer_norm(x, (x.shape[-1],), weight, bias, eps)


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    if uses_kernels(x):
        return tensor(kernels.layer_norm(array(_rows(x)), array(weight), array(bias), eps)).view(x.shape)
    return functional.layer_norm(x, (x.shape[-1],), weight, bias, eps).contiguous()


def _layer_norm_backward(
    x: Tensor, weight: Tensor, bias: Tensor, grad: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    if uses_kernels(x):
        found = kernels.layer_norm_backward(array(_rows(x)), array(weight), array(_rows(grad)), eps)
        return tensor(found[0]).view(x.shape), tensor(found[1]), tensor(found[2])
    difference = x - x.mean(-1, keepdim=True)
    scale = (difference.square().mean(-1, keepdim=True) + eps).rsqrt()
    normal, slope = difference * scale, grad * weight
    along = slope.mean(-1, keepdim=True) + normal * (slope * normal).mean(-1, keepdim=True)
    return scale * (slope - along), _rows(grad * normal).sum(0), _rows(grad).sum(0)


def _layer_norm_shape(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


_LAYER_NORM = KernelOp(
    "layer_norm", "x weight bias", "float eps", _layer_norm, _layer_norm_backward, _layer_norm_shape
)


class Norm(Weights):
    """LayerNorm (Ba et al. 2016) over the last dimension, with the first weights and biases of that many."""

    def __init__(self, width: int, *, initial: float = 1.0, shared: bool = False) -> None:
        """Weights start at `initial`, biases at zero."""
        super().__init__(shared=shared)
        self.own("weight", torch.full((width,), initial))
        self.own("bias", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [..., width]; same shape."""
        width = x.shape[-1]
        return layer_norm(x, self.take("weight", width), self.take("bias", width))
