"""The sparse operator Skip: rows as they are."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from nasrec.model.build import Build
from nasrec.model.layout import Layout
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape


class Skip(nn.Module):
    """The sum of the sparse inputs, each cut to its first `sparse_width` rows or filled up with zero rows.

    It has no weights, and no LayerNorm. Of the embeddings alone, FM over it is that of Rendle (ICDM 2010) and the head
    is linear in them, as in DeepFM (Guo et al., IJCAI 2017); every operator of NASRec maps rows first.
    """

    def __init__(self, layout: Layout, build: Build, shape: BlockShape | None) -> None:
        """Nothing to make."""
        super().__init__()

    def forward(self, shape: BlockShape, sources: Outputs) -> Tensor:
        """[B, 16, sparse_width]."""
        width = shape.choice.sparse_width
        total: Tensor | None = None
        for source in shape.choice.sparse_inputs:
            rows = sources.join_sparse((source,))
            missing = width - rows.shape[2]
            rows = functional.pad(rows, (0, missing)) if missing > 0 else rows[:, :, :width]
            total = rows if total is None else total + rows
        assert total is not None  # an architecture names one input at least
        return total
