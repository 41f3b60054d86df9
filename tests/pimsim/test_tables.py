"""Embedding tables: shares of hot rows, rows that are added up in crossbars, DRAM behind banks, replicas, grouping."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Chip, Gather, InputError, MatVec, OpCost, Workload, evaluate, place, presets
from pimsim.access import access_steps, harmonic, hit_share, ordered_blocks, spread_blocks
from pimsim.charge import charge
from pimsim.grouping import group_rows, grouped_blocks, groups_per_bag
from pimsim.sweep import Space, sweep
from pimsim.tables import TablePlan
from tests.pimsim.near import near

SIZED = presets.isaac().with_tiles(None)


def _charge(op: Gather, plan: TablePlan, chip: Chip = SIZED) -> OpCost:
    return charge(op, place(Workload("w", (op,)), chip, tables=plan), chip)


@pytest.mark.parametrize("s", [0.0, 0.3, sum([0.1] * 10), 1.0, 1.05, 2.5])  # ten tenths: the double below 1
@pytest.mark.parametrize("n", [1, 4096, 4097, 200_000])
def test_harmonic_numbers_equal_their_sum(n: int, s: float) -> None:
    assert harmonic(n, s) == pytest.approx(float(np.sum(np.arange(1, n + 1, dtype=np.float64) ** -s)), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=60).filter(any), st.data())
def test_hit_shares_of_counts_and_of_a_trace_are_sorted_sums(counts: list[int], data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, len(counts)))
    exact = sum(sorted(counts, reverse=True)[:rows]) / sum(counts)
    trace = tuple((row,) for row, count in enumerate(counts) for _ in range(count))
    assert hit_share(Gather("t", len(counts), 4, trace=trace), rows) == near(exact)
    fine = Gather("t", len(counts), 4, access=access_steps(counts, most=1000))
    assert hit_share(fine, rows) == near(exact)
    coarse = Gather("t", len(counts), 4, access=access_steps(counts, most=2))
    assert hit_share(coarse, rows) <= exact + 1e-12  # spreading a step evenly never favours its hotter rows
    assert hit_share(fine, np.array([[rows], [len(counts)]])).tolist() == [[hit_share(fine, rows)], [1.0]]  # type: ignore[union-attr]


def test_shares_need_something_to_go_by() -> None:
    with pytest.raises(InputError, match="t: nothing says how its rows are used, needed: field 'zipf'"):
        place(Workload("w", (Gather("t", 100, 4),)), SIZED, tables=TablePlan("split", hot_share=0.1))


def test_blocks_touched_by_a_bag_agree_with_drawing_them() -> None:
    rng = np.random.default_rng(7)
    op = Gather("t", 1000, 8, lookups=20.0, zipf=1.1)
    chances = np.arange(1, 1001) ** -1.1
    drawn = rng.choice(1000, size=(4000, 20), p=chances / chances.sum())
    ordered = np.mean([len(set(bag)) for bag in drawn // 128])
    assert ordered_blocks(op, 128, 20.0) == pytest.approx(ordered, rel=0.02)
    scattered = np.mean([len(set(bag)) for bag in rng.integers(0, 8, (4000, 20))])
    assert spread_blocks(8, 1.0, 20.0) == pytest.approx(scattered, rel=0.02)
    assert ordered_blocks(op, 128, 20.0) < spread_blocks(8, 1.0, 20.0)
    assert ordered_blocks(op, 1000, 20.0) == near(1.0)


def test_more_blocks_than_are_told_apart_count_as_equal_ones() -> None:
    op = Gather("t", 10_000, 8, zipf=0.0)
    assert ordered_blocks(op, 1, 5.0) == pytest.approx(spread_blocks(10_000, 1.0, 5.0), rel=1e-9)


def test_a_bag_added_up_in_one_crossbar_by_hand() -> None:
    """Four rows of sixteen 8-bit numbers, in 2-bit cells: one read of 64 columns at 4 bits (4 x 3 = 12)."""
    op = Gather("t", 100, 16, lookups=4.0)
    placement = place(Workload("w", (op,)), SIZED, tables=TablePlan("in_crossbar")).placements["t"]
    assert (placement.unit, placement.row_blocks, placement.column_blocks, placement.cells) == ("crossbars", 1, 1, 6400)
    cost = _charge(op, TablePlan("in_crossbar"))
    xb = SIZED.crossbar
    assert cost.by_component["adc"] == near(64 * xb.adc.energy_j(4))
    assert cost.by_component["array"] == near(4 * 64 * xb.cell.mac.value)
    assert cost.by_component["dac"] == near(4 * xb.dac.energy.at(1))
    assert cost.by_component["shift_add"] == near((64 + 16) * xb.shift_add.energy.value)
    assert cost.cost.busy_s == {"crossbars of t": near(100e-9)}
    assert sum(cost.by_component.values()) == near(cost.cost.energy_j)


def test_tables_summed_in_crossbars_with_several_bags() -> None:
    """Over nine tiles: each bag takes what one takes; of one, 100 ns to read and 128 bits to send."""
    one, three = (_charge(Gather("t", 100_000, 16, bags=bags, lookups=5.0), TablePlan("in_crossbar"))
                  for bags in (1, 3))
    assert min(one.by_component[name] for name in ("adc", "shift_add", "output_register", "bus", "router")) > 0.0
    assert three.by_component == {name: near(3 * joules) for name, joules in one.by_component.items()}
    assert set(one.cost.busy_s) == {"crossbars of t", "routers"}
    assert three.cost.busy_s == {name: near(3 * seconds) for name, seconds in one.cost.busy_s.items()}
    assert three.cost.latency_s - one.cost.latency_s == near(2 * (100e-9 + 128 / 384e9))


def test_bags_are_shared_out_among_replicas() -> None:
    op = Gather("t", 100, 16, bags=4, lookups=4.0)
    costs = [_charge(op, TablePlan("in_crossbar", replicas=replicas)) for replicas in (1, 2, 3, 4)]
    assert [cost.cost.busy_s["crossbars of t"] for cost in costs] == near([400e-9, 200e-9, 200e-9, 100e-9])
    assert len({cost.cost.energy_j for cost in costs}) == 1


def _driving(chip: Chip) -> Chip:
    """With a driver that takes energy of its own, which ISAAC's does not."""
    xb = chip.crossbar
    xb = replace(xb, driver=replace(xb.driver, energy=replace(xb.driver.energy, value=1e-12)))
    return replace(chip, tile=replace(chip.tile, ima=replace(chip.tile.ima, crossbar=xb)))


def test_every_column_block_has_lines_of_its_own() -> None:
    """Thirty-two numbers of four cells fill 128 columns; one more begins a second block."""
    full, more = (_charge(Gather("t", 100, length, lookups=4.0), TablePlan("in_crossbar"), _driving(SIZED)).by_component
                  for length in (32, 33))
    assert full["driver"] == near(4 * 1e-12)
    for name in ("dac", "driver", "input_register"):
        assert more[name] == 2 * full[name] > 0.0, name


def test_two_rows_to_a_pair_are_two_lines() -> None:
    one, two = (_charge(Gather("t", 100, 16, lookups=4.0), TablePlan("in_crossbar"), _driving(SIZED.with_options(
        encoding="differential", flip=False, pairs=pairs))).by_component for pairs in ("converted", "rows"))
    for name in ("dac", "driver", "input_register"):
        assert two[name] == 2 * one[name] > 0.0, name
    assert two["array"] == one["array"]  # of half the columns


def test_bits_follow_the_lookups_and_too_many_rows_are_read_in_turn() -> None:
    for lookups, bits, reads in ((1.0, 2, 1), (5.0, 4, 1), (6.0, 5, 1), (85.0, 8, 1), (86.0, 8, 2)):
        op = Gather("t", 128, 16, lookups=lookups)
        cost = _charge(op, TablePlan("in_crossbar"))
        assert cost.cost.interval_s == near(reads * 100e-9), lookups
        if reads == 1:
            assert cost.by_component["adc"] == near(64 * SIZED.crossbar.adc.energy_j(bits)), lookups
    nine = SIZED.with_options(active_rows=9)
    assert _charge(Gather("t", 128, 16, lookups=10.0), TablePlan("in_crossbar"), nine).cost.interval_s == near(
        200e-9)


def test_one_table_row_to_a_read_costs_the_same_however_rows_lie() -> None:
    costs = [_charge(Gather("t", 1000, 16, zipf=1.2), TablePlan("in_crossbar", layout=layout))  # type: ignore[arg-type]
             for layout in ("scattered", "by_access")]
    assert costs[0].by_component == costs[1].by_component


def test_order_by_access_and_grouping_save_reads() -> None:
    rng = np.random.default_rng(3)
    bags = tuple(tuple(int(row) for row in 8 * rng.choice(64, 2, replace=False)[:, None].repeat(4, 1).ravel()
                       + np.tile(rng.choice(8, 4, replace=False), 2)) for _ in range(2000))
    op = Gather("t", 512, 8, lookups=8.0, trace=bags)
    chip = SIZED.with_options(rows=16)
    energy = {layout: _charge(op, TablePlan("in_crossbar", layout=layout), chip).by_component["adc"]  # type: ignore[arg-type]
              for layout in ("scattered", "by_access", "grouped")}
    assert energy["grouped"] < 0.5 * energy["scattered"]
    assert energy["by_access"] <= energy["scattered"]


def test_grouping_puts_together_what_is_looked_up_together() -> None:
    bags = [(0, 5), (0, 5), (1, 7), (1, 7), (1, 7), (3,), (0, 1)]
    groups = group_rows(bags, 2)
    assert groups[0] == groups[5] != groups[1] == groups[7] != groups[3]
    assert groups_per_bag(bags, groups) == near((6 * 1 + 2) / 7)
    assert groups_per_bag([(9, 10, 0)], groups) == 3.0  # rows never seen before count one each
    assert grouped_blocks(Gather("t", 11, 4, trace=((0, 5), (0, 5))), 2) == 0.5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), max_size=6).map(tuple), max_size=25), st.integers(1, 9))
def test_every_row_gets_one_group_and_no_group_too_many(bags: list[tuple[int, ...]], size: int) -> None:
    groups = group_rows(bags, size)
    assert set(groups) == {row for bag in bags for row in bag}
    assert all(count <= size for count in Counter(groups.values()).values())
    assert max(groups.values(), default=-1) + 1 == -(-len(groups) // size)


def test_a_split_table_lies_between_banks_and_dram() -> None:
    op = Gather("t", 100_000, 16, lookups=10.0, zipf=1.05)
    bank, dram = _charge(op, TablePlan()), _charge(op, TablePlan("dram"))
    before = dram.cost.energy_j
    for share in (0.001, 0.01, 0.1, 0.5):
        split = _charge(op, TablePlan("split", hot_share=share))
        hits = harmonic(int(100_000 * share), 1.05) / harmonic(100_000, 1.05)
        assert split.by_component["dram"] == near((1 - hits) * dram.by_component["dram"])
        assert split.by_component["bank"] == near(hits * bank.by_component["bank"])
        assert set(split.cost.busy_s) == {"dram", "bank of t", "banks"}
        assert split.cost.energy_j < before
        before = split.cost.energy_j
    whole = _charge(op, TablePlan("split", hot_share=1.0))
    assert whole.by_component["bank"] == bank.by_component["bank"]
    assert whole.by_component["dram"] == 0.0
    assert whole.cost.latency_s == bank.cost.latency_s
    assert not place(Workload("w", (op,)), SIZED, tables=TablePlan("split", hot_share=1.0)).uses_dram


def test_banks_and_dram_are_read_at_the_same_time() -> None:
    """Six of eight lookups find a row of 64 cells in a bank; two bursts of 512 bits come 60 ns later at 25.6 GB/s."""
    op = Gather("t", 1000, 16, lookups=8.0, access=((500, 3.0), (500, 1.0)))
    row_s, dram_s, sending_s = 64 * 328e-6 / 32 / 128 / 128, 60e-9 + 2 * 512 / 204.8e9, 1e-9 + 128 / 384e9
    for replicas, in_turn, seconds in ((1, 6, 6 * row_s), (2, 3, 3 * row_s), (8, 1, dram_s)):
        cost = _charge(op, TablePlan("split", hot_share=0.5, replicas=replicas)).cost
        assert cost.busy_s["bank of t"] == near(in_turn * row_s)
        assert cost.latency_s == near(seconds + sending_s)
    assert row_s < dram_s < 3 * row_s


def test_replicas_shorten_the_lookups_and_take_room() -> None:
    workload = Workload("w", (Gather("t", 1000, 16, lookups=12.0),))
    reports = [evaluate(workload, SIZED, tables=TablePlan(replicas=n)) for n in (1, 2, 4, 12, 50)]
    assert [report.mapping.banks for report in reports] == [1, 2, 4, 12, 50]
    assert all(a.latency_s > b.latency_s for a, b in pairwise(reports[:4]))
    assert reports[4].latency_s == near(reports[3].latency_s)  # never below one row
    assert all(a.area_m2 < b.area_m2 and a.footprint.leakage_w < b.footprint.leakage_w for a, b in pairwise(reports))
    assert len({report.dynamic_j for report in reports}) == 1
    assert reports[2].programming.cells == 4 * reports[0].programming.cells


def test_plans_by_name_and_what_a_report_says() -> None:
    workload = Workload("w", (Gather("a", 1000, 16, zipf=1.0), Gather("b", 1000, 16), Gather("c", 1000, 16)))
    report = evaluate(workload, SIZED, tables={"a": TablePlan("split", hot_share=0.25, replicas=2),
                                               "b": TablePlan("in_crossbar"), "c": TablePlan()}, dram_tables=["c"])
    units = {name: placement.unit for name, placement in report.mapping.placements.items()}
    assert units == {"a": "split", "b": "crossbars", "c": "dram"}
    said = {op["name"]: op["table"] for op in report.to_json()["by_op"]}
    assert said["a"] == {"tier": "split", "hot_share": 0.25, "replicas": 2, "layout": "scattered", "hot_rows": 250,
                         "hit_share": near(harmonic(250, 1.0) / harmonic(1000, 1.0)), "reads_per_bag": 0.0}
    assert said["c"]["tier"] == "dram"
    with pytest.raises(InputError, match="tables has 'x', allowed: a, b, c"):
        evaluate(workload, SIZED, tables={"x": TablePlan()})


@pytest.mark.parametrize(("plan", "message"), [
    ({"tier": "sram"}, "tables.tier is 'sram', allowed: bank, in_crossbar, dram, split"),
    ({"tier": "split", "hot_share": 0.0}, "tables.hot_share is 0.0"),
    ({"hot_share": 0.5}, "allowed with tier 'bank': only 1"),
    ({"replicas": 0}, "tables.replicas is 0"), ({"replicas": 1.5}, "tables.replicas is 1.5"),
    ({"tier": "dram", "replicas": 2}, "allowed with tier 'dram': only 1"),
    ({"layout": "grouped"}, "tables.layout is 'grouped', allowed with tier 'bank': only 'scattered'"),
    ({"tier": "in_crossbar", "layout": "sorted"}, "tables.layout is 'sorted'"),
])
def test_plans_that_make_no_sense_are_refused(plan: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        TablePlan(**plan)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_a_grouping_needs_a_trace_and_summing_needs_currents() -> None:
    op = Gather("t", 100, 4)
    with pytest.raises(InputError, match="field 'trace' has 0 bags"):
        _charge(op, TablePlan("in_crossbar", layout="grouped"))
    with pytest.raises(InputError, match="nothing says how its rows are used"):
        _charge(op, TablePlan("in_crossbar", layout="by_access"))
    with pytest.raises(InputError, match="its columns do not give sums"):
        _charge(op, TablePlan("in_crossbar"), presets.neurram().with_tiles(None))


@pytest.mark.parametrize(("options", "least"), [
    ({"cell_bits": 2}, 2), ({"cell_bits": 4}, 4),
    # A difference of two cells runs from -3 to 3: seven codes, three bits.
    ({"cell_bits": 2, "encoding": "differential", "flip": False, "pairs": "subtracted"}, 3)])
def test_an_adc_that_cannot_read_one_cell_sums_no_table(options: dict[str, object], least: int) -> None:
    workload = Workload("w", (MatVec("m", 16, 16), Gather("t", 100, 16, lookups=4.0)))
    plan, chip = {"t": TablePlan("in_crossbar")}, SIZED.with_options(**options)
    assert evaluate(workload, chip.with_options(adc_bits=least), tables=plan).energy_j > 0.0
    few = chip.with_options(adc_bits=least - 1)
    with pytest.raises(InputError, match=rf"^t: tables.tier is 'in_crossbar' with adc_bits {least - 1}, allowed .*: "
                                         rf"from {least} up"):
        evaluate(workload, few, tables=plan)
    assert evaluate(workload, few).energy_j > 0.0


def test_lossless_for_a_flipped_column_may_not_do_for_a_table() -> None:
    """One row at a time of 2-bit cells: flipped columns need a bit, but a table's row may be full."""
    one = SIZED.with_options(active_rows=1, adc_bits=None)
    assert one.crossbar.adc_bits == 1
    with pytest.raises(InputError, match="adc_bits 1, allowed with these cells: from 2 up"):
        evaluate(Workload("w", (Gather("t", 100, 16),)), one, tables=TablePlan("in_crossbar"))


def test_sweeps_leave_out_what_cannot_read_its_tables() -> None:
    workload = Workload("w", (Gather("t", 100, 16, lookups=4.0),))
    for axes in ({"cell_bits": (1, 2, 4), "adc_bits": (1, 2, 3, 4)}, {"adc_bits": (1, 2, 3)}):
        space = Space(SIZED, axes, settings={"tables": TablePlan("in_crossbar")})
        found = [pair for part in sweep(workload, space)
                 for pair in zip(np.broadcast_to(part.get("cell_bits", 2), len(part["adc_bits"])).tolist(),
                                 part["adc_bits"].tolist(), strict=True)]
        assert found == [(cell, adc) for cell in axes.get("cell_bits", (2,)) for adc in axes["adc_bits"] if adc >= cell]


def test_one_design_and_many_agree_to_the_last_bit() -> None:
    rng = np.random.default_rng(11)
    trace = tuple(tuple(int(x) for x in rng.zipf(1.5, 5) % 700) for _ in range(300))
    op = Gather("t", 700, 24, bags=3, lookups=5.0, trace=trace)
    rows, cells, replicas = np.array([32, 100, 128]), np.array([1, 2, 4]), np.array([1, 3, 2])
    for tier, layout in (("bank", "scattered"), ("split", "scattered"), ("in_crossbar", "scattered"),
                         ("in_crossbar", "by_access"), ("in_crossbar", "grouped")):
        share = np.array([0.1, 0.5, 0.9]) if tier == "split" else 1.0
        many = _charge(op, TablePlan(tier, share, replicas, layout),  # type: ignore[arg-type]
                                     SIZED.with_options(rows=rows, cell_bits=cells))
        for i in range(3):
            one = _charge(op, TablePlan(tier, float(np.broadcast_to(share, 3)[i]), int(replicas[i]), layout),  # type: ignore[arg-type]
                          SIZED.with_options(rows=int(rows[i]), cell_bits=int(cells[i])))
            assert one.cost.energy_j == np.broadcast_to(many.cost.energy_j, 3)[i]
            assert one.cost.latency_s == np.broadcast_to(many.cost.latency_s, 3)[i]
