"""The dense operator Sum."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec.model.build import Build
from nasrec.model.layout import Layout
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape


class Sum(nn.Module):
    """norm(W (left + right) + b), the narrower padded with zeros; no W where the width is already right (NASRec)."""

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Weights for `layout`; `shape` is None in a supernet, whose sources share one matrix."""
        super().__init__()
        needed = shape is None or shape.pair_width != layout.dense_width
        bias = not build.layernorm
        self.output = build.linear(layout.pair_width, layout.dense_width, bias=bias) if needed else None
        self.norm = build.norm(layout.dense_width)

    def forward(self, shape: BlockShape, sources: Outputs) -> Tensor:
        """[B, dense_width]."""
        choice = shape.choice
        left, right = sources.pair(choice.left, choice.right)
        x = left + right
        if self.output is not None and shape.pair_width != choice.dense_width:
            x = self.output(x, choice.dense_width, (slice(shape.pair_width),), choice.dense_precision)
        return x if self.norm is None else self.norm(x)
