"""Operators by hand, and what must hold whatever the figures are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Chip, Elementwise, Gather, MatMul, MatVec, OpCost, Workload, place, presets
from pimsim.charge import charge
from pimsim.workload import Op
from tests.pimsim.near import near

ISAAC = presets.isaac()


def _charge(op: Op, chip: Chip = ISAAC, **settings: object) -> OpCost:
    return charge(op, place(Workload("w", (op,)), chip, **settings), chip)  # type: ignore[arg-type]


def test_one_full_crossbar_by_hand() -> None:
    cost = _charge(MatVec("m", 128, 32, input_density=1.0))
    conversions = 8 * 128  # phases x columns
    assert cost.by_component["adc"] == near(conversions * 1.8e-3 / 1.28e9)
    assert cost.by_component["dac"] == near(8 * 128 * (4e-3 / 1024 - 0.39e-6) * 100e-9)
    assert cost.by_component["array"] == near(8 * 0.3e-3 * 100e-9)
    assert cost.by_component["edram"] == near((128 * 8 + 32 * 16) * 20.45e-12 / 256)
    assert cost.by_component["router"] == near(128 * 8 * 20.74e-12 / 256)
    assert cost.by_component["link"] == 0.0
    # flits, hop; 8 reads, 2 pipeline cycles; result over the bus
    assert cost.cost.latency_s == near(1024 / 32e9 + 29e-9 + 10 * 100e-9 + 512 / 384e9 + 1e-9)
    assert cost.cost.busy_s == {"crossbars of m": near(800e-9), "routers": near(1024 / 32e9)}


def test_twelve_crossbars_and_three_vectors_by_hand() -> None:
    """300 rows in 3 blocks, 100 numbers of 4 cells in 4; sums of 8 + 8 + 9 bits; 3 x 8 phases, all in one tile."""
    cost = _charge(MatVec("m", 300, 100, vectors=3)).by_component
    moved_in, moved_out, merges, phases = 3 * 300 * 8, 3 * 100 * 16, 3 * 100 * 2, 3 * 8
    of_a_row = 100e-9 / 1024  # an IMA's second, of 8 x 128 rows in 100 ns
    assert cost["edram"] == near((moved_in + moved_out) * 20.45e-12 / 256)
    assert cost["bus"] == near((moved_in + moved_out + merges * 25) * 0.054e-12)
    assert cost["router"] == near(moved_in * 20.74e-12 / 256)
    assert cost["input_register"] == near(phases * 300 * 4 * 0.9 * 1.24e-3 * of_a_row)
    assert cost["output_register"] == near(phases * 3 * 100 * 25 * 0.9 * 0.23e-3 * of_a_row / 2)
    conversions, offsets = phases * 3 * 400, phases * 300 + merges + 3 * 100
    assert cost["sample_hold"] == near(conversions * 0.009e-3 * of_a_row)
    assert cost["shift_add"] == near((conversions + merges + offsets) * 0.9 * 0.2e-3 * of_a_row)


@pytest.mark.parametrize(("chips", "abroad"), [(2, 1 / 2), (4, 3 / 4)])
def test_inputs_from_other_chips_by_hand(chips: int, abroad: float) -> None:
    """With n chips 1 - 1/n of the inputs pass a link of 6.4 GB/s, after 5 ns; each chip has four."""
    op = MatVec("m", 300, 100, vectors=3)
    alone, among = _charge(op), _charge(op, chips=chips)
    bits = 300 * 8 * abroad  # of a vector
    assert among.cost.latency_s - alone.cost.latency_s == near(5e-9 + bits / 51.2e9)
    assert among.by_component["link"] == near(3 * bits * 26e-12 / 128)
    assert among.cost.busy_s["links"] == near(3 * bits / (4 * chips * 51.2e9))


def test_lanes_of_tiles_are_those_of_one_chip() -> None:
    """A lane in each of two tiles: 2000 steps take 1000 ns on one chip, and no less on one of two."""
    chip = replace(ISAAC.with_tiles(2), vector_unit=replace(ISAAC.vector_unit, lanes=1, per_tile=True))
    for chips in (1, 2):
        cost = _charge(Elementwise("e", "rescale", 1000), chip, chips=chips).cost
        assert cost.busy_s["vector_unit"] == near(1000e-9)
        assert cost.latency_s == near(1001e-9)


def test_full_activity_costs_the_published_ima_power() -> None:
    one = _charge(MatVec("m", 128, 16, weight_bits=16, input_bits=16, input_density=1.0))
    inside = ("adc", "dac", "sample_hold", "array", "input_register")
    power = sum(one.by_component[name] for name in inside) / (16 * 100e-9) * 8
    assert power == pytest.approx((16 * 0.9 + 4 - 0.39e-3 * 1024 + 0.009 + 2.4 + 1.24 * 0.9) * 1e-3, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(inputs=st.integers(1, 600), outputs=st.integers(1, 300), vectors=st.integers(1, 9), bits=st.integers(1, 16),
       input_bits=st.integers(1, 16), rows=st.sampled_from([32, 100, 128]), cell_bits=st.integers(1, 4),
       dac_bits=st.integers(1, 3), differential=st.booleans(), copies=st.integers(1, 12))
def test_conversions_and_halved_adcs(inputs: int, outputs: int, vectors: int, bits: int, input_bits: int, rows: int,
                                     cell_bits: int, dac_bits: int, differential: bool, copies: int) -> None:
    op = MatVec("m", inputs, outputs, vectors, bits, input_bits)
    chip = ISAAC.with_options(rows=rows, cell_bits=cell_bits, dac_bits=dac_bits, flip=not differential,
                              encoding="differential" if differential else "offset", columns_per_adc=16)
    cost = _charge(op, chip, copies=copies)
    columns = 2 * max(-(-(bits - 1) // cell_bits), 1) if differential else -(-bits // cell_bits)
    conversions = vectors * -(-input_bits // dac_bits) * -(-inputs // rows) * outputs * columns
    assert cost.by_component["adc"] == near(conversions * chip.crossbar.adc.energy_j(8))
    assert sum(cost.by_component.values()) == near(cost.cost.energy_j)
    fewer = _charge(op, chip.with_options(columns_per_adc=32), copies=copies)
    assert fewer.cost.energy_j == cost.cost.energy_j
    assert fewer.cost.latency_s >= cost.cost.latency_s
    assert cost.cost.interval_s <= cost.cost.latency_s


def test_copies_shorten_time_and_leave_dynamic_energy() -> None:
    op = MatVec("m", 300, 100, vectors=7)
    costs = [_charge(op, copies=n) for n in range(1, 10)]
    assert all(later.cost.latency_s <= one.cost.latency_s for one, later in pairwise(costs))
    assert {cost.cost.energy_j for cost in costs} == {costs[0].cost.energy_j}
    assert costs[6].cost.latency_s == costs[8].cost.latency_s
    sending = 300 * 8 / 32e9  # of one vector
    assert costs[0].cost.latency_s - costs[8].cost.latency_s == near(6 * (800e-9 - sending))


def test_input_density_moves_rows_and_cells_only() -> None:
    full, none = (_charge(MatVec("m", 100, 100, input_density=d)).by_component for d in (1.0, 0.0))
    assert none["dac"] == none["array"] == 0.0
    assert full["dac"] > 0
    assert all(full[name] == none[name] for name in full if name not in ("dac", "array"))


def test_fewer_active_rows_take_more_reads_but_the_same_cells() -> None:
    op = MatVec("m", 256, 32)
    half = ISAAC.with_options(active_rows=64)
    slow, fast = _charge(op, half), _charge(op)
    assert slow.by_component["adc"] == 2 * fast.by_component["adc"]
    assert slow.by_component["array"] == fast.by_component["array"]
    assert slow.cost.busy_s["crossbars of m"] == 2 * fast.cost.busy_s["crossbars of m"]


def test_gather_from_a_bank_by_hand() -> None:
    cost = _charge(Gather("t", 1000, 16, lookups=3))
    assert cost.by_component["bank"] == near(3 * 128 * 208e-9 / 32 / (128 * 128 * 2))
    assert cost.by_component["shift_add"] == near(2 * 16 * ISAAC.crossbar.shift_add.energy.value)
    assert cost.cost.busy_s["bank of t"] == near(3 * 64 * 328e-6 / 32 / 128 / 128)  # 64 cells, serial


def test_a_whole_line_is_read_in_pumas_80_ns() -> None:
    cost = _charge(Gather("t", 1000, 32))
    assert cost.cost.busy_s["bank of t"] == pytest.approx(80.1e-9, rel=0.001)
    assert cost.by_component["bank"] / 256 == pytest.approx(0.2e-12, rel=0.01)  # per bit


def test_parts_of_a_longer_row_are_read_side_by_side() -> None:
    line, longer = (_charge(Gather("t", 1000, length)) for length in (32, 80))
    assert longer.cost.busy_s["bank of t"] == line.cost.busy_s["bank of t"]
    assert longer.by_component["bank"] == near(2.5 * line.by_component["bank"])


def test_gather_from_dram_moves_whole_bursts_on_a_shared_resource() -> None:
    cost = _charge(Gather("t", 1000, 65, lookups=2), dram=True)
    assert cost.by_component["dram"] == near(2 * 2 * 512 * 15e-12)
    assert cost.cost.busy_s == {"dram": near(2048 / 25.6e9 / 8)}
    assert cost.cost.latency_s > 60e-9


def test_vector_unit_work_by_hand() -> None:
    unit = ISAAC.vector_unit
    cost = _charge(MatMul("d", 27, 16, 27, symmetric=True, input_bits=16))
    assert cost.by_component["vector_unit"] == near(5616 * unit.energy.value)
    assert cost.cost.busy_s["vector_unit"] == near(-(-5616 // 32) * 1e-9)
    assert cost.by_component["edram"] == near((27 * 16 + 351) * 16 * 20.45e-12 / 256)  # one matrix in
    one = _charge(Elementwise("e", "rescale", 33, input_bits=8))
    assert one.by_component["vector_unit"] == near(66 * unit.energy.value / 2)
    assert one.cost.busy_s["vector_unit"] == near(3e-9)


@pytest.mark.parametrize(("kind", "operands", "steps"), [
    ("add", 1, 1), ("add", 2, 1), ("add", 3, 2), ("multiply", 2, 1), ("max", 5, 4), ("rescale", 2, 2), ("copy", 3, 1),
    ("square", 4, 4)])
def test_every_operand_moves_and_n_numbers_take_n_less_one_additions(kind: str, operands: int, steps: int) -> None:
    cost = _charge(Elementwise("e", kind, 320, 16, operands=operands))
    bits = 320 * (operands + 1) * 16  # in and out
    assert cost.by_component["edram"] == near(bits * 20.45e-12 / 256)
    assert cost.by_component["bus"] == near(bits * ISAAC.tile.bus.energy.value)
    assert cost.by_component["vector_unit"] == near(320 * steps * ISAAC.vector_unit.energy.value)
    assert cost.cost.busy_s["vector_unit"] == near(max(10 * steps * 1e-9, bits / 384e9))  # 32 lanes; the bus
