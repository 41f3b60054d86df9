"""The sparse operator Skip: rows as they are."""

from __future__ import annotations

from functools import reduce

import torch
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
        return reduce(torch.add, [_cut(sources.join_sparse((one,)), shape) for one in shape.choice.sparse_inputs])


def _cut(rows: Tensor, shape: BlockShape) -> Tensor:
    missing = shape.choice.sparse_width - rows.shape[2]
    return functional.pad(rows, (0, missing)) if missing > 0 else rows[:, :, : shape.choice.sparse_width]
