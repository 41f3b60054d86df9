"""What a supernet and its subnets have in common: embeddings, blocks, head, and one forward pass."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from nasrec.model.embedding import EmbeddingTables
from nasrec.model.linear import QuantLinear
from nasrec.model.optimizer import adagrad_step
from nasrec.model.outputs import Outputs
from nasrec.model.shape import BlockShape


class Network(nn.Module):
    """Embedding tables, blocks and a head; the forward pass follows the shapes it is given."""

    embeddings: EmbeddingTables
    blocks: nn.ModuleList
    head: QuantLinear

    def adagrad_step(self, *, lr: float, eps: float = 1e-2, clip_norm: float | None = 5.0) -> float:
        """One Adagrad step of what the last forward and backward pass used; the gradient norm before clipping."""
        return adagrad_step(self, lr=lr, eps=eps, clip_norm=clip_norm)

    def _embed(self, ids: Tensor, offsets: Tensor | None) -> Tensor:
        """Embeddings [B, tables, 16]; shared tables, perhaps left in another model's mode, take this one's."""
        self.embeddings.train(self.training)
        rows: Tensor = self.embeddings(ids, offsets)
        return rows

    def _features(self, shapes: Sequence[BlockShape], dense: Tensor, sparse: Tensor) -> Tensor:
        """Both outputs of the last block side by side, [B, H]; dense [B, nd], embeddings [B, tables, 16]."""
        sources = Outputs(dense.to(sparse.dtype), sparse)
        for block, shape in zip(self.blocks, shapes, strict=True):
            sources.append(*block(shape, sources))
        last = len(shapes)
        return sources.join_flat((last,), (last,))
