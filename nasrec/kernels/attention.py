"""Self-attention of small heads, and its gradient."""

from __future__ import annotations

import numpy as np

from nasrec import _kernels
from nasrec.kernels.implementation import Floats, Implementation, is_compiled


def attention(qkv: Floats, heads: int, *, implementation: Implementation = "kernel") -> Floats:
    """Multi-head self-attention over the rows of each sample: `[batch, rows, 3 * width]` to `[batch, rows, width]`.

    Queries, keys and values are the thirds of the last axis of `qkv`; head h has the h-th of `heads` equal parts of
    each: softmax(q k^T / sqrt(width / heads)) v (Vaswani et al., NeurIPS 2017, eq. 1). Made for few numbers per head.
    """
    if is_compiled(implementation):
        return _kernels.attention(qkv, heads)
    return _attention(qkv, heads)


def attention_backward(qkv: Floats, grad: Floats, heads: int, *, implementation: Implementation = "kernel") -> Floats:
    """The gradient of `attention` with respect to `qkv`, from `grad` shaped as its result.

    The kernel computes the probabilities again: nothing of size rows x rows is kept.
    """
    if is_compiled(implementation):
        return _kernels.attention_backward(qkv, grad, heads)
    return _attention_backward(qkv, grad, heads)


def _heads(x: Floats, heads: int) -> Floats:
    """`[batch, rows, heads * dim]` as `[batch, heads, rows, dim]`."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(0, 2, 1, 3)


def _probabilities(q: Floats, k: Floats) -> Floats:
    scores = q @ k.swapaxes(2, 3) / np.sqrt(q.dtype.type(q.shape[3]))
    weights = np.exp(scores - scores.max(axis=3, keepdims=True, initial=-np.inf))
    probabilities: Floats = weights / weights.sum(axis=3, keepdims=True)
    return probabilities


def _attention(qkv: Floats, heads: int) -> Floats:
    """Softmax of the scaled products of queries and keys, times the values, head by head."""
    q, k, v = (_heads(part, heads) for part in np.split(qkv, 3, axis=2))
    return (_probabilities(q, k) @ v).transpose(0, 2, 1, 3).reshape(*qkv.shape[:2], qkv.shape[2] // 3)


def _attention_backward(qkv: Floats, grad: Floats, heads: int) -> Floats:
    """The gradients of queries, keys and values beside each other, as they stand in `qkv`."""
    q, k, v = (_heads(part, heads) for part in np.split(qkv, 3, axis=2))
    out = _heads(grad, heads)
    p = _probabilities(q, k)
    slopes = out @ v.swapaxes(2, 3)
    slopes = p * (slopes - (p * slopes).sum(axis=3, keepdims=True)) / np.sqrt(q.dtype.type(q.shape[3]))
    parts = (slopes @ k, slopes.swapaxes(2, 3) @ q, p.swapaxes(2, 3) @ out)
    return np.concatenate([part.transpose(0, 2, 1, 3).reshape(grad.shape) for part in parts], axis=2)
