"""The dense operator Bilinear: second order in everything that it reads, at a rank of its width."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec.model.build import Build
from nasrec.model.layout import Layout
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape


class Bilinear(nn.Module):
    """norm((x Wᵀ + b) * (x Vᵀ + c)), x the dense inputs beside every number of the sparse inputs.

    A linear map of the result is a quadratic form in x whose matrix has at most rank 2 d, d the width. Source: Kim et
    al., "Hadamard Product for Low-rank Bilinear Pooling", ICLR 2017, eq. 5, with both arguments the same x.
    """

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Weights for `layout`; `shape` is None in a supernet."""
        super().__init__()
        self.layout = layout
        self.left = build.linear(layout.flat_columns, layout.dense_width, bias=True)
        self.right = build.linear(layout.flat_columns, layout.dense_width, bias=True)
        self.norm = build.norm(layout.dense_width)

    def forward(self, shape: BlockShape, sources: Outputs) -> Tensor:
        """[B, dense_width]."""
        choice, columns = shape.choice, self.layout.flat_slices(shape)
        x = sources.join_flat(choice.dense_inputs, choice.sparse_inputs)
        left = self.left(x, choice.dense_width, columns, choice.dense_precision)
        x = left * self.right(x, choice.dense_width, columns, choice.dense_precision)
        return x if self.norm is None else self.norm(x)
