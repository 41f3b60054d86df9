"""Sums that row blocks in different tiles send each other: counted crossbar by crossbar, drawn, and by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Chip, Gather, MatVec, OpCost, Workload, evaluate, place, presets
from pimsim.explain import explain
from pimsim.interconnect import Grid
from pimsim.partial_sums import bag_sums, partial_sums
from pimsim.sweep import Space, sweep
from pimsim.tables import Layout, TablePlan
from tests.pimsim.near import near

SIZED = presets.isaac().with_tiles(None)  # 96 crossbars of 128 x 128 in a tile
HOP_J = 20.74e-12 / 256  # of a bit, ISAAC's router
SUMMED = TablePlan("in_crossbar")


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
    assert cost.by_component["router"] == near((2 * 12_800 * 8 + 32 * 30) * HOP_J)
    streaming, passing = 12_800 * 8 / 32e9, 32 * 30 / 32e9
    assert cost.cost.busy_s["routers"] == near(streaming + passing / 2)  # of two tiles
    assert cost.cost.busy_s["crossbars of m"] == near(streaming + passing)
    assert cost.cost.latency_s == near(
        streaming + 29e-9 + 10 * 100e-9 + (passing + 29e-9) + (512 / 384e9 + 1e-9))


def test_three_vectors_over_two_tiles_by_hand() -> None:
    """They follow each other as the router brings them, each with the sums of the one before."""
    cost = _cost(MatVec("m", 12_800, 32, vectors=3)).cost
    streaming, passing = 12_800 * 8 / 32e9, 32 * 30 / 32e9
    assert cost.busy_s["crossbars of m"] == near(3 * (streaming + passing))
    assert cost.latency_s == near(
        streaming + 29e-9 + 2 * (streaming + passing) + 10 * 100e-9 + (passing + 29e-9) + (512 / 384e9 + 1e-9))


def test_row_blocks_that_fill_one_tile_pass_nothing_on() -> None:
    full, one_more = (_cost(MatVec("m", 128 * blocks, 32)) for blocks in (96, 97))
    assert full.by_component["router"] == near(96 * 128 * 8 * HOP_J)
    assert one_more.by_component["router"] == near((2 * 97 * 128 * 8 + 32 * 30) * HOP_J)
    # 8 row blocks and 24 column blocks: the border of the tiles lies between two column blocks.
    assert _cost(MatVec("m", 1024, 768)).by_component["router"] == near(2 * 1024 * 8 * HOP_J)
    # 5 row blocks and 20 column blocks: the last one is cut, 640 / 20 outputs wide.
    assert _cost(MatVec("m", 640, 640)).by_component["router"] == near((2 * 640 * 8 + 32 * 26) * HOP_J)


def test_sums_stay_on_their_chip_and_copies_start_with_a_tile() -> None:
    """Half of the inputs come from the other chip, once each; 97 crossbars to a copy, and still one border in each."""
    op = MatVec("m", 128 * 97, 32, vectors=4)
    two = evaluate(Workload("w", (op,)), presets.isaac(), chips=2).by_op["m"].by_component
    assert two["link"] == near(4 * 97 * 128 * 8 / 2 * presets.isaac().link.energy.value)
    workload = Workload("w", (op,))
    routed = [evaluate(workload, SIZED, copies=copies).by_op["m"].by_component["router"] for copies in (1, 2, 4)]
    assert routed == [near(4 * (2 * 97 * 128 * 8 + 32 * 30) * HOP_J)] * 3


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
    assert far["router"] == near((2 * 12_800 * 8 + hop * 32 * 30) * HOP_J)
    bit_metres = far["wire"] / (0.25 * chip.wire.value * chip.technology.vdd_v**2)
    pitch = ((report.area_m2 - chip.link_area_m2(1)) / 2) ** 0.5
    to_second = 1 if topology == "mesh" else 1.5  # of a tree: leaves beside each other, on average
    assert bit_metres == near((12_800 * 8 * to_second + 32 * 30 * pitches) * pitch)


def test_more_tiles_cost_more_and_a_wider_router_less_time() -> None:
    ops = [MatVec("m", 128 * 96 * tiles, 32) for tiles in (1, 2, 5, 30)]
    costs = [_cost(op) for op in ops]
    assert all(b.cost.latency_s > a.cost.latency_s for a, b in pairwise(costs))
    router = replace(SIZED.tile.router, bandwidth=replace(SIZED.tile.router.bandwidth, value=64e9))
    wide = replace(SIZED, tile=replace(SIZED.tile, router=router))
    assert all(_cost(op, wide).cost.latency_s < cost.cost.latency_s for op, cost in zip(ops, costs, strict=True))
    assert [_cost(op, wide).cost.energy_j for op in ops] == [cost.cost.energy_j for cost in costs]


def _bag(op: Gather, chip: Chip = SIZED, plan: TablePlan = SUMMED) -> OpCost:
    return evaluate(Workload("w", (op,)), chip, tables=plan).by_op[op.name]


def _drawn_hops(rows: np.ndarray[Any, Any], held: int, row_blocks: int, column_blocks: int, size: int) -> float:
    """Tiles of each column block that the bags `rows` find theirs in, beside one, counted bag by bag."""
    total = 0
    for bag in rows:
        for column in range(column_blocks):
            total += len({(column * row_blocks + int(row) // held) // size for row in bag}) - 1
    return total / len(rows)


@pytest.mark.parametrize(("rows", "length", "lookups"), [
    (100_000, 16, 5), (12_289, 16, 40), (12_289, 100, 3), (40_000, 128, 12), (300, 200, 2)])
@pytest.mark.parametrize("layout", ["scattered", "by_access"])
def test_tiles_of_a_bag_agree_with_drawing_them(rows: int, length: int, lookups: int, layout: Layout) -> None:
    """Column blocks that begin in the middle of a tile, and last tiles that are nearly empty, among them."""
    op = Gather("t", rows, length, lookups=float(lookups), zipf=0.9)
    placement = place(Workload("w", (op,)), SIZED, tables=TablePlan("in_crossbar", layout=layout)).placements["t"]
    sums = bag_sums(op, placement, SIZED)
    chances = np.arange(1.0, rows + 1) ** -0.9 if layout == "by_access" else np.ones(rows)
    drawn = np.random.default_rng(5).choice(rows, (3000, lookups), p=chances / chances.sum())
    counted = _drawn_hops(drawn, 128, -(-rows // 128), -(-length * 4 // 128), 96)
    assert sums.hops == pytest.approx(counted, rel=0.03, abs=0.02)


def test_a_bag_over_many_tiles_by_hand() -> None:
    """A million rows, 96 x 128 to a tile: 81 full ones and one of 4672 rows; fifty sums of 8 bits need 8 + 6."""
    op = Gather("t", 1_000_000, 16, lookups=50.0)
    touched = 81 * (1 - (1 - 12_288 / 1e6) ** 50) + 1 - (1 - 4672 / 1e6) ** 50
    assert touched == pytest.approx(37.557, abs=0.001)
    many, one = _bag(op), _bag(Gather("t", 12_288, 16, lookups=50.0))
    assert many.by_component["router"] == near((touched - 1) * 16 * 14 * HOP_J)
    # Of 37 hops in pairs six are in turn. All else that a bag takes does not depend on how many rows there are.
    passing = 16 * 14 / 32e9
    assert many.cost.latency_s == near(one.cost.latency_s + 6 * 29e-9 + passing)
    assert many.cost.busy_s["routers"] == near((touched - 1) * passing / 82)
    mesh = _bag(op, SIZED.with_options(interconnect="mesh"))
    assert mesh.by_component["router"] == near(2 * (touched - 1) * 16 * 14 * HOP_J)
    assert mesh.cost.latency_s == near(one.cost.latency_s + 37 * 2 * 29e-9 + passing)
    tree = _bag(op, SIZED.with_options(interconnect="htree"))
    assert tree.by_component["router"] == near(3 * (touched - 1) * 16 * 14 * HOP_J)
    assert tree.by_component["wire"] == near(3 * mesh.by_component["wire"])
    assert tree.cost.latency_s == near(one.cost.latency_s + 6 * 3 * 29e-9 + passing)


@pytest.mark.parametrize("topology", ["flat", "htree", "mesh"])
def test_a_table_within_a_tile_passes_nothing_on(topology: str) -> None:
    """One read, two cycles more, and 128 bits over the bus; to the last bit what it was when tiles sent no sums."""
    cost = _bag(Gather("t", 12_288, 16, lookups=50.0), SIZED.with_options(interconnect=topology))
    assert cost.by_component["router"] == cost.by_component.get("wire", 0.0) == 0.0
    assert cost.cost.latency_s == near(100e-9 + 2 * 100e-9 + (1e-9 + 128 / 384e9))
    assert (cost.cost.energy_j, cost.cost.latency_s) == (4.16445101674062e-09, 3.013333333333334e-07)
    assert set(cost.cost.busy_s) == {"crossbars of t"}


def test_many_lookups_need_all_tiles_and_grouped_rows_no_more_than_scattered() -> None:
    op = Gather("t", 30_000, 100, lookups=1e6)
    placement = place(Workload("w", (op,)), SIZED, tables=SUMMED).placements["t"]
    as_matrix = partial_sums(MatVec("m", 30_000, 100), placement.row_blocks, placement.column_blocks, 96)
    sums = bag_sums(op, placement, SIZED)
    assert (sums.hops, sums.cuts) == (near(as_matrix.hops), as_matrix.cuts)
    trace = tuple((i, i + 1, i + 2, i + 3) for i in range(0, 4000, 4) for _ in range(2))
    few = Gather("t", 100_000, 16, lookups=4.0, trace=trace)
    grouped, scattered = (_bag(few, plan=TablePlan("in_crossbar", layout=layout)).by_component["router"]
                          for layout in ("grouped", "scattered"))
    assert grouped == 0.0 < scattered  # every bag lies in one block


@pytest.mark.parametrize("topology", ["flat", "htree", "mesh"])
@pytest.mark.parametrize("layout", ["scattered", "by_access", "grouped"])
def test_a_sweep_and_an_explanation_have_the_sums_of_bags(layout: Layout, topology: str) -> None:
    trace = tuple((i, i * i % 60_000, i * 7919 % 60_000) for i in range(400))
    op = Gather("t", 60_000, 100, bags=3, lookups=3.0, zipf=0.8)
    if layout == "grouped":
        op = replace(op, zipf=None, trace=trace)
    workload = Workload("w", (op, MatVec("m", 900, 40)))
    plan = TablePlan("in_crossbar", layout=layout)
    chip = SIZED.with_options(interconnect=topology, columns_per_adc=64)
    axes = {"rows": (64, 128), "columns": (64, 128), "cell_bits": (1, 2)}
    (part,) = sweep(workload, Space(chip, axes, settings={"tables": plan}))
    assert len(part["rows"]) == 8
    for i in range(8):
        one = chip.with_options(**{name: int(part[name][i]) for name in axes})
        report = evaluate(workload, one, tables=plan)
        assert [getattr(report, name) for name in ("energy_j", "latency_s", "interval_s")] == [
            part[name][i] for name in ("energy_j", "latency_s", "interval_s")]
    explained = explain(workload, chip, tables=plan)
    routed = sum(share.total for share in explained.by_op["t"] if share.component == "router")
    assert routed == near(explained.report.by_op["t"].by_component["router"]) and routed > 0.0
    assert sum(share.total for share in explained.latency) == pytest.approx(explained.report.latency_s, rel=1e-8)
