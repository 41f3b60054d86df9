"""The merger FM, sparse to dense."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec.arch import EMBEDDING_DIM
from nasrec.model.build import Build
from nasrec.model.interaction import fm_interaction
from nasrec.model.layout import Layout
from nasrec.model.shape import BlockShape


class Fm(nn.Module):
    """(sum of rows)² - sum of squared rows, projected to the dense width where that is not 16 (NASRec; Rendle 2010)."""

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Weights for `layout`; `shape` is None in a supernet."""
        super().__init__()
        needed = shape is None or layout.dense_width != EMBEDDING_DIM
        self.linear = build.linear(EMBEDDING_DIM, layout.dense_width, bias=not build.layernorm) if needed else None
        self.norm = build.norm(layout.dense_width) if needed else None

    def forward(self, shape: BlockShape, sparse: Tensor) -> Tensor:
        """[B, dense_width] from the operators' rows `sparse` [B, 16, rows], without those of DSI."""
        choice = shape.choice
        x = fm_interaction(sparse.transpose(1, 2))
        if self.linear is not None and choice.dense_width != EMBEDDING_DIM:
            x = self.linear(x, choice.dense_width, None, choice.fm_precision)
            x = x if self.norm is None else self.norm(x)
        return x
