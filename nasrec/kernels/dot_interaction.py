"""Dot products of all pairs of features, and their gradient."""

from __future__ import annotations

from functools import partial

import numpy as np

from nasrec import _kernels
from nasrec.kernels.bfloat16 import FloatsOrBits, in_float32
from nasrec.kernels.implementation import Floats, Implementation, is_compiled


def dot_interaction(
    x: FloatsOrBits, *, diagonal: bool = False, implementation: Implementation = "kernel"
) -> FloatsOrBits:
    """Dot products of all pairs of features: `[batch, features, dim]` to `[batch, features (features - 1) / 2]`.

    The lower triangle row by row: pairs (1,0), (2,0), (2,1), (3,0), ... (DLRM; Naumov et al., arXiv 1906.00091); with
    `diagonal` (0,0), (1,0), (1,1), (2,0), ..., `features (features + 1) / 2` of them. `x` is float32, or uint16 with
    the bits of bfloat16, and so is the result; sums are float32 in order of dim. With a fused multiply-add (AVX2,
    AVX-512: the same bits) they round once a step, in plain C++ twice: within `dim * eps * sum |x_i x_j|` of exact.
    """
    if is_compiled(implementation):
        return _kernels.dot_interaction(x, diagonal)
    result: FloatsOrBits = in_float32(partial(_dot_interaction, diagonal=diagonal), x)
    return result


def dot_interaction_backward(
    x: FloatsOrBits, grad: FloatsOrBits, *, diagonal: bool = False, implementation: Implementation = "kernel"
) -> FloatsOrBits:
    """The gradient of `dot_interaction` with respect to `x`, from `grad` shaped as its result and of the same kind."""
    if is_compiled(implementation):
        return _kernels.dot_interaction_backward(x, grad, diagonal)
    gradient: FloatsOrBits = in_float32(partial(_dot_interaction_backward, diagonal=diagonal), x, grad)
    return gradient


def _dot_interaction(x: Floats, diagonal: bool) -> Floats:
    """Lower triangle of `x @ x.T` of each sample, row by row."""
    i, j = np.tril_indices(x.shape[1], 0 if diagonal else -1)
    products: Floats = (x @ x.transpose(0, 2, 1))[:, i, j]
    return products


def _dot_interaction_backward(x: Floats, grad: Floats, diagonal: bool) -> Floats:
    """The symmetric matrix of pair gradients, its diagonal doubled, times `x`."""
    i, j = np.tril_indices(x.shape[1], 0 if diagonal else -1)
    pairs = np.zeros((x.shape[0], x.shape[1], x.shape[1]), x.dtype)
    pairs[:, i, j] = grad
    product: Floats = (pairs + pairs.transpose(0, 2, 1)) @ x
    return product
