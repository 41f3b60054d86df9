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
        self._dense_joins, self._sparse_joins = _Joins(), _Joins()

    def append(self, dense: Tensor | None, sparse: Tensor | None) -> None:
        """Add the outputs of the next block."""
        self.dense.append(dense)
        self.sparse.append(sparse)

    def join_dense(self, sources: Sequence[int]) -> Tensor:
        """The dense outputs of `sources` beside each other: [B, sum of widths]."""
        return self._dense_joins.of(self.dense, sources)

    def join_sparse(self, sources: Sequence[int]) -> Tensor:
        """The sparse outputs of `sources` beside each other: [B, 16, sum of rows]."""
        return self._sparse_joins.of(self.sparse, sources)

    def join_flat(self, dense: Sequence[int], sparse: Sequence[int]) -> Tensor:
        """Dense outputs, then the numbers of sparse ones, row by row: [B, sum of widths + 16 * sum of rows]."""
        return torch.cat([self.join_dense(dense), self.join_sparse(sparse).transpose(1, 2).flatten(1)], dim=1)

    def pair(self, left: int, right: int) -> tuple[Tensor, Tensor]:
        """Two dense outputs, the narrower padded with zeros to the width of the other."""
        a, b = self.join_dense((left,)), self.join_dense((right,))
        width = max(a.shape[1], b.shape[1])
        return functional.pad(a, (0, width - a.shape[1])), functional.pad(b, (0, width - b.shape[1]))


class _Joins:
    """Outputs beside each other. The operators of a block read the same sources, so the last copy is kept for them."""

    def __init__(self) -> None:
        self._sources: tuple[int, ...] = ()
        self._joined: Tensor | None = None

    def of(self, outputs: Sequence[Tensor | None], sources: Sequence[int]) -> Tensor:
        """`outputs` of `sources`, joined along the last dimension; a single one is not copied."""
        if len(sources) == 1:
            return _present(outputs[sources[0]])
        if self._joined is None or self._sources != tuple(sources):
            self._joined = torch.cat([_present(outputs[source]) for source in sources], dim=-1)
            self._sources = tuple(sources)
        return self._joined


def _present(output: Tensor | None) -> Tensor:
    if output is None:
        raise RuntimeError("a block reads an output that liveness says nobody reads")
    return output
