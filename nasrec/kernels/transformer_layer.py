"""A transformer layer as one kernel, for inference."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nasrec import _kernels
from nasrec.kernels.attention import attention
from nasrec.kernels.implementation import Floats, Implementation, is_compiled
from nasrec.kernels.layer_norm import layer_norm


class TransformerWeights(NamedTuple):
    """Weights [outputs, inputs] and biases [outputs] of a layer over rows of `width` numbers, in order of use.

    `qkv` [3 width, width] gives queries, keys and values, `out` [width, width] mixes the heads, `fc1` [hidden, width]
    and `fc2` [width, hidden] follow; `norm1` and `norm2` [width] are LayerNorms.
    """

    qkv_weight: Floats
    qkv_bias: Floats
    out_weight: Floats
    out_bias: Floats
    norm1_weight: Floats
    norm1_bias: Floats
    fc1_weight: Floats
    fc1_bias: Floats
    fc2_weight: Floats
    fc2_bias: Floats
    norm2_weight: Floats
    norm2_bias: Floats


def transformer_layer(
    x: Floats, weights: TransformerWeights, heads: int, eps: float, *, implementation: Implementation = "kernel"
) -> Floats:
    """A layer over the rows of each sample, coordinate first: `[batch, width, rows]` to the same shape.

    y = norm1(x + out(attention(qkv(x)))), then norm2(y + fc2(relu(fc1(y)))): Vaswani et al., NeurIPS 2017, section 3,
    with LayerNorms after the residuals, no mask and no dropout. All float32; `eps` of both LayerNorms is positive,
    `heads` divides the width. Made for few numbers per head. AVX2 and AVX-512 give the same bits; plain C++ rounds
    products and sums apart, and so differs in the last places.
    """
    if is_compiled(implementation):
        return _kernels.transformer_layer(x, *weights, heads, eps)
    w, rows = weights, np.ascontiguousarray(x.swapaxes(1, 2))
    mixed = attention(rows @ w.qkv_weight.T + w.qkv_bias, heads, implementation="reference")
    rows = _norm(rows + mixed @ w.out_weight.T + w.out_bias, w.norm1_weight, w.norm1_bias, eps)
    hidden = np.maximum(rows @ w.fc1_weight.T + w.fc1_bias, 0)
    rows = _norm(rows + hidden @ w.fc2_weight.T + w.fc2_bias, w.norm2_weight, w.norm2_bias, eps)
    return np.ascontiguousarray(rows.swapaxes(1, 2))


def _norm(x: Floats, weight: Floats, bias: Floats, eps: float) -> Floats:
    normal = layer_norm(x.reshape(-1, x.shape[2]), weight, bias, eps, implementation="reference")
    return normal.reshape(x.shape)
