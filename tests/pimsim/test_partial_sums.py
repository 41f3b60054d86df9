"""Sums that row blocks in different tiles send each other: counted crossbar by crossbar, and a layer by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Chip, MatVec, OpCost, Workload, evaluate, presets
from pimsim.interconnect import Grid
from pimsim.partial_sums import partial_sums

SIZED = presets.isaac().with_tiles(None)  # 96 crossbars of 128 x 128 in a tile
HOP_J = 20.74e-12 / 256  # of a bit, ISAAC's router


def _cost(op: MatVec, chip: Chip = SIZED) -> OpCost:
    return evaluate(Workload("w", (op,)), chip).by_op[op.name]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 24))
def test_every_cut_of_a_column_block_is_a_hop(row_blocks: int, column_blocks: int, size: int) -> None:
    spans = []  # tiles that hold a part of each column block
    for column in range(column_blocks):
        spans.append(len({(column * row_blocks + row) // size for row in range(row_blocks)}))
    sums = partial_sums(MatVec("m", 1000, 60), row_blocks, column_blocks, size)
    assert (sums.hops, sums.cuts) == (sum(spans) - column_blocks, max(spans) - 1)
    assert sums.bits == (60 / column_blocks * (8 + 8 + 10) if sums.hops else 0.0)
    many = partial_sums(MatVec("m", 1000, 60), np.array([row_blocks, 50]), np.array([column_blocks, 2]), size)
    assert [np.asarray(value).tolist()[0] for value in (many.hops, many.cuts, many.bits)] == [
        sums.hops, sums.cuts, sums.bits]


def test_a_layer_of_two_tiles_by_hand() -> None:
    """Rows for 100 crossbars, 32 outputs of four 2-bit cells: the second tile adds 32 sums of 8 + 8 + 14 bits."""
    cost = _cost(MatVec("m", 12_800, 32))
    assert cost.by_component["router"] == pytest.approx((2 * 12_800 * 8 + 32 * 30) * HOP_J)
    streaming, passing = 12_800 * 8 / 32e9, 32 * 30 / 32e9
    assert cost.cost.busy_s["routers"] == pytest.approx(streaming + passing / 2)  # of two tiles
    assert cost.cost.busy_s["crossbars of m"] == pytest.approx(streaming + passing)
    assert cost.cost.latency_s == pytest.approx(
        streaming + 29e-9 + 10 * 100e-9 + (passing + 29e-9) + (512 / 384e9 + 1e-9))


def test_row_blocks_that_fill_one_tile_pass_nothing_on() -> None:
    full, one_more = (_cost(MatVec("m", 128 * blocks, 32)) for blocks in (96, 97))
    assert full.by_component["router"] == pytest.approx(96 * 128 * 8 * HOP_J)
    assert one_more.by_component["router"] == pytest.approx((2 * 97 * 128 * 8 + 32 * 30) * HOP_J)
    # 8 row blocks and 24 column blocks: the border of the tiles lies between two column blocks.
    assert _cost(MatVec("m", 1024, 768)).by_component["router"] == pytest.approx(2 * 1024 * 8 * HOP_J)
    # 5 row blocks and 20 column blocks: the last one is cut, 640 / 20 outputs wide.
    assert _cost(MatVec("m", 640, 640)).by_component["router"] == pytest.approx((2 * 640 * 8 + 32 * 26) * HOP_J)


def test_sums_are_added_in_pairs_but_along_a_mesh() -> None:
    """Nine tiles: eight hops, of which in pairs four are in turn."""
    sums = partial_sums(MatVec("m", 9 * 96 * 128, 32), 9 * 96, 1, 96)
    assert (sums.hops, [sums.in_turn(kind) for kind in ("flat", "htree", "mesh")]) == (8, [4, 4, 8])


def test_the_next_tile_of_a_network() -> None:
    tree = Grid("htree", 1024, 2.0)
    ways = np.array([tree.route(node, node + 1, 1) for node in range(1023)])
    joints, metres = tree.hop()
    assert ways[:, 0].mean() == pytest.approx(joints, rel=0.02)
    assert ways[:, 2].mean() == pytest.approx(metres, rel=0.06)
    mesh = Grid("mesh", 1024, 2.0)
    routers, _, away = mesh.route(30, 31, 1)
    assert mesh.hop() == (routers, away)


@pytest.mark.parametrize(("topology", "hop", "pitches"), [("mesh", 2, 1), ("htree", 3, 3)])
def test_a_layer_of_two_tiles_on_a_network(topology: str, hop: int, pitches: int) -> None:
    """Inputs come from node 0 to the middle of the layer, node 0 as well, and from there to the second tile."""
    chip = SIZED.with_options(interconnect=topology)
    workload = Workload("w", (MatVec("m", 12_800, 32),))
    report = evaluate(workload, chip)
    assert report.mapping.tiles == 2
    far = report.by_op["m"].by_component
    assert far["router"] == pytest.approx((2 * 12_800 * 8 + hop * 32 * 30) * HOP_J)
    bit_metres = far["wire"] / (0.25 * chip.wire.value * chip.technology.vdd_v**2)
    pitch = ((report.area_m2 - chip.link_area_m2(1)) / 2) ** 0.5
    to_second = 1 if topology == "mesh" else 1.5  # of a tree: leaves beside each other, on average
    assert bit_metres == pytest.approx((12_800 * 8 * to_second + 32 * 30 * pitches) * pitch)


def test_more_tiles_cost_more_and_a_wider_router_less_time() -> None:
    ops = [MatVec("m", 128 * 96 * tiles, 32) for tiles in (1, 2, 5, 30)]
    costs = [_cost(op) for op in ops]
    assert all(b.cost.latency_s > a.cost.latency_s for a, b in pairwise(costs))
    router = replace(SIZED.tile.router, bandwidth=replace(SIZED.tile.router.bandwidth, value=64e9))
    wide = replace(SIZED, tile=replace(SIZED.tile, router=router))
    assert all(_cost(op, wide).cost.latency_s < cost.cost.latency_s for op, cost in zip(ops, costs, strict=True))
    assert [_cost(op, wide).cost.energy_j for op in ops] == [cost.cost.energy_j for cost in costs]
