"""The dense operator DotProduct, balanced."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrec.arch import EMBEDDING_DIM
from nasrec.model.build import Build
from nasrec.model.interaction import dot_interaction
from nasrec.model.layout import Layout
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape
from nasrec.space import dot_rows


class Dot(nn.Module):
    """Products of all pairs of k + 1 rows: the dense input projected to one row of 16, the sparse to k (NASRec).

    k = round(sqrt(2 d)) bounds the pairs to about the output width d, whatever is read. Each projection is left out
    where its input has the right size already. No activation; LayerNorm after every projection and at the end.
    """

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Weights for `layout`; `shape` is None in a supernet."""
        super().__init__()
        self.layout = layout
        rows, bias = dot_rows(layout.dense_width), not build.layernorm
        self.dense_projection = self.sparse_projection = self.output = None
        self.dense_norm = self.sparse_norm = None
        if shape is None or layout.dense_columns != EMBEDDING_DIM:
            self.dense_projection = build.linear(layout.dense_columns, EMBEDDING_DIM, bias=bias)
            self.dense_norm = build.norm(EMBEDDING_DIM)
        if shape is None or layout.sparse_columns != rows:
            self.sparse_projection = build.linear(layout.sparse_columns, rows, bias=bias)
            self.sparse_norm = build.norm(rows)
        if shape is None or pairs_of(rows) != layout.dense_width:
            self.output = build.linear(pairs_of(rows), layout.dense_width, bias=bias)
        self.output_norm = build.norm(layout.dense_width)

    def forward(self, shape: BlockShape, sources: Outputs) -> Tensor:
        """[B, dense_width]."""
        choice, precision = shape.choice, shape.choice.dense_precision
        rows = dot_rows(choice.dense_width)
        x = sources.join_dense(choice.dense_inputs)
        if self.dense_projection is not None and shape.dense_columns != EMBEDDING_DIM:
            x = self.dense_projection(x, EMBEDDING_DIM, self.layout.dense_slices(shape), precision)
            x = x if self.dense_norm is None else self.dense_norm(x)
        y = sources.join_sparse(choice.sparse_inputs)
        if self.sparse_projection is not None and shape.sparse_columns != rows:
            y = self.sparse_projection(y, rows, self.layout.sparse_slices(shape), precision)
            y = y if self.sparse_norm is None else self.sparse_norm(y)
        # The strict lower triangle row by row: of a wider one, the first pairs are those of its first rows.
        z = dot_interaction(torch.cat([x.unsqueeze(1), y.transpose(1, 2)], dim=1))
        if self.output is not None and pairs_of(rows) != choice.dense_width:
            z = self.output(z, choice.dense_width, (slice(pairs_of(rows)),), precision)
        return z if self.output_norm is None else self.output_norm(z)


def pairs_of(rows: int) -> int:
    """Pairs among the dense row and `rows` sparse rows."""
    return rows * (rows + 1) // 2
