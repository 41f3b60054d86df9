"""The invariants of the cost model, each a property of random workloads on random chips."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Chip, MatVec, Workload, evaluate, lossless_adc_bits, place, presets
from pimsim.charge import charge
from pimsim.cost import total_footprint
from pimsim.partial_sums import accumulator_bits
from pimsim.quantity import Quantity, Table
from pimsim.readout import Readout, mean_groups
from pimsim.tables import TablePlan
from tests.pimsim.near import near
from tests.pimsim.random_designs import chips, workloads

ISAAC = presets.isaac()
EXAMPLES = settings(max_examples=40, deadline=None)
SHAPES: dict[str, Any] = {
    "inputs": st.integers(1, 600), "outputs": st.integers(1, 300), "vectors": st.integers(1, 9),
    "weight_bits": st.integers(1, 16), "input_bits": st.integers(1, 16)}
MATRICES = st.builds(lambda **shape: MatVec("m", **shape), **SHAPES)


def _counting(chip: Chip) -> Chip:
    """`chip` with converters and adders that take 1 J an action, so that energies count actions."""
    xb = chip.crossbar
    adc = replace(xb.adc, energy=Table(1, (1.0,) * len(xb.adc.energy.values), "J", "a count"))
    adders = replace(xb.shift_add, energy=Quantity(1.0, "J", "a count"))
    ima = replace(chip.tile.ima, crossbar=replace(xb, adc=adc, shift_add=adders))
    return replace(chip, tile=replace(chip.tile, ima=ima))


def _actions(op: MatVec, chip: Chip) -> dict[str, float]:
    counting = _counting(chip)
    return charge(op, place(Workload("w", (op,)), counting), counting).by_component  # type: ignore[return-value]


def _polarities(chip: Chip) -> int:
    return 2 if chip.crossbar.readout.encoding == "differential" else 1


def _slices(op: MatVec, chip: Chip) -> int:
    bits = op.weight_bits if _polarities(chip) == 1 else max(op.weight_bits - 1, 1)
    return -(-bits // int(chip.crossbar.readout.cell_bits))


def _reads(op: MatVec, chip: Chip) -> int:
    """Reads of one input digit, counted group by group of active rows."""
    xb, readout = chip.crossbar, chip.crossbar.readout
    at_once = xb.rows if readout.active_rows is None else min(int(readout.active_rows), int(xb.rows))
    rows = [min(int(xb.rows), op.inputs - start) for start in range(0, op.inputs, int(xb.rows))]
    return sum(-(-held // int(at_once)) for held in rows)


# 1
@EXAMPLES
@given(MATRICES, chips())
def test_conversions(op: MatVec, chip: Chip) -> None:
    cycles = -(-op.input_bits // int(chip.crossbar.readout.dac_bits))
    expected = op.vectors * cycles * _reads(op, chip) * op.outputs * _polarities(chip) * _slices(op, chip)
    assert _actions(op, chip)["adc"] == expected


@EXAMPLES
@given(workloads(), chips())
def test_half_the_converters_take_as_much_energy_and_never_less_time(workload: Workload, chip: Chip) -> None:
    fewer = chip.with_options(columns_per_adc=2 * int(chip.crossbar.readout.columns_per_adc))
    before, after = evaluate(workload, chip), evaluate(workload, fewer)
    assert after.dynamic_j == before.dynamic_j
    assert after.latency_s >= before.latency_s
    assert after.interval_s >= before.interval_s
    assert after.area_m2 <= before.area_m2


# 2
@EXAMPLES
@given(workloads(), chips(), st.sampled_from(["idle_gated", "always_on"]), st.booleans())
def test_operators_and_components_add_up_to_the_total(workload: Workload, chip: Chip, gating: Any, dram: bool) -> None:
    report = evaluate(workload, chip, gating=gating, dram=dram, copies=3)
    assert sum(op.cost.energy_j for op in report.by_op.values()) == report.dynamic_j
    parts = report.by_component.values()
    assert sum(part.dynamic_j for part in parts) == near(report.dynamic_j)
    assert report.energy_j == report.dynamic_j + report.static_j
    assert report.static_j == report.footprint.leakage_w * report.on_s
    assert sum(part.static_j for part in parts) == near(report.static_j)
    assert sum(part.footprint.area_m2 for part in parts) == near(report.area_m2)


# 3
@EXAMPLES
@given(chips(), st.integers(2, 16), st.integers(1, 16))
def test_peak_rate_counts_two_operations_per_mac(chip: Chip, weight_bits: int, input_bits: int) -> None:
    """What the peak promises is what a matrix that fills one crossbar gets, if its inputs arrive in time."""
    xb = chip.crossbar
    op = MatVec("m", int(xb.rows), 1, 1000, weight_bits, input_bits)
    columns = _slices(op, chip) * _polarities(chip)
    if columns > int(xb.columns):
        return
    op = replace(op, outputs=int(xb.columns) // columns)
    report = evaluate(Workload("w", (op,)), chip)
    peak = 1e12 * float(chip.with_tiles(1).tops(weight_bits, input_bits)) / chip.tile.crossbars
    reached = 2 * op.macs / report.interval_s
    assert reached <= peak * (1 + 1e-12)
    streaming = op.inputs * op.input_bits / chip.tile.router.bandwidth.value
    if streaming <= xb.vector_s(op.inputs, input_bits, signed=False):
        assert reached == near(peak)


@EXAMPLES
@given(workloads(), chips(), st.sampled_from(["pipelined", "sequential"]))
def test_interval_and_throughput(workload: Workload, chip: Chip, execution: Any) -> None:
    report = evaluate(workload, chip, execution=execution)
    assert report.interval_s <= report.latency_s
    assert report.throughput_hz * report.interval_s == near(1.0)


# 4
@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4096), st.integers(1, 4), st.integers(1, 8))
def test_lossless_bits_hold_the_largest_sum_of_the_active_rows(rows: int, cell_bits: int, dac_bits: int) -> None:
    largest = rows * (2**dac_bits - 1) * (2**cell_bits - 1)
    bits = lossless_adc_bits(rows, cell_bits, dac_bits, flip=False)
    assert 2 ** (bits - 1) <= largest < 2**bits
    assert lossless_adc_bits(rows, cell_bits, dac_bits, flip=True) == max(bits - 1, 1)
    assert lossless_adc_bits(rows, cell_bits, dac_bits, flip=False, encoding="differential",
                             signed_columns=True) == bits + 1
    chip = ISAAC.with_options(rows=4096, active_rows=rows, cell_bits=cell_bits, dac_bits=dac_bits, adc_bits=None,
                              flip=False)
    assert chip.crossbar.adc_bits == bits


# 5
@EXAMPLES
@given(MATRICES, chips())
def test_accumulators_hold_any_result_and_row_block_additions_are_counted(op: MatVec, chip: Chip) -> None:
    assert op.inputs * (2**op.input_bits - 1) * (2**op.weight_bits - 1) < 2 ** accumulator_bits(op)
    actions = _actions(op, chip)
    blocks = -(-op.inputs // int(chip.crossbar.rows))
    merges = op.vectors * op.outputs * (blocks - 1)
    cycles = -(-op.input_bits // int(chip.crossbar.readout.dac_bits))
    offsets = op.vectors * (cycles * op.inputs + op.outputs) + merges if _polarities(chip) == 1 else 0
    assert actions["shift_add"] == actions["adc"] + merges + offsets


# 6
@EXAMPLES
@given(MATRICES, chips())
def test_pairs_double_what_they_double(op: MatVec, chip: Chip) -> None:
    op = replace(op, weight_bits=op.weight_bits + 1)  # a sign; pairs hold the magnitude
    pairs = chip.with_options(encoding="differential", flip=False)
    single = chip.with_options(encoding="offset", flip=False)
    magnitude = replace(op, weight_bits=op.weight_bits - 1)
    twice = place(Workload("w", (op,)), pairs).placements["m"]
    once = place(Workload("w", (magnitude,)), single).placements["m"]
    assert twice.cells == 2 * once.cells
    assert once.crossbars <= twice.crossbars <= 2 * once.crossbars
    assert _actions(op, pairs)["adc"] == 2 * _actions(magnitude, single)["adc"]
    assert _actions(magnitude, single)["shift_add"] > _actions(magnitude, single)["adc"]  # the offset is taken off
    subtracted = replace(pairs, tile=replace(pairs.tile, ima=replace(pairs.tile.ima, crossbar=replace(
        pairs.crossbar, readout=replace(pairs.crossbar.readout, pairs="subtracted")))))
    assert _actions(op, subtracted)["adc"] == _actions(magnitude, single)["adc"]
    assert place(Workload("w", (op,)), subtracted).placements["m"] == twice


# 7
@EXAMPLES
@given(st.sampled_from([32, 100, 128]), st.integers(1, 5), st.integers(1, 32), st.integers(1, 8))
def test_one_row_too_many_is_another_block(rows: int, blocks: int, outputs: int, bits: int) -> None:
    chip = ISAAC.with_options(rows=rows)
    full, over = MatVec("m", rows * blocks, outputs, 1, bits), MatVec("m", rows * blocks + 1, outputs, 1, bits)
    assert place(Workload("w", (full,)), chip).placements["m"].row_blocks == blocks
    assert place(Workload("w", (over,)), chip).placements["m"].row_blocks == blocks + 1


@EXAMPLES
@given(st.integers(1, 64), st.integers(1, 16), st.integers(1, 4))
def test_unused_rows_and_columns_cost_area_and_leakage_but_no_dynamic_energy(inputs: int, outputs: int,
                                                                            cell_bits: int) -> None:
    workload = Workload("w", (MatVec("m", inputs, outputs, weight_bits=4),))
    small = ISAAC.with_tiles(None).with_options(rows=64, columns=64, cell_bits=cell_bits, columns_per_adc=64)
    large = small.with_options(rows=128, columns=128)
    before, after = evaluate(workload, small), evaluate(workload, large)
    assert after.dynamic_j == before.dynamic_j
    assert after.area_m2 > before.area_m2
    assert after.footprint.leakage_w > before.footprint.leakage_w


# 8
@EXAMPLES
@given(workloads(), chips(), st.lists(st.integers(1, 60), min_size=2, max_size=4))
def test_copies(workload: Workload, chip: Chip, caps: list[int]) -> None:
    reports = [evaluate(workload, chip, copies=cap) for cap in sorted(caps)]
    for fewer, more in pairwise(reports):
        assert more.latency_s <= fewer.latency_s
        assert more.interval_s <= fewer.interval_s
        assert more.dynamic_j == fewer.dynamic_j
    for report in reports:
        stored = [op for op in workload.ops if isinstance(op, MatVec)]
        assert all(report.mapping.placements[op.name].copies <= op.vectors for op in stored)
        rest, more = (total_footprint(chip.parts(tiles, report.mapping.banks, 1, dram=report.mapping.uses_dram)).area_m2
                      for tiles in (0, 1))
        each = more - rest
        assert report.area_m2 == near(rest + report.mapping.tiles * each)  # linear in tiles


@EXAMPLES
@given(workloads(), chips(), st.lists(st.integers(1, 3000), min_size=2, max_size=4))
def test_a_larger_budget_is_never_slower(workload: Workload, chip: Chip, room: list[int]) -> None:
    least = place(workload, chip).in_tiles
    reports = [evaluate(workload, chip, copies="budget", budget_crossbars=least + extra) for extra in sorted(room)]
    for fewer, more in pairwise(reports):
        assert more.latency_s <= fewer.latency_s
        assert more.interval_s <= fewer.interval_s
        assert more.dynamic_j == fewer.dynamic_j
    for report, extra in zip(reports, sorted(room), strict=True):
        assert report.mapping.in_tiles <= max(least, 1) + extra


# 9
@EXAMPLES
@given(MATRICES, chips(), st.lists(st.floats(0.0, 1.0), min_size=2, max_size=4))
def test_zero_skipping(op: MatVec, chip: Chip, densities: list[float]) -> None:
    skipping = chip.with_options(zero_skipping=True)
    full = replace(op, input_density=1.0)
    with_all, without = (charge(full, place(Workload("w", (full,)), c), c) for c in (skipping, chip))
    assert with_all.cost.energy_j == pytest.approx(without.cost.energy_j, rel=1e-12, abs=0.0)
    assert with_all.cost.latency_s == pytest.approx(without.cost.latency_s, rel=1e-12, abs=0.0)
    cycles = -(-op.input_bits // int(chip.crossbar.readout.dac_bits))
    blocks = -(-op.inputs // int(chip.crossbar.rows))
    floor = op.vectors * cycles * blocks * op.outputs * _polarities(chip) * _slices(op, chip)
    conversions = [_actions(replace(op, input_density=density), skipping)["adc"] for density in sorted(densities)]
    assert all(a <= b * (1 + 1e-12) for a, b in pairwise([floor, *conversions, _actions(op, chip)["adc"]]))
    assert _actions(replace(op, input_density=0.0), skipping)["adc"] == near(floor)


def test_groups_of_driven_rows_agree_with_drawing_them() -> None:
    driven = np.random.default_rng(5).binomial(128, 0.2, 200_000)
    assert mean_groups(128, 9, 0.2) == pytest.approx(np.mean(np.maximum(-(-driven // 9), 1)), rel=2e-3, abs=0.0)


@pytest.mark.parametrize(("inputs", "density"), [(1024, 0.3), (1024, 0.5), (4096, 0.25), (200, 0.4), (100, 0.4)])
def test_the_slowest_of_blocks_agrees_with_drawing_them(inputs: int, density: float) -> None:
    """Blocks of 128 rows, 16 at a time, wait for the slowest of them."""
    readout = Readout(cell_bits=2, dac_bits=1, adc_bits=None, columns_per_adc=8, active_rows=16, zero_skipping=True)
    sizes = [128] * (inputs // 128) + [inputs % 128] * (inputs % 128 > 0)
    rng = np.random.default_rng(7)
    driven = np.stack([rng.binomial(size, density, 50_000) for size in sizes])
    groups = np.maximum(-(-driven // 16), 1)
    reads, deepest = readout.reads(inputs, 128, density)
    assert reads == pytest.approx(groups.sum(axis=0).mean(), rel=4e-3, abs=0.0)
    assert deepest == pytest.approx(groups.max(axis=0).mean(), rel=4e-3, abs=0.0)


# 10: the rest of it is in test_interconnect.py
@EXAMPLES
@given(workloads(), chips(), st.data())
def test_a_dead_operator_changes_nothing_at_all(workload: Workload, chip: Chip, data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.sampled_from([op.name for op in workload.ops]), min_size=1, unique=True))
    alive = replace(workload, outputs=tuple(wanted)).live()
    first, second = replace(workload, outputs=tuple(wanted)), alive
    assert evaluate(first, chip, copies=2).to_json() == evaluate(second, chip, copies=2).to_json()


@EXAMPLES
@given(workloads(), chips(("isaac",)), st.sampled_from(["bank", "in_crossbar", "dram", "split"]), st.integers(1, 3))
def test_many_designs_at_once_are_each_alone(workload: Workload, chip: Chip, tier: Any, replicas: int) -> None:
    """An open grid of rows, cell bits and budgets, to the last bit."""
    rows, cells = np.array([64, 128]).reshape(2, 1, 1), np.array([1, 2, 3]).reshape(1, 3, 1)
    budgets = np.array([10**4, 10**5]).reshape(1, 1, 2)
    plan = TablePlan(tier, 0.3 if tier == "split" else 1.0, 1 if tier == "dram" else replicas)
    chip = chip.with_options(active_rows=None)
    many = evaluate_grid(workload, chip.with_options(rows=rows, cell_bits=cells), budgets, plan)
    for i, j, k in np.ndindex(2, 3, 2):
        one = chip.with_options(rows=int(rows[i, 0, 0]), cell_bits=int(cells[0, j, 0]))
        report = evaluate(workload, one, tables=plan, copies="budget", budget_crossbars=int(budgets[0, 0, k]))
        for name in ("energy_j", "latency_s", "interval_s", "area_m2"):
            assert getattr(report, name) == np.broadcast_to(getattr(many, name), (2, 3, 2))[i, j, k], name


def evaluate_grid(workload: Workload, chip: Chip, budgets: Any, plan: TablePlan) -> Any:
    from pimsim.evaluate import account

    mapping = place(workload, chip, copies="budget", budget_crossbars=budgets, tables=plan)
    return account(workload, chip, mapping)
