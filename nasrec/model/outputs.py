"""The tensors that flow between blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


class Outputs:
    """What the raw input (source 0) and the blocks so far have given; None where nobody reads it.

    Dense outputs are [B, width]. Sparse outputs are kept coordinate first, [B, 16, rows], because every operator on
    them is a linear map over rows: no transposition is then needed between blocks.
    """

    def __init__(self, dense: Tensor, sparse: Tensor) -> None:
        """Start with the raw inputs: dense [B, width], embeddings [B, tables, 16]."""
        self.dense: list[Tensor | None] = [dense]
        self.sparse: list[Tensor | None] = [sparse.transpose(1, 2).contiguous()]  # once, for all that read it

    def append(self, dense: Tensor | None, sparse: Tensor | None) -> None:
        """Add the outputs of the next block."""
        self.dense.append(dense)
        self.sparse.append(sparse)

    def join_dense(self, sources: Sequence[int]) -> Tensor:
        """The dense outputs of `sources` beside each other: [B, sum of widths]."""
        return _join([self.dense[source] for source in sources])

    def join_sparse(self, sources: Sequence[int]) -> Tensor:
        """The sparse outputs of `sources` beside each other: [B, 16, sum of rows]."""
        return _join([self.sparse[source] for source in sources])

    def join_flat(self, dense: Sequence[int], sparse: Sequence[int]) -> Tensor:
        """Dense outputs, then the numbers of sparse ones, row by row: [B, sum of widths + 16 * sum of rows]."""
        return torch.cat([self.join_dense(dense), self.join_sparse(sparse).transpose(1, 2).flatten(1)], dim=1)

    def pair(self, left: int, right: int) -> tuple[Tensor, Tensor]:
        """Two dense outputs, the narrower padded with zeros to the width of the other."""
        a, b = _join([self.dense[left]]), _join([self.dense[right]])
        width = max(a.shape[1], b.shape[1])
        return functional.pad(a, (0, width - a.shape[1])), functional.pad(b, (0, width - b.shape[1]))


def _join(tensors: Sequence[Tensor | None]) -> Tensor:
    present = [tensor for tensor in tensors if tensor is not None]
    if len(present) != len(tensors):
        raise RuntimeError("a block reads an output that liveness says nobody reads")
    return present[0] if len(present) == 1 else torch.cat(present, dim=-1)
