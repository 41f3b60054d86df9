"""Where each source's numbers stand among the input columns of a block's weights."""

from __future__ import annotations

from dataclasses import dataclass

from nasrec.arch import DSI_ROWS, EMBEDDING_DIM
from nasrec.data.features import Features
from nasrec.model.shape import DSI_WIDTH, BlockShape
from nasrec.space import Space


@dataclass(frozen=True)
class Layout:
    """The columns of one block's weights: a place for every source at its full size, and the largest outputs.

    `dense_starts`, `sparse_starts` and `pair_starts` give the first column of a source; a sparse source has room for
    `sparse_room[source]` rows of its operator, then DSI's. A pair slot (gating: left or right) is `pair_width` wide,
    for the narrower of the two is padded. In a subnet only the chosen sources are there, at their exact sizes.
    """

    dense_starts: dict[int, int]
    dense_columns: int
    sparse_starts: dict[int, int]
    sparse_room: dict[int, int]
    sparse_columns: int
    pair_starts: dict[int, int]
    pair_width: int
    dense_width: int
    sparse_width: int

    @property
    def pair_columns(self) -> int:
        """Columns of all pair slots together."""
        return max(self.pair_starts.values()) + self.pair_width

    def dense_slices(self, shape: BlockShape) -> tuple[slice, ...]:
        """The columns of the chosen dense inputs at their chosen widths."""
        starts = [(self.dense_starts[source], source) for source in shape.choice.dense_inputs]
        return tuple(slice(start, start + shape.dense_widths[source]) for start, source in starts)

    def sparse_slices(self, shape: BlockShape) -> tuple[slice, ...]:
        """The columns of the chosen sparse inputs: operator rows, then DSI rows where there are any."""
        slices = []
        for source in shape.choice.sparse_inputs:
            start, (rows, appended) = self.sparse_starts[source], shape.sparse_rows[source]
            slices.append(slice(start, start + rows))
            if appended:
                room = start + self.sparse_room[source]
                slices.append(slice(room, room + appended))
        return tuple(slices)

    @property
    def flat_columns(self) -> int:
        """Columns for every dense input beside every number of every sparse one."""
        return self.dense_columns + EMBEDDING_DIM * self.sparse_columns

    def flat_slices(self, shape: BlockShape) -> tuple[slice, ...]:
        """The columns of the chosen inputs: the dense ones, then the sparse ones row by row."""
        rows = [
            slice(*(self.dense_columns + EMBEDDING_DIM * end for end in (chosen.start, chosen.stop)))
            for chosen in self.sparse_slices(shape)
        ]
        return (*self.dense_slices(shape), *rows)

    def pair_slices(self, shape: BlockShape, source: int) -> tuple[slice, ...]:
        """The columns of gating's left or right `source`, padded to the wider of the two."""
        start = self.pair_starts[source]
        return (slice(start, start + shape.pair_width),)

    def head_slices(self, shape: BlockShape) -> tuple[slice, ...]:
        """The head's columns for the outputs of this, the last block: dense, then sparse row by row, then DSI's."""
        rows, appended = shape.rows
        sparse = self.dense_width
        slices = [slice(0, shape.choice.dense_width), slice(sparse, sparse + rows * EMBEDDING_DIM)]
        if appended:
            slices.append(slice(sparse + self.sparse_width * EMBEDDING_DIM, self.head_columns))
        return tuple(slices)

    @property
    def head_columns(self) -> int:
        """Columns of a head that reads the largest outputs."""
        return self.dense_width + self.sparse_width * EMBEDDING_DIM + DSI_WIDTH


def layout_of_space(space: Space, features: Features, index: int) -> Layout:
    """Room for everything that block `index` (from 0) of `space` may read and give."""
    dense = [features.dense] + [max(space.dense_widths)] * index
    rows = [len(features.tables)] + [max(space.sparse_widths)] * index
    rooms = [rows[0]] + [count + DSI_ROWS for count in rows[1:]]
    sources = range(index + 1)
    return Layout(
        dense_starts={source: sum(dense[:source]) for source in sources},
        dense_columns=sum(dense),
        sparse_starts={source: sum(rooms[:source]) for source in sources},
        sparse_room=dict(enumerate(rows)),
        sparse_columns=sum(rooms),
        pair_starts={source: source * max(dense) for source in sources},
        pair_width=max(dense),
        dense_width=max(space.dense_widths),
        sparse_width=max(space.sparse_widths),
    )


def layout_of_shape(shape: BlockShape) -> Layout:
    """Room for exactly what this block of a standalone architecture reads and gives: its slices cover everything."""
    dense_starts, sparse_starts, dense_columns, sparse_columns = {}, {}, 0, 0
    for source in shape.choice.dense_inputs:
        dense_starts[source] = dense_columns
        dense_columns += shape.dense_widths[source]
    for source in shape.choice.sparse_inputs:
        sparse_starts[source] = sparse_columns
        sparse_columns += sum(shape.sparse_rows[source])
    return Layout(
        dense_starts=dense_starts,
        dense_columns=dense_columns,
        sparse_starts=sparse_starts,
        sparse_room={source: shape.sparse_rows[source][0] for source in shape.choice.sparse_inputs},
        sparse_columns=sparse_columns,
        pair_starts={shape.choice.left: 0, shape.choice.right: 0},
        pair_width=shape.pair_width,
        dense_width=shape.choice.dense_width,
        sparse_width=shape.choice.sparse_width,
    )
