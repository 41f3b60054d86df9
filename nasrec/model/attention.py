"""The sparse operator Attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrec import kernels
from nasrec.arch import EMBEDDING_DIM, FLOAT, Precision
from nasrec.model.build import Build
from nasrec.model.interaction import attention, uses_kernels
from nasrec.model.kernel_ops import array, is_traced, tensor
from nasrec.model.layout import Layout
from nasrec.model.norm import EPS
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape

HEADS = 8
NORM_START = 0.17  # initial weights of both LayerNorms (NASRec)


class Attention(nn.Module):
    """Rows projected to s, then a transformer layer over them: 8 heads, residual, LayerNorm, FC, residual, LayerNorm.

    Both LayerNorms are there in every model; that of the projection follows the model's flag (NASRec).
    """

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Weights for `layout`; `shape` is None in a supernet."""
        super().__init__()
        self.layout = layout
        self.projection = build.linear(layout.sparse_columns, layout.sparse_width, bias=not build.layernorm)
        self.projection_norm = build.norm(layout.sparse_width)
        self.qkv = build.linear(EMBEDDING_DIM, 3 * EMBEDDING_DIM, bias=True)
        self.attended = build.linear(EMBEDDING_DIM, EMBEDDING_DIM, bias=True)
        self.attended_norm = build.attention_norm(EMBEDDING_DIM, NORM_START)
        self.fc1 = build.linear(EMBEDDING_DIM, EMBEDDING_DIM, bias=True)
        self.fc2 = build.linear(EMBEDDING_DIM, EMBEDDING_DIM, bias=True)
        self.fc_norm = build.attention_norm(EMBEDDING_DIM, NORM_START)

    def forward(self, shape: BlockShape, sources: Outputs) -> Tensor:
        """[B, 16, sparse_width]."""
        choice, precision = shape.choice, shape.choice.sparse_precision
        x = sources.join_sparse(choice.sparse_inputs)
        x = self.projection(x, choice.sparse_width, self.layout.sparse_slices(shape), precision)
        x = x if self.projection_norm is None else self.projection_norm(x)
        if self._is_one_kernel(x, precision):
            return self._in_one_kernel(x)
        x = x.transpose(1, 2)
        x = self.attended_norm(x + self._attend(x, precision))
        hidden = self.fc1(x, precision=precision).relu()
        x = self.fc_norm(x + self.fc2(hidden, precision=precision))
        return x.transpose(1, 2)

    def _is_one_kernel(self, x: Tensor, precision: Precision) -> bool:
        """Whether nobody wants a gradient, a range of inputs, or, as a tracer, the parts; hooks are not called."""
        plain = precision == FLOAT and not self.qkv.recording and not torch.is_grad_enabled()
        return plain and uses_kernels(x) and not is_traced(x)

    def _in_one_kernel(self, x: Tensor) -> Tensor:
        """What follows the projection, x [B, 16, s]; the same numbers as by the parts, to rounding."""
        parts = (self.qkv, self.attended, self.attended_norm, self.fc1, self.fc2, self.fc_norm)
        weights = [array(part.take(name)) for part in parts for name in ("weight", "bias")]
        return tensor(kernels.transformer_layer(array(x), kernels.TransformerWeights(*weights), HEADS, EPS))

    def _attend(self, x: Tensor, precision: Precision) -> Tensor:
        """Multi-head self-attention over the rows of x [B, s, 16] (Vaswani et al. 2017)."""
        mixed = attention(self.qkv(x, precision=precision), HEADS)
        return self.attended(mixed, precision=precision)
