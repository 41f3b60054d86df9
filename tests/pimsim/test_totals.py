"""Totals without a report; ops that are alike are charged once, and as if they were alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import Chip, Gather, InputError, MatVec, Workload, evaluate, place, presets, totals
from pimsim.charge import charge
from pimsim.tables import TablePlan
from tests.pimsim.random_designs import chips, workloads

SIZED = presets.isaac().with_tiles(None)
FIGURES = ("energy_j", "dynamic_j", "static_j", "latency_s", "interval_s", "area_m2")


@settings(max_examples=60, deadline=None)
@given(workload=workloads(), chip=chips(), copies=st.sampled_from([1, 3]), topology=st.sampled_from(["flat", "mesh"]),
       execution=st.sampled_from(["pipelined", "sequential"]), gating=st.sampled_from(["idle_gated", "always_on"]))
def test_totals_are_those_of_the_report(workload: Workload, chip: Chip, copies: int, topology: str, execution: Any,
                                        gating: Any) -> None:
    chip = chip.with_options(interconnect=topology)
    found = totals(workload, chip, copies=copies, execution=execution, gating=gating)
    report = evaluate(workload, chip, copies=copies, execution=execution, gating=gating)
    assert [getattr(found, name) for name in FIGURES] == [getattr(report, name) for name in FIGURES]
    assert found.busy_s == report.total.busy_s
    parts = chip.parts(report.mapping.tiles, report.mapping.banks, 1, dram=False)
    assert found.area_m2 == pytest.approx(sum(float(part.area_m2) for part in parts.values()), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(workload=workloads(4), chip=chips(), copies=st.sampled_from([1, 3]),
       plan=st.sampled_from([TablePlan(), TablePlan("dram"), TablePlan("split", 0.1), TablePlan("in_crossbar")]))
def test_twins_cost_what_each_costs_alone(workload: Workload, chip: Chip, copies: int, plan: TablePlan) -> None:
    """Every op twice, and the second of two tables longer: only what is alike may be shared.

    What a chip has once (routers, banks) is used in shares that depend on how many of them there are; the vector unit
    may grow with the tiles.
    """
    chip = replace(chip, vector_unit=replace(chip.vector_unit, per_tile=False))
    twins = [replace(op, name=f"{op.name} again", after=()) for op in workload.ops]
    longer = [replace(op, name=f"{op.name} longer", rows=op.rows * 2) for op in twins if isinstance(op, Gather)]
    twice = Workload("twice", (*workload.ops, *twins, *longer))
    by_op = evaluate(twice, chip, copies=copies, tables=plan).by_op
    for op in twice.ops:
        alone = Workload("alone", (replace(op, after=()),))
        cost = charge(alone.ops[0], place(alone, chip, copies=copies, tables=plan), chip)
        together = by_op[op.name].cost
        assert (together.energy_j, together.latency_s) == (cost.cost.energy_j, cost.cost.latency_s)
        assert together.busy_s.keys() == cost.cost.busy_s.keys()
        for name in together.busy_s.keys() - {"routers", "banks"}:
            assert together.busy_s[name] == cost.cost.busy_s[name]
        assert by_op[op.name].by_component == cost.by_component


def test_a_table_with_a_plan_of_its_own_is_not_its_twin() -> None:
    workload = Workload("w", (Gather("a", 1000, 16), Gather("b", 1000, 16), Gather("c", 1000, 16)))
    report = evaluate(workload, SIZED, tables={"b": TablePlan("bank", replicas=2)}, dram_tables=["c"])
    assert [report.mapping.placements[name].unit for name in "abc"] == ["bank", "bank", "dram"]
    assert [report.mapping.placements[name].copies for name in "ab"] == [1, 2]
    resources = [["bank of a", "banks"], ["bank of b", "banks"], ["dram"]]
    assert [sorted(report.by_op[name].cost.busy_s) for name in "abc"] == resources


def test_totals_refuse_what_evaluate_refuses() -> None:
    with pytest.raises(InputError, match="too many"):
        totals(Workload("w", (MatVec("a", 5000, 5000),)), presets.isaac().with_tiles(1))
    with pytest.raises(InputError, match="execution is 'never'"):
        totals(Workload("w", (MatVec("a", 5, 5),)), SIZED, execution="never")  # type: ignore[arg-type]
