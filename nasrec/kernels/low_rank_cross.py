"""A cross layer of low rank, and its gradients."""

from __future__ import annotations

from nasrec import _kernels
from nasrec.kernels.implementation import Floats, Implementation, is_compiled


def low_rank_cross(
    x0: Floats, x: Floats, down: Floats, up: Floats, bias: Floats, *, implementation: Implementation = "kernel"
) -> Floats:
    """`x0 * (x @ down.T @ up.T + bias) + x` (DCN-v2: Wang et al., WWW 2021, section 3.3), `[batch, dim]`.

    `x0` and `x` are `[batch, dim]`, `down` `[rank, dim]`, `up` `[dim, rank]` and `bias` `[dim]`, all float32. Sums run
    in order in float32, rounded once a step with a fused multiply-add (AVX2, AVX-512: the same bits), else twice.
    """
    if is_compiled(implementation):
        return _kernels.low_rank_cross(x0, x, down, up, bias)
    return _low_rank_cross(x0, x, down, up, bias)


def low_rank_cross_backward(
    x0: Floats,
    x: Floats,
    down: Floats,
    up: Floats,
    bias: Floats,
    grad: Floats,
    *,
    implementation: Implementation = "kernel",
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """The gradients of `low_rank_cross` with respect to its five inputs, in their order, from `grad` `[batch, dim]`."""
    if is_compiled(implementation):
        return _kernels.low_rank_cross_backward(x0, x, down, up, bias, grad)
    return _low_rank_cross_backward(x0, x, down, up, bias, grad)


def _low_rank_cross(x0: Floats, x: Floats, down: Floats, up: Floats, bias: Floats) -> Floats:
    """The formula."""
    crossed: Floats = x0 * (x @ down.T @ up.T + bias) + x
    return crossed


def _low_rank_cross_backward(
    x0: Floats, x: Floats, down: Floats, up: Floats, bias: Floats, grad: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """The chain rule, from the outside in."""
    inner = x @ down.T
    of_sum = grad * x0
    of_inner = of_sum @ up
    return grad * (inner @ up.T + bias), grad + of_inner @ down, of_inner.T @ x, of_sum.T @ inner, of_sum.sum(axis=0)
