"""Second-order factorisation machine, and its gradient."""

from __future__ import annotations

import numpy as np

from nasrec import _kernels
from nasrec.kernels.bfloat16 import FloatsOrBits, in_float32
from nasrec.kernels.implementation import Floats, Implementation, is_compiled


def fm_interaction(x: FloatsOrBits, *, implementation: Implementation = "kernel") -> FloatsOrBits:
    """Squared sum minus sum of squares over the features: `[batch, features, dim]` to `[batch, dim]`.

    Rendle's second-order factorisation machine (ICDM 2010) in NASRec's form, without the factor 1/2. `x` is float32, or
    uint16 with the bits of bfloat16, and so is the result; sums are float32, the same bits on every instruction set.
    """
    if is_compiled(implementation):
        return _kernels.fm_interaction(x)
    result: FloatsOrBits = in_float32(_fm_interaction, x)
    return result


def fm_interaction_backward(
    x: FloatsOrBits, grad: FloatsOrBits, *, implementation: Implementation = "kernel"
) -> FloatsOrBits:
    """The gradient of `fm_interaction` with respect to `x`, from `grad` shaped as its result and of the same kind."""
    if is_compiled(implementation):
        return _kernels.fm_interaction_backward(x, grad)
    gradient: FloatsOrBits = in_float32(_fm_interaction_backward, x, grad)
    return gradient


def _fm_interaction(x: Floats) -> Floats:
    """Squared sum minus sum of squares over the features."""
    difference: Floats = np.square(x.sum(axis=1)) - np.square(x).sum(axis=1)
    return difference


def _fm_interaction_backward(x: Floats, grad: Floats) -> Floats:
    """Twice the gradient times the sum of the other features."""
    product: Floats = 2 * grad[:, None, :] * (x.sum(axis=1, keepdims=True) - x)
    return product
