"""The dense operator Deep: what the deep part of Wide & Deep, DeepFM or DCN begins with."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec.model.build import Build
from nasrec.model.layout import Layout
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape


class Deep(nn.Module):
    """relu(norm(x Wᵀ + b)), x the dense inputs beside every number of the sparse inputs.

    Source: Cheng et al., "Wide & Deep Learning for Recommender Systems", DLRS 2016. NASRec's FC reads no rows.
    """

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Weights for `layout`; `shape` is None in a supernet."""
        super().__init__()
        self.layout = layout
        self.linear = build.linear(layout.flat_columns, layout.dense_width, bias=not build.layernorm)
        self.norm = build.norm(layout.dense_width)

    def forward(self, shape: BlockShape, sources: Outputs) -> Tensor:
        """[B, dense_width]."""
        choice = shape.choice
        x = sources.join_flat(choice.dense_inputs, choice.sparse_inputs)
        x = self.linear(x, choice.dense_width, self.layout.flat_slices(shape), choice.dense_precision)
        x = x if self.norm is None else self.norm(x)
        return x.relu()
