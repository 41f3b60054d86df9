"""The sizes of a model, worked out from its architecture: what each block reads and gives."""

from __future__ import annotations

from dataclasses import dataclass

from nasrec.arch import DSI_ROWS, EMBEDDING_DIM, Arch, BlockChoice
from nasrec.data.features import Features
from nasrec.liveness import LiveBlock, live_blocks

DSI_WIDTH = DSI_ROWS * EMBEDDING_DIM


@dataclass(frozen=True)
class BlockShape:
    """One block of an architecture with the sizes of everything it could read.

    `dense_widths` [source] counts numbers, `sparse_rows` [source] the rows of the operator's output and those that
    DSI appended; source 0 is the raw input.
    """

    choice: BlockChoice
    live: LiveBlock
    dense_widths: tuple[int, ...]
    sparse_rows: tuple[tuple[int, int], ...]

    @property
    def dense_columns(self) -> int:
        """Numbers in the concatenated dense input."""
        return sum(self.dense_widths[source] for source in self.choice.dense_inputs)

    @property
    def sparse_columns(self) -> int:
        """Rows in the concatenated sparse input."""
        return sum(sum(self.sparse_rows[source]) for source in self.choice.sparse_inputs)

    @property
    def pair_width(self) -> int:
        """The wider of left and right, to which gating and sum pad the other."""
        return max(self.dense_widths[self.choice.left], self.dense_widths[self.choice.right])

    @property
    def rows(self) -> tuple[int, int]:
        """Rows of the sparse output: the operator's and DSI's."""
        return self.choice.sparse_width, DSI_ROWS if self.live.dsi else 0


def shapes_of(arch: Arch, features: Features) -> tuple[BlockShape, ...]:
    """The shape of every block of `arch` on data with these `features`."""
    dense = [features.dense]
    sparse = [(len(features.tables), 0)]
    shapes = []
    for choice, live in zip(arch.blocks, live_blocks(arch), strict=True):
        shape = BlockShape(choice, live, tuple(dense), tuple(sparse))
        shapes.append(shape)
        dense.append(choice.dense_width)
        sparse.append(shape.rows)
    return tuple(shapes)
