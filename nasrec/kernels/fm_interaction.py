"""Second-order factorisation machine, and its gradient."""

from __future__ import annotations

import numpy as np

from nasrec import _kernels
from nasrec.kernels.implementation import Floats, Implementation, is_compiled


def fm_interaction(x: Floats, *, implementation: Implementation = "kernel") -> Floats:
    """Squared sum minus sum of squares over the features: `[batch, features, dim]` to `[batch, dim]`.

    Rendle's second-order factorisation machine (ICDM 2010) in NASRec's form, without the factor 1/2.
    """
    if is_compiled(implementation):
        return _kernels.fm_interaction(x)
    return _fm_interaction(x)


def fm_interaction_backward(x: Floats, grad: Floats, *, implementation: Implementation = "kernel") -> Floats:
    """The gradient of `fm_interaction` with respect to `x`, from `grad` shaped as its result."""
    if is_compiled(implementation):
        return _kernels.fm_interaction_backward(x, grad)
    return _fm_interaction_backward(x, grad)


def _fm_interaction(x: Floats) -> Floats:
    """Squared sum minus sum of squares over the features."""
    difference: Floats = np.square(x.sum(axis=1)) - np.square(x).sum(axis=1)
    return difference


def _fm_interaction_backward(x: Floats, grad: Floats) -> Floats:
    """Twice the gradient times the sum of the other features."""
    product: Floats = 2 * grad[:, None, :] * (x.sum(axis=1, keepdims=True) - x)
    return product
