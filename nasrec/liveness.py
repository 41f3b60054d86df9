"""Which operators of an architecture reach the head, and when two genotypes are therefore one network.

Dead operators are neither computed nor costed nor stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from nasrec.arch import DENSE_OPS, DSI_ROWS, EMBEDDING_DIM, FLOAT, SPARSE_OPS, Arch, BlockChoice, Precision
from nasrec.space import Space

PAIRED = {"gating", "sum"}  # operators that read `left` and `right`
READ_ROWS = {"dot", "deep", "bilinear"}  # dense operators that read `sparse_inputs` as well


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


def canonical(arch: Arch, space: Space | None = None, *, dense: int | None = None) -> Arch:
    """The same network with every block where it is and every gene that nobody reads at a fixed value.

    Two genotypes with equal forms compute the same logits from the same weights (of a supernet, or by official names),
    cost the same and score the same: compare these in a search. Unread are: operators, widths and bits of dead
    branches, inputs that no running operator reads, switched-on mergers into outputs that nobody reads, bits of a
    merger, a sum or a skip that has no weights. Where sum is the only one to read them, left and right are put in
    order; so are operators (three or more are then added in another order, to rounding). Forms may differ where a skip
    cuts off the only rows that tell two genotypes apart, or passes on what another skip passes on.

    Dead blocks stay, for a block's number names its weights: `network` drops them. The fixed values are the plainest
    there are, or with `space` its first operators and bits and its smallest widths, so that the form is in the space
    too. `dense` is the number of raw dense inputs; without it, bits of a sum that reads them count as read.
    """
    width, rows, bits = 1, 1, FLOAT
    dense_op, sparse_op = DENSE_OPS[0], SPARSE_OPS[0]
    if space is not None:
        width, rows = min(space.dense_widths), min(space.sparse_widths)
        bits = Precision(space.weight_bits[0], space.input_bits[0])
        dense_op, sparse_op = space.dense_ops[0], space.sparse_ops[0]
    widths = [dense, *(block.dense_width for block in arch.blocks)]
    blocks = []
    for block, live in zip(arch.blocks, live_blocks(arch), strict=True):
        form: dict[str, Any] = {
            "dense_ops": tuple(sorted(block.dense_ops, key=DENSE_OPS.index)),
            "sparse_ops": tuple(sorted(block.sparse_ops, key=SPARSE_OPS.index)),
            "dsi": live.dsi,
            "fm": live.fm,
            **_sources(block, live),
        }
        if not live.dense:
            form |= {"dense_ops": (dense_op,), "dense_width": width}
        if not live.sparse:
            form |= {"sparse_ops": (sparse_op,), "sparse_width": rows}
        if not live.sparse or block.sparse_ops == ("skip",):
            form["sparse_precision"] = bits
        if not live.dense or _is_bare_sum(block, widths):
            form["dense_precision"] = bits
        if not live.dsi or block.dense_width == DSI_ROWS * EMBEDDING_DIM:
            form["dsi_precision"] = bits
        if not live.fm or block.dense_width == EMBEDDING_DIM:
            form["fm_precision"] = bits
        blocks.append(replace(block, **form))
    return Arch(tuple(blocks), arch.head)


def network(arch: Arch) -> Arch:
    """The standalone network of `arch` as its shortest genotype: `canonical`, without dead blocks, in a fixed order.

    Equal for two architectures exactly where one becomes the other by dropping dead blocks and genes and by numbering
    live blocks in another order, that is, where the same standalone model is trained: weights then differ in the names
    of their blocks and the order of their columns. Compare these before training from scratch; a supernet has other
    weights for another place, and gives the two other scores.

    The order is the one whose blocks, from the first, come first as tuples. Ties are followed up together: work grows
    with the factorial of the number of blocks that are alike, which read alike, and which a later block tells apart.
    """
    form = canonical(arch)
    live = {number for number, state in enumerate(live_blocks(form), start=1) if state.alive}
    waits = {number: _reads(form.blocks[number - 1]) & live for number in live}
    orders: list[tuple[dict[int, int], list[BlockChoice]]] = [({0: 0}, [])]
    for _ in live:
        found = [
            (_renumbered(form.blocks[number - 1], places), number, places, blocks)
            for places, blocks in orders
            for number in sorted(live - set(places))
            if waits[number] <= set(places)
        ]
        first = min(astuple(block) for block, *_ in found)
        orders = [
            ({**places, number: len(places)}, [*blocks, block])
            for block, number, places, blocks in found
            if astuple(block) == first
        ]
    # All that is left have the same blocks in the same order.
    return Arch(tuple(orders[0][1]), form.head)


def dense_sources(block: BlockChoice) -> set[int]:
    """The dense outputs that the block's dense operators read."""
    sources: set[int] = set()
    for op in block.dense_ops:
        sources |= {block.left, block.right} if op in PAIRED else set(block.dense_inputs)
    return sources


def sparse_sources(block: BlockChoice, live: LiveBlock) -> set[int]:
    """The sparse outputs that the block's running operators read (`READ_ROWS` read both kinds)."""
    if live.sparse or (live.dense and READ_ROWS & set(block.dense_ops)):
        return set(block.sparse_inputs)
    return set()


def _sources(block: BlockChoice, live: LiveBlock) -> dict[str, Any]:
    """The fields of a block that name inputs, as `canonical` has them."""
    ops = set(block.dense_ops) if live.dense else set()
    left, right = (block.left, block.right) if ops & PAIRED else (0, 0)
    if "gating" not in ops:
        left, right = sorted((left, right))
    return {
        "dense_inputs": block.dense_inputs if ops - PAIRED else (0,),
        "sparse_inputs": block.sparse_inputs if sparse_sources(block, live) else (0,),
        "left": left,
        "right": right,
    }


def _is_bare_sum(block: BlockChoice, widths: Sequence[int | None]) -> bool:
    """Whether the dense branch is a sum that is as wide as wanted without a projection."""
    left, right = widths[block.left], widths[block.right]
    if set(block.dense_ops) != {"sum"} or left is None or right is None:
        return False
    return max(left, right) == block.dense_width


def _reads(block: BlockChoice) -> set[int]:
    """Every number in a canonical block that names an input; unread ones name the raw input."""
    return {*block.dense_inputs, *block.sparse_inputs, block.left, block.right}


def _renumbered(block: BlockChoice, places: Mapping[int, int]) -> BlockChoice:
    """`block` reading the same sources at their new `places`."""
    left, right = places[block.left], places[block.right]
    if "gating" not in block.dense_ops:
        left, right = sorted((left, right))
    return replace(
        block,
        dense_inputs=tuple(sorted(places[source] for source in block.dense_inputs)),
        sparse_inputs=tuple(sorted(places[source] for source in block.sparse_inputs)),
        left=left,
        right=right,
    )
