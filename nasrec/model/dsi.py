"""The merger DSI, dense to sparse."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec.arch import DSI_ROWS, EMBEDDING_DIM
from nasrec.model.build import Build
from nasrec.model.layout import Layout
from nasrec.model.shape import DSI_WIDTH, BlockShape


class Dsi(nn.Module):
    """A dense output as 8 more sparse rows, projected to 128 numbers where it is not that wide already (NASRec)."""

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Weights for `layout`; `shape` is None in a supernet."""
        super().__init__()
        needed = shape is None or layout.dense_width != DSI_WIDTH
        self.linear = build.linear(layout.dense_width, DSI_WIDTH, bias=not build.layernorm) if needed else None
        self.norm = build.norm(DSI_WIDTH) if needed else None

    def forward(self, shape: BlockShape, dense: Tensor) -> Tensor:
        """[B, 16, 8] from `dense` [B, dense_width]."""
        width = shape.choice.dense_width
        if self.linear is not None and width != DSI_WIDTH:
            dense = self.linear(dense, DSI_WIDTH, (slice(width),), shape.choice.dsi_precision)
            dense = dense if self.norm is None else self.norm(dense)
        return dense.view(-1, DSI_ROWS, EMBEDDING_DIM).transpose(1, 2)
