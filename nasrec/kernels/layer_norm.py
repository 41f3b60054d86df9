"""Layer normalisation, and its gradients."""

from __future__ import annotations

import numpy as np

from nasrec import _kernels
from nasrec.kernels.implementation import Floats, Implementation, is_compiled


def layer_norm(
    x: Floats, weight: Floats, bias: Floats, eps: float, *, implementation: Implementation = "kernel"
) -> Floats:
    """`(x - mean) / sqrt(variance + eps) * weight + bias` over each row of `x` `[rows, dim]` (Ba et al. 2016).

    `weight` and `bias` are `[dim]`, all float32; the variance is divided by `dim`, `eps` is positive. Sums are float32
    in an order that depends on `dim` only: the same bits on every instruction set.
    """
    if is_compiled(implementation):
        return _kernels.layer_norm(x, weight, bias, eps)
    normal: Floats = _normal(x, eps)[0] * weight + bias
    return normal


def layer_norm_backward(
    x: Floats, weight: Floats, grad: Floats, eps: float, *, implementation: Implementation = "kernel"
) -> tuple[Floats, Floats, Floats]:
    """The gradients of `layer_norm` with respect to `x`, `weight` and `bias`, from `grad` `[rows, dim]`."""
    if is_compiled(implementation):
        return _kernels.layer_norm_backward(x, weight, grad, eps)
    normal, scale = _normal(x, eps)
    slope = grad * weight
    along = slope.mean(axis=1, keepdims=True) + normal * (slope * normal).mean(axis=1, keepdims=True)
    return scale * (slope - along), (grad * normal).sum(axis=0), grad.sum(axis=0)


def _normal(x: Floats, eps: float) -> tuple[Floats, Floats]:
    """The rows with mean 0 and variance 1, and what they were multiplied by for that `[rows, 1]`."""
    difference = x - x.mean(axis=1, keepdims=True)
    scale = 1 / np.sqrt(np.square(difference).mean(axis=1, keepdims=True) + eps)
    return difference * scale, scale
