"""A standalone model of one architecture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrec.arch import EMBEDDING_DIM, Arch
from nasrec.data.features import Features
from nasrec.model.arithmetic import Arithmetic
from nasrec.model.block import Block
from nasrec.model.build import Build
from nasrec.model.embedding import EmbeddingTables
from nasrec.model.layout import layout_of_shape
from nasrec.model.linear import QuantLinear, calibrate, compute_as
from nasrec.model.network import Network
from nasrec.model.shape import BlockShape, shapes_of


class Subnet(Network):
    """The model that `arch` describes, at its exact sizes and without its dead parts.

    Dense weights start Xavier uniform with zero biases, embeddings Xavier normal. `embeddings` uses existing tables
    instead of new ones, by reference. `fm_into_dsi`: see `Block`.
    """

    def __init__(
        self,
        arch: Arch,
        features: Features,
        *,
        layernorm: bool = False,
        generator: torch.Generator | None = None,
        embeddings: EmbeddingTables | None = None,
        blank: bool = False,
        fm_into_dsi: bool = False,
    ) -> None:
        """Build for `features`; `blank` leaves the dense weights unset, to be copied over."""
        super().__init__()
        self.arch = arch
        self.features = features
        self.layernorm = layernorm
        self.shapes = shapes_of(arch, features)
        build = Build(layernorm, generator=generator, blank=blank)
        if embeddings is None:
            embeddings = EmbeddingTables([table.rows for table in features.tables], EMBEDDING_DIM, generator=generator)
        self.embeddings = embeddings
        self.blocks = nn.ModuleList(
            Block(_live_ops(shape), layout_of_shape(shape), build, shape, fm_into_dsi=fm_into_dsi)
            for shape in self.shapes
        )
        last = self.shapes[-1]
        width = last.choice.dense_width + sum(last.rows) * EMBEDDING_DIM
        self.head = build.linear(width, 1, bias=True, precision=arch.head)
        for block, shape in zip(self.blocks, self.shapes, strict=True):
            _set_precision(block, shape)

    def forward(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Logits [B] of dense [B, nd] and ids [B, tables], or of flat ids with `offsets` [tables * B + 1]."""
        return self.head(self.features_before_head(dense, ids, offsets)).squeeze(1)

    def features_before_head(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> Tensor:
        """What the head reads, [B, H]: compute it once when only the head is trained."""
        return self._features(self.shapes, dense, self._embed(ids, offsets))

    def calibrate(self, dense: Tensor, ids: Tensor, offsets: Tensor | None = None) -> None:
        """Store the range of every layer's inputs on this batch, for evaluation."""
        calibrate(self, dense, ids, offsets)

    def compute_as(self, arithmetic: Arithmetic | None) -> None:
        """Let every quantised layer compute as the chip does in evaluation; None goes back to float."""
        compute_as(self, arithmetic)


def _live_ops(shape: BlockShape) -> tuple[str, ...]:
    dense = shape.choice.dense_ops if shape.live.dense else ()
    sparse = shape.choice.sparse_ops if shape.live.sparse else ()
    return dense + sparse


def _set_precision(block: nn.Module, shape: BlockShape) -> None:
    choice = shape.choice
    for name, child in block.named_children():
        if name in ("dsi", "fm"):
            precision = choice.dsi_precision if name == "dsi" else choice.fm_precision
        else:
            precision = choice.sparse_precision if name in choice.sparse_ops else choice.dense_precision
        for layer in child.modules():
            if isinstance(layer, QuantLinear):
                layer.precision = precision
