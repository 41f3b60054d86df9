"""The dense operator FC."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec.model.build import Build
from nasrec.model.layout import Layout
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape


class Fc(nn.Module):
    """relu(norm(x Wᵀ + b)) of the joined dense inputs (NASRec)."""

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Weights for `layout`; `shape` is None in a supernet."""
        super().__init__()
        self.layout = layout
        self.linear = build.linear(layout.dense_columns, layout.dense_width, bias=not build.layernorm)
        self.norm = build.norm(layout.dense_width)

    def forward(self, shape: BlockShape, sources: Outputs) -> Tensor:
        """[B, dense_width]."""
        choice = shape.choice
        x = sources.join_dense(choice.dense_inputs)
        x = self.linear(x, choice.dense_width, self.layout.dense_slices(shape), choice.dense_precision)
        x = x if self.norm is None else self.norm(x)
        return x.relu()
