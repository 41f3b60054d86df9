"""Dot products of all pairs of features, and their gradient."""

from __future__ import annotations

import numpy as np

from nasrec import _kernels
from nasrec.kernels.implementation import Floats, Implementation, is_compiled


def dot_interaction(x: Floats, *, diagonal: bool = False, implementation: Implementation = "kernel") -> Floats:
    """Dot products of all pairs of features: `[batch, features, dim]` to `[batch, features (features - 1) / 2]`.

    The strict lower triangle row by row: pairs (1,0), (2,0), (2,1), (3,0), ... (DLRM; Naumov et al., arXiv 1906.00091).
    """
    if is_compiled(implementation):
        return _kernels.dot_interaction(x, diagonal)
    return _dot_interaction(x)


def dot_interaction_backward(x: Floats, grad: Floats, *, diagonal: bool = False, implementation: Implementation = "kernel") -> Floats:
    """The gradient of `dot_interaction` with respect to `x`, from `grad` shaped as its result."""
    if is_compiled(implementation):
        return _kernels.dot_interaction_backward(x, grad, diagonal)
    return _dot_interaction_backward(x, grad)


def _dot_interaction(x: Floats) -> Floats:
    """Strict lower triangle of `x @ x.T` of each sample, row by row."""
    i, j = np.tril_indices(x.shape[1], -1)
    products: Floats = (x @ x.transpose(0, 2, 1))[:, i, j]
    return products


def _dot_interaction_backward(x: Floats, grad: Floats) -> Floats:
    """The symmetric matrix of pair gradients times `x`."""
    i, j = np.tril_indices(x.shape[1], -1)
    pairs = np.zeros((x.shape[0], x.shape[1], x.shape[1]), x.dtype)
    pairs[:, i, j] = pairs[:, j, i] = grad
    product: Floats = pairs @ x
    return product
