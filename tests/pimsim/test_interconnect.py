"""Mesh and H-tree: places, ways and hops by hand, bytes conserved, distance never free."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Chip, Elementwise, Gather, MatMul, MatVec, Report, Workload, evaluate, place, presets
from pimsim.digital import WIRE
from pimsim.evaluate import account
from pimsim.interconnect import INPUT, Grid, arrivals, received_bits
from tests.pimsim.near import near
from tests.pimsim.random_designs import chips, workloads

ISAAC = presets.isaac()
SIZED = ISAAC.with_tiles(None)
NETWORKS = ("htree", "mesh")


def test_a_mesh_is_run_through_to_and_fro() -> None:
    grid = Grid("mesh", 7, 1.0)
    assert [grid.xy(node) for node in range(7)] == [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1), (0, 2)]
    assert grid.route(2, 3, 1) == (2, 2, 1.0)  # neighbours in the order are neighbours in space
    assert grid.route(0, 4, 1) == (3, 3, 2.0)
    assert grid.route(4, 4, 1) == (1, 1, 0.0)
    assert grid.route(0, 4, 3) == (5, 5, 4.0)  # and on to two more tiles
    assert [grid.crosses_middle(0, node) for node in range(7)] == [False] * 6 + [True]
    assert grid.middle_links() == 3


def test_an_h_tree_joins_leaves_two_by_two() -> None:
    """Sixteen leaves of side 1: edges 1/2, 1/2, 1, 1 from the leaves up."""
    grid = Grid("htree", 16, 1.0)
    assert grid.route(5, 5, 1) == (1, 1, 0.0)
    assert grid.route(4, 5, 1) == (1, 1, 1.0)
    assert grid.route(4, 7, 1) == (3, 3, 2.0)
    assert grid.route(0, 15, 1) == (7, 7, 6.0)
    assert grid.route(0, 15, 4) == (10, 9, 6.0 + 4.5)
    assert [grid.crosses_middle(3, node) for node in (0, 7, 8, 15)] == [False, False, True, True]
    assert Grid("htree", 1, 1.0).crosses_middle(0, 0) is False


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(NETWORKS), st.integers(1, 500), st.data())
def test_ways_are_symmetric_and_every_node_has_its_own_place(topology: Any, nodes: int, data: st.DataObject) -> None:
    grid = Grid(topology, nodes, 1.0)
    a, b = (data.draw(st.integers(0, nodes - 1)) for _ in range(2))
    assert grid.route(a, b, 1) == grid.route(b, a, 1)
    assert grid.crosses_middle(a, b) == grid.crosses_middle(b, a)
    assert len({grid.xy(node) for node in range(nodes)}) == nodes
    assert all(grid.route(i, i + 1, 1)[0] == 2 for i in range(nodes - 1)) or topology == "htree"
    many = grid.route(np.array([a, b]), np.array([b, b]), np.array([1, 3]))
    for index, one in enumerate((grid.route(a, b, 1), grid.route(b, b, 3))):
        assert tuple(value[index] for value in many) == one  # type: ignore[index]


def _wide(chip: Chip, bandwidth: float) -> Chip:
    router = replace(chip.tile.router, bandwidth=replace(chip.tile.router.bandwidth, value=bandwidth))
    return replace(chip, tile=replace(chip.tile, router=router))


def _not_less(a: Any, b: Any) -> bool:
    return bool(a >= b * (1 - 1e-12))


@settings(max_examples=60, deadline=None)
@given(workloads(), chips(), st.sampled_from(NETWORKS), st.booleans())
def test_bytes_sent_are_bytes_received(workload: Workload, chip: Chip, topology: str, dram: bool) -> None:
    chip = chip.with_options(interconnect=topology)
    arriving = arrivals(workload, place(workload, chip, dram=dram), chip, 1e-6)
    sent: defaultdict[str, float] = defaultdict(float)
    for one in arriving.values():
        for transfer in one.transfers:
            sent[transfer.sender] += float(transfer.bits)
    received = {op.name: received_bits(op) for op in workload.ops if not isinstance(op, Gather)}
    assert set(arriving) == set(received)
    for name, bits in received.items():
        assert sum(transfer.bits for transfer in arriving[name].transfers) == near(bits)
    assert sum(sent.values()) == near(sum(received.values()))
    assert set(sent) <= {INPUT, *(op.name for op in workload.ops)}


@settings(max_examples=60, deadline=None)
@given(workloads(), chips(), st.sampled_from(NETWORKS), st.sampled_from([1e8, 1e9, 32e9]))
def test_distance_and_narrow_links_are_never_free(workload: Workload, chip: Chip, topology: str, narrow: float) -> None:
    network = chip.with_options(interconnect=topology)
    far, flat = evaluate(workload, network), evaluate(workload, chip)
    for name in ("dynamic_j", "latency_s", "interval_s"):
        assert _not_less(getattr(far, name), getattr(flat, name)), name
    assert far.area_m2 == flat.area_m2
    finite, infinite = (evaluate(workload, _wide(network, rate)) for rate in (narrow, float("inf")))
    assert finite.dynamic_j == infinite.dynamic_j
    assert finite.latency_s >= infinite.latency_s
    assert finite.interval_s >= infinite.interval_s
    assert sum(op.cost.energy_j for op in far.by_op.values()) == far.dynamic_j
    assert sum(part.dynamic_j for part in far.by_component.values()) == near(far.dynamic_j)


def _chain(between: int) -> Workload:
    """Two small layers, with `between` full tiles of something else between their places."""
    return Workload("w", (MatVec("a", 64, 32), MatVec("x", 128 * 96 * between, 32), MatVec("b", 32, 16, after=("a",))))


@pytest.mark.parametrize("topology", NETWORKS)
def test_more_hops_cost_more(topology: str) -> None:
    chip = SIZED.with_options(interconnect=topology)
    reports = [evaluate(_chain(between), chip) for between in (1, 4, 20, 100)]
    assert all(_not_less(b.by_op["b"].cost.energy_j, a.by_op["b"].cost.energy_j) for a, b in pairwise(reports))
    assert reports[-1].by_op["b"].cost.energy_j > reports[0].by_op["b"].cost.energy_j
    assert reports[-1].by_op["b"].cost.latency_s > reports[0].by_op["b"].cost.latency_s


def test_a_transfer_by_hand() -> None:
    """Two ops in one tile of one-tile chip: one router, no wire; then the vector unit at the middle of two nodes."""
    chip = SIZED.with_options(interconnect="mesh")
    workload = Workload("w", (MatVec("a", 64, 32), MatVec("b", 32, 16, after=("a",)),
                              Elementwise("r", "relu", 16, 16, after=("b",))))
    report = evaluate(workload, chip)
    router = chip.tile.router
    assert report.by_op["b"].by_component["router"] == near(32 * 8 * router.energy.value)
    assert report.by_op["b"].by_component["wire"] == 0.0
    assert report.by_op["r"].by_component["router"] == near(256 * router.energy.value)
    assert report.by_op["r"].cost.busy_s["link to vector_unit"] == near(256 / router.bandwidth.value)
    two = evaluate(Workload("w", (Gather("t", 50_000, 16), MatVec("b", 16, 16, after=("t",)))), chip)
    assert (two.mapping.tiles, two.mapping.banks) == (1, 1)
    pitch = (two.area_m2 / 2) ** 0.5
    assert two.by_op["b"].by_component["router"] == near(2 * 128 * router.energy.value)
    assert two.by_op["b"].by_component["wire"] == near(128 * pitch * 0.25 * WIRE.value)


def test_the_vector_unit_waits_for_its_operands() -> None:
    """One hop in a chip of one tile, then all operands over a link of 32 bits at 1 GHz; flat, neither counts."""
    ops = (MatVec("a", 64, 32), Elementwise("r", "add", 32, 16, after=("a",), operands=3),
           MatMul("d", 8, 4, 8, symmetric=True, after=("a",)), MatMul("p", 2, 3, 4, input_bits=4, after=("a",)))
    flat, mesh = (evaluate(Workload("w", ops), SIZED.with_options(interconnect=name)) for name in ("flat", "mesh"))
    for name, bits in (("r", 3 * 32 * 16), ("d", 8 * 4 * 8), ("p", (2 + 4) * 3 * 4)):
        waiting = mesh.by_op[name].cost.latency_s - flat.by_op[name].cost.latency_s
        assert waiting == near(29e-9 + bits / 32e9), name


def test_both_factors_of_a_product_are_sent() -> None:
    """Of a product of what two layers make, each sends all its numbers, once."""
    chip = SIZED.with_options(interconnect="mesh")
    workload = Workload("w", (MatVec("a", 64, 32), MatVec("b", 64, 32),
                              Elementwise("m", "multiply", 32, 16, after=("a", "b"), operands=2)))
    arriving = arrivals(workload, place(workload, chip), chip, 1e-6)["m"]
    assert {transfer.sender: transfer.bits for transfer in arriving.transfers} == {"a": 32 * 16, "b": 32 * 16}
    assert arriving.busy_s["link to vector_unit"] == near(2 * 32 * 16 / chip.tile.router.bandwidth.value)


def test_flat_is_what_it_was() -> None:
    workload = Workload("w", (Gather("t", 1000, 16), MatVec("b", 16, 16, after=("t",))))
    report: Report = evaluate(workload, SIZED)
    assert "wire" not in report.by_component
    assert report.by_op["b"].by_component["router"] == near(128 * SIZED.tile.router.energy.value)


@settings(max_examples=25, deadline=None)
@given(workloads(), st.sampled_from(NETWORKS), st.booleans())
def test_one_design_and_many_agree_to_the_last_bit(workload: Workload, topology: str, dram: bool) -> None:
    rows, cells = np.array([[64], [128], [256]]), np.array([[1, 3]])
    chip = SIZED.with_options(interconnect=topology)
    grid = chip.with_options(rows=rows, cell_bits=cells)
    many = account(workload, grid, place(workload, grid, copies=3, dram=dram))
    for i, j in np.ndindex(3, 2):
        alone = chip.with_options(rows=int(rows[i, 0]), cell_bits=int(cells[0, j]))
        one = evaluate(workload, alone, copies=3, dram=dram)
        for name in ("energy_j", "latency_s", "interval_s", "area_m2"):
            assert getattr(one, name) == np.broadcast_to(getattr(many, name), (3, 2))[i, j], name


def test_a_network_on_several_chips() -> None:
    chip = ISAAC.with_tiles(4).with_options(interconnect="mesh")
    report = evaluate(_chain(3), chip, chips=2)
    assert report.latency_s > evaluate(_chain(3), ISAAC.with_tiles(4), chips=2).latency_s
