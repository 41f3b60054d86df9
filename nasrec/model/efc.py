"""The sparse operator EFC."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec.model.build import Build
from nasrec.model.layout import Layout
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape


class Efc(nn.Module):
    """relu(norm(x Wᵀ + b)) over the rows, the same W for each of the 16 coordinates (NASRec)."""

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Weights for `layout`; `shape` is None in a supernet."""
        super().__init__()
        self.layout = layout
        self.linear = build.linear(layout.sparse_columns, layout.sparse_width, bias=not build.layernorm)
        self.norm = build.norm(layout.sparse_width)

    def forward(self, shape: BlockShape, sources: Outputs) -> Tensor:
        """[B, 16, sparse_width]."""
        choice = shape.choice
        x = sources.join_sparse(choice.sparse_inputs)
        x = self.linear(x, choice.sparse_width, self.layout.sparse_slices(shape), choice.sparse_precision)
        x = x if self.norm is None else self.norm(x)
        return x.relu()
