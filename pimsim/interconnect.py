"""The network between tiles, banks and vector unit: where ops stand, what they send each other, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pimsim.chip import Chip
from pimsim.mapping import Mapping
from pimsim.partial_sums import bag_sums, partial_sums
from pimsim.quantity import Count, Number, Table, bit_length, ceil_div, larger, where, whole
from pimsim.workload import Elementwise, Gather, MatMul, MatVec, Op, Workload

INPUT = "input"
"""The sender of what no op makes: the chip's port, at node 0, where the off-chip memory is too."""
_LEVELS = 48
_EDGES = [0.5 * 2.0 ** ((level - 1) // 2) for level in range(1, _LEVELS + 1)]
_CLIMB = Table(0, tuple(sum(_EDGES[:level]) for level in range(_LEVELS + 1)), "1",
               "H-tree of unit squares: the edges up to a joint at that level, which double every second level")
_SPREAD = 1.5  # pitches of wire for each leaf of an H-tree over many neighbouring ones: 1/2 + 2 (1/4 + 1/8 + …)


@dataclass(frozen=True)
class Transfer:
    """`bits` that go from one op to another in an inference, through `routers`, over `wire_m` metres.

    `stages`: routers one after the other; fewer than `routers` where the way branches to several tiles.
    """

    sender: str
    receiver: str
    bits: Number
    routers: Number
    stages: Number
    wire_m: Number


@dataclass(frozen=True)
class Arriving:
    """What bringing an op its inputs takes; `busy_s`: the use of links that others share.

    The energies are also those of sums that its tiles pass on, each hop of which is delayed by `hop_s`.
    """

    transfers: tuple[Transfer, ...]
    router_j: Number
    wire_j: Number
    delay_s: Number
    hop_s: Number
    busy_s: dict[str, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """The nodes of one chip, as equal squares of side `pitch_m` in the order of a topology.

    Mesh: rows of ceil(sqrt(nodes)), run through to and fro, so that neighbours in the order are neighbours in space.
    H-tree: leaves in the order of the tree, joined two by two.
    """

    topology: Literal["htree", "mesh"]
    nodes: Count
    pitch_m: Number

    def width(self) -> Count:
        """Nodes in a row of the mesh."""
        return whole(np.ceil(np.sqrt(self.nodes)))

    def xy(self, node: Count) -> tuple[Count, Count]:
        """Place of a node in the mesh."""
        width = self.width()
        y, x = node // width, node % width
        return where(y % 2 == 1, width - 1 - x, x), y

    def route(self, start: Count, end: Count, tiles: Count) -> tuple[Number, Number, Number]:
        """Routers, stages and metres from `start` to the `tiles` neighbouring nodes at `end`.

        Mesh: first along the row, then the column, then from each tile to the next. H-tree: up to the joint of both and
        down again, a router at each joint, then down to all tiles.
        """
        if self.topology == "mesh":
            (xa, ya), (xb, yb) = self.xy(start), self.xy(end)
            hops = larger(xa - xb, xb - xa) + larger(ya - yb, yb - ya) + (tiles - 1)
            return hops + 1, hops + 1, hops * self.pitch_m
        level = bit_length(start ^ end)
        joints = larger(2 * level - 1, 1)
        metres = (2.0 * _CLIMB.at(level) + (tiles - 1) * _SPREAD) * self.pitch_m
        return joints + (tiles - 1), joints + bit_length(tiles - 1), metres

    def hop(self) -> tuple[int, Number]:
        """Routers and metres from a tile to the next.

        H-tree: the mean over a large one (assumption). Half of the neighbours meet at the first level, a quarter at the
        second, and so on: the sum of (2l - 1) / 2^l is 3 joints, and as many pitches.
        """
        return (2, self.pitch_m) if self.topology == "mesh" else (3, 3.0 * self.pitch_m)

    def crosses_middle(self, start: Count, end: Count) -> Count:
        """Whether the way leads over the middle: between the upper and lower rows, or over the root."""
        if self.topology == "mesh":
            half = (ceil_div(self.nodes, self.width()) + 1) // 2
            return (start // self.width() >= half) != (end // self.width() >= half)
        root = larger(bit_length(self.nodes - 1) - 1, 0)
        return (start >> root) != (end >> root)  # type: ignore[no-any-return]

    def middle_links(self) -> Count:
        """Links over the middle: one for each node of a row; one at the root."""
        return self.width() if self.topology == "mesh" else 1


def arrivals(workload: Workload, mapping: Mapping, chip: Chip, area_m2: Number) -> dict[str, Arriving]:
    """What reaches each op over the network of `chip`, whose nodes cover `area_m2`; nothing where it is "flat".

    An op receives its input bits once per tile of one copy; they come from the ops in its `after`, in proportion to
    the numbers that those make, or from the chip's port where there are none (assumption). The ids of lookups are not
    charged. A stage takes the router's delay, wire included; the busiest links are those into and out of the vector
    unit, and those over the middle, which share what crosses evenly and carry both directions (assumption). Sums that
    tiles pass on go to neighbours, over links that no other op needs (assumption); the tiles that a bag of a table
    needs may be further apart.
    """
    if chip.interconnect == "flat":
        return {}
    nodes = larger(ceil_div(mapping.tiles + mapping.banks, mapping.chips), 1)
    grid = Grid(chip.interconnect, nodes, np.sqrt(area_m2 / (nodes * mapping.chips)))
    places = _places(workload, mapping, chip, nodes)
    by_name = {op.name: op for op in workload.ops}
    router = chip.tile.router
    hop_routers, hop_m = grid.hop()
    hop_s = hop_routers * router.delay.value
    wire_j = 0.25 * chip.wire.value * chip.technology.vdd_v**2  # J per bit and metre: half of the bits flip, C·V²/2
    result: dict[str, Arriving] = {}
    for op in workload.ops:
        bits, placement = received_bits(op), mapping.placements[op.name]
        adds_up = isinstance(op, Gather) and placement.unit == "crossbars"
        if not bits and not adds_up:
            continue
        tiles: Count = 1
        passed: Number = 0.0
        made: dict[str, int] = {}
        if isinstance(op, Gather):
            sums = bag_sums(op, placement, chip)
            passed = op.bags * sums.hops * sums.bits
        else:
            made = {name: made_numbers(by_name[name]) for name in op.after} or {INPUT: 1}
        if isinstance(op, MatVec):
            tiles = ceil_div(placement.row_blocks * placement.column_blocks, chip.tile.crossbars)
            sums = partial_sums(op, placement.row_blocks, placement.column_blocks, chip.tile.crossbars)
            passed = op.vectors * sums.hops * sums.bits
        total, transfers, busy = sum(made.values()), [], dict[str, Number]()
        routers_j: Number = passed * hop_routers * router.energy.value
        wires_j: Number = passed * hop_m * wire_j
        stages: Number = 0
        for sender, numbers in made.items():
            start, end = places[sender], places[op.name]
            routers, depth, metres = grid.route(start, end, tiles)
            one = Transfer(sender, op.name, bits * (numbers / total), routers, depth, metres)
            transfers.append(one)
            routers_j = routers_j + one.bits * routers * router.energy.value
            wires_j = wires_j + one.bits * metres * wire_j
            stages = larger(stages, depth)
            seconds = one.bits / router.bandwidth.value
            if isinstance(by_name.get(sender), MatMul | Elementwise):
                _use(busy, "link from vector_unit", seconds)
            _use(busy, "links over the middle", grid.crosses_middle(start, end) * seconds / grid.middle_links())
        if isinstance(op, MatMul | Elementwise):
            _use(busy, "link to vector_unit", bits / router.bandwidth.value)
        result[op.name] = Arriving(tuple(transfers), routers_j, wires_j, stages * router.delay.value, hop_s, busy)
    return result


def received_bits(op: Op) -> int:
    """Input bits of an op, once."""
    if isinstance(op, MatVec):
        return op.vectors * op.inputs * op.input_bits
    if isinstance(op, MatMul):
        return op.operands * op.input_bits
    return op.count * op.operands * op.input_bits if isinstance(op, Elementwise) else 0


def made_numbers(op: Op) -> int:
    """Numbers that an op makes."""
    if isinstance(op, MatVec):
        return op.vectors * op.outputs
    if isinstance(op, Gather):
        return op.bags * op.length
    return op.outputs if isinstance(op, MatMul) else op.count


def _use(busy: dict[str, Number], name: str, seconds: Number) -> None:
    busy[name] = busy[name] + seconds if name in busy else seconds


def _places(workload: Workload, mapping: Mapping, chip: Chip, nodes: Count) -> dict[str, Count]:
    """The node of each op: the middle of its crossbars, which fill tiles, then banks, in the order of execution.

    The vector unit is at the middle node; off-chip memory, and what comes from outside, at node 0. On several chips an
    op stands where it would on its own one (assumption).
    """
    places: dict[str, Count] = {INPUT: 0}
    in_tiles: Count = 0
    in_banks: Count = 0
    for op in workload.ops:
        placement = mapping.placements[op.name]
        middle = placement.crossbars // 2
        if placement.unit == "vector_unit":
            places[op.name] = nodes // 2
        elif placement.unit == "dram":
            places[op.name] = 0
        elif placement.unit == "crossbars" or chip.banks == 0:
            places[op.name] = (in_tiles + middle) // chip.tile.crossbars % nodes
            in_tiles = in_tiles + placement.crossbars
        else:
            places[op.name] = (mapping.tiles + (in_banks + middle) // chip.bank.crossbars) % nodes
            in_banks = in_banks + placement.crossbars
    return places
