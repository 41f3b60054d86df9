"""The dense operator SigmoidGating."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from nasrec.model.build import Build
from nasrec.model.layout import Layout
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape


class Gating(nn.Module):
    """norm(V (sigmoid(W left + b) * right) + c), left and right padded to the wider, m; W is m by m (NASRec).

    There is no V where m is already the width wanted. In a supernet the columns of W belong to the left source and
    those of V to the right one, whose numbers the product carries.
    """

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Weights for `layout`; `shape` is None in a supernet."""
        super().__init__()
        self.layout = layout
        self.left = build.linear(layout.pair_columns, layout.pair_width, bias=True)
        needed = shape is None or shape.pair_width != layout.dense_width
        self.output = build.linear(layout.pair_columns, layout.dense_width, bias=True) if needed else None
        self.norm = build.norm(layout.dense_width)

    def forward(self, shape: BlockShape, sources: Outputs) -> Tensor:
        """[B, dense_width]."""
        choice, width = shape.choice, shape.pair_width
        precision = choice.dense_precision
        if self.left.reads_corners(precision):
            return self._without_padding(shape, sources)
        left, right = sources.pair(choice.left, choice.right)
        columns = self.layout.pair_slices(shape, choice.left)
        x = self.left(left, width, columns, precision).sigmoid() * right
        if self.output is not None and width != choice.dense_width:
            columns = self.layout.pair_slices(shape, choice.right)
            x = self.output(x, choice.dense_width, columns, precision)
        return x if self.norm is None else self.norm(x)

    def _without_padding(self, shape: BlockShape, sources: Outputs) -> Tensor:
        """The same in float: what would meet a zero of the padding isn't computed, and its gradient is zero."""
        choice, width = shape.choice, shape.pair_width
        left, right = sources.join_dense((choice.left,)), sources.join_dense((choice.right,))
        x = self.left.corner(left, right.shape[1], self.layout.pair_starts[choice.left]).sigmoid() * right
        if self.output is not None and width != choice.dense_width:
            x = self.output.corner(x, choice.dense_width, self.layout.pair_starts[choice.right])
        else:
            x = functional.pad(x, (0, width - x.shape[1]))
        return x if self.norm is None else self.norm(x)
