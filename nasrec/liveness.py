"""Which operators of an architecture reach the head: dead ones are neither computed nor costed nor stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from nasrec.arch import FLOAT, Arch, BlockChoice


@dataclass(frozen=True)
class LiveBlock:
    """What of one block is read by somebody, directly or through later blocks.

    `dense` and `sparse`: the operators run. `dense_output` and `sparse_output`: the block's outputs are read, so that
    the mergers into them (`fm` into dense, `dsi` into sparse) run as well where they are switched on.
    """

    dense: bool
    sparse: bool
    dense_output: bool
    sparse_output: bool
    dsi: bool
    fm: bool

    @property
    def alive(self) -> bool:
        """Whether any operator of the block runs."""
        return self.dense or self.sparse


def live_blocks(arch: Arch) -> tuple[LiveBlock, ...]:
    """Liveness of each block, from the head (which reads both outputs of the last block) backwards."""
    read_dense = {len(arch.blocks)}
    read_sparse = {len(arch.blocks)}
    live: list[LiveBlock] = []
    for number in range(len(arch.blocks), 0, -1):
        block = arch.blocks[number - 1]
        dense_output, sparse_output = number in read_dense, number in read_sparse
        dsi = block.dsi and sparse_output
        fm = block.fm and dense_output
        state = LiveBlock(dense_output or dsi, sparse_output or fm, dense_output, sparse_output, dsi, fm)
        live.append(state)
        read_dense |= dense_sources(block) if state.dense else set()
        read_sparse |= sparse_sources(block, state)
    return tuple(reversed(live))


def all_blocks(arch: Arch) -> tuple[LiveBlock, ...]:
    """What `live_blocks` would be if everything were read: the official code builds and runs dead parts too."""
    return tuple(LiveBlock(True, True, True, True, block.dsi, block.fm) for block in arch.blocks)


def canonical(arch: Arch) -> Arch:
    """The same network with every gene that nobody reads set to its plainest value.

    Two genotypes of one live network become equal; outputs, costs and weights are those of `arch`.
    """
    blocks = []
    for block, live in zip(arch.blocks, live_blocks(arch), strict=True):
        pairs = live.dense and bool({"gating", "sum"} & set(block.dense_ops))
        concatenated = live.dense and bool({"fc", "dot"} & set(block.dense_ops))
        dead: dict[str, Any] = {}
        if not live.dense:
            dead |= {"dense_ops": ("fc",), "dense_width": 1, "dense_precision": FLOAT}
        if not live.sparse:
            dead |= {"sparse_ops": ("efc",), "sparse_width": 1, "sparse_precision": FLOAT}
        if not pairs:
            dead |= {"left": 0, "right": 0}
        if not concatenated:
            dead["dense_inputs"] = (0,)
        if not sparse_sources(block, live):
            dead["sparse_inputs"] = (0,)
        dead |= {"dsi": live.dsi, "fm": live.fm}
        dead |= {} if live.dsi else {"dsi_precision": FLOAT}
        dead |= {} if live.fm else {"fm_precision": FLOAT}
        blocks.append(replace(block, **dead))
    return Arch(tuple(blocks), arch.head)


def dense_sources(block: BlockChoice) -> set[int]:
    """The dense outputs that the block's dense operators read."""
    sources: set[int] = set()
    for op in block.dense_ops:
        sources |= {block.left, block.right} if op in ("gating", "sum") else set(block.dense_inputs)
    return sources


def sparse_sources(block: BlockChoice, live: LiveBlock) -> set[int]:
    """The sparse outputs that the block's running operators read (the dot product reads both kinds)."""
    if live.sparse or (live.dense and "dot" in block.dense_ops):
        return set(block.sparse_inputs)
    return set()
