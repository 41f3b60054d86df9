"""Sums of row blocks of a matrix or table in different tiles: what the tiles send each other to add them up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pimsim.chip import Chip
from pimsim.mapping import Placement
from pimsim.quantity import Count, Number, bit_length, ceil_div, where, whole
from pimsim.tables import TableUse, hops_of_bag
from pimsim.workload import Gather, MatVec


@dataclass(frozen=True)
class PartialSums:
    """Of one vector or bag: `hops` from tile to tile, each of `bits`; `cuts`: those of one column block, at most."""

    hops: Number = 0
    cuts: Count = 0
    bits: Number = 0.0

    def in_turn(self, interconnect: Literal["flat", "htree", "mesh"]) -> Count:
        """Hops one after the other: in pairs and pairs of pairs, or along a mesh, where that way would be no shorter.

        Bits go on as they come (assumption).
        """
        return self.cuts if interconnect == "mesh" else bit_length(self.cuts)


def accumulator_bits(op: MatVec) -> int:
    """Bits that hold any result of `op`: inputs x (2^input_bits - 1) x (2^weight_bits - 1), with its sign."""
    return op.input_bits + op.weight_bits + int(bit_length(op.inputs))


def partial_sums(op: MatVec, row_blocks: Count, column_blocks: Count, tile_crossbars: int) -> PartialSums:
    """What the tiles of one copy of `op` send each other.

    Crossbars fill tiles one column block after the other (assumption), from the start of a tile. A border between two
    tiles that cuts a column block is crossed by the sums of that block; one between two column blocks, where a multiple
    of both sizes is full, by none. Sums are as wide as those that are added within a tile; column blocks are taken as
    equally wide (assumption).
    """
    crossbars = row_blocks * column_blocks
    borders = ceil_div(crossbars, tile_crossbars) - 1
    if not np.any(borders):
        return PartialSums()
    both = np.lcm(row_blocks, tile_crossbars) if isinstance(row_blocks, np.ndarray) else math.lcm(
        row_blocks, tile_crossbars)
    hops = borders - (crossbars - 1) // both
    bits = where(hops > 0, op.outputs / column_blocks * accumulator_bits(op), 0.0)
    # Column blocks are cut k or k + 1 times, so the most is the mean rounded up.
    return PartialSums(hops, ceil_div(hops, column_blocks), bits)


def bag_bits(op: Gather) -> int:
    """Bits that hold the sum of a bag of `op`."""
    return op.element_bits + int(bit_length(int(-(-op.lookups // 1))))


def bag_sums(op: Gather, placement: Placement, chip: Chip) -> PartialSums:
    """What the tiles of one copy of `op`, summed in crossbars, send each other for one bag.

    A column block has a hop for each tile that the bag needs but one, see `hops_of_bag`. In turn are those of the mean
    column block, rounded up (assumption).
    """
    assert isinstance(placement.table, TableUse)
    hops = hops_of_bag(op, placement.table.plan.layout, chip.crossbar, placement.row_blocks, placement.column_blocks,
                       chip.tile.crossbars)
    bits = where(np.greater(hops, 0.0), op.length / placement.column_blocks * bag_bits(op), 0.0)
    return PartialSums(hops, whole(np.ceil(hops / placement.column_blocks)), bits)
