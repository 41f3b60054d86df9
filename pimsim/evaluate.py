"""From a workload and a chip to energy, time and area: place, charge every operator, add up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from pimsim.charge import OWN, Charge, charge_all, cost_of
from pimsim.chip import Chip
from pimsim.cost import (
    EXECUTIONS,
    GATINGS,
    ComponentCost,
    Cost,
    Execution,
    Footprint,
    Gating,
    OpCost,
    Programming,
    Report,
)
from pimsim.errors import InputError
from pimsim.interconnect import arrivals
from pimsim.life import life
from pimsim.mapping import Mapping, place, require_fit
from pimsim.quantity import Count, Number, larger, largest, smaller
from pimsim.tables import TablePlans
from pimsim.workload import Workload


def evaluate(
    workload: Workload,
    chip: Chip,
    *,
    copies: Count | Literal["budget"] = 1,
    chips: int = 1,
    dram: bool = False,
    dram_tables: Collection[str] = (),
    tables: TablePlans | None = None,
    budget_crossbars: Count | None = None,
    budget_area_m2: Number | None = None,
    gating: Gating = "idle_gated",
    arrival_rate_hz: float | None = None,
    execution: Execution = "pipelined",
    updates_per_day: float = 0.0,
) -> Report:
    """Cost of one inference of `workload` on `chips` of `chip`.

    `copies`: most copies of weights that an inference uses several times, or "budget" for as many as level the work
    within `budget_crossbars` or `budget_area_m2`. `dram`, `dram_tables`: all, or the named, embedding tables off the
    chip; `tables`: a plan for them (see `pimsim.tables`). `arrival_rate_hz`: inferences asked for per second; None: for
    "idle_gated" one after the other, for "always_on" as fast as the chip takes them. `execution`: "pipelined", the next
    inference starts when the busiest resource is free, or "sequential", when the one before is done.
    `updates_per_day`: how often a day the model is written anew. InputError if the workload does not fit (it says by
    how much) or a setting makes no sense.
    """
    mapping = place(workload, chip, copies=copies, chips=chips, dram=dram, dram_tables=dram_tables, tables=tables,
                    budget_crossbars=budget_crossbars, budget_area_m2=budget_area_m2)
    require_fit(mapping, chip)
    return account(workload, chip, mapping, gating=gating, arrival_rate_hz=arrival_rate_hz, execution=execution,
                   updates_per_day=updates_per_day)


def totals(workload: Workload, chip: Chip, *, gating: Gating = "idle_gated", arrival_rate_hz: float | None = None,
           execution: Execution = "pipelined", **placing: Any) -> Totals:
    """The totals of `evaluate` without the rest of its report; `placing` are the settings of `place`."""
    mapping = place(workload, chip, **placing)
    require_fit(mapping, chip)
    return add_up(workload, chip, mapping, gating=gating, arrival_rate_hz=arrival_rate_hz, execution=execution)


def account(workload: Workload, chip: Chip, mapping: Mapping, *, gating: Gating = "idle_gated",
            arrival_rate_hz: float | None = None, execution: Execution = "pipelined",
            updates_per_day: float = 0.0) -> Report:
    """Cost of a placed workload; scalars for one chip, arrays where the chip's options are arrays."""
    workload = workload.live()
    totals = add_up(workload, chip, mapping, gating=gating, arrival_rate_hz=arrival_rate_hz, execution=execution)
    parts = chip.parts(mapping.tiles, mapping.banks, mapping.chips, dram=mapping.uses_dram)
    return Report(
        workload=workload.name,
        chip=chip.preset,
        total=Cost(totals.energy_j, totals.latency_s, totals.busy_s),
        dynamic_j=totals.dynamic_j,
        static_j=totals.static_j,
        interval_s=totals.interval_s,
        footprint=totals.footprint,
        by_op=totals.by_op,
        by_component=_by_component(totals.by_op, parts, totals.on_s),
        mapping=mapping,
        gating=gating,
        arrival_rate_hz=arrival_rate_hz,
        on_s=totals.on_s,
        programming=_programming(chip, mapping),
        execution=execution,
        node_nm=chip.technology.node_nm,
        life=life(workload.live(), mapping, chip.crossbar.cell, updates_per_day,
                  totals.interval_s if arrival_rate_hz is None else 1.0 / arrival_rate_hz),
    )


@dataclass(frozen=True)
class Work:
    """What running a placed workload takes, the chip's leakage aside; `charges`: of each op, in their order."""

    dynamic_j: Number
    latency_s: Number
    interval_s: Number
    workload: Workload
    charges: list[Charge]

    @cached_property
    def by_op(self) -> dict[str, OpCost]:
        """Cost of every op, by its name."""
        return {op.name: cost_of(op, charge) for op, charge in zip(self.workload.ops, self.charges, strict=True)}

    @cached_property
    def busy_s(self) -> dict[str, Number]:
        """How long an inference occupies each resource."""
        busy: dict[str, Number] = {}
        for op in self.by_op.values():
            for name, seconds in op.cost.busy_s.items():
                busy[name] = busy[name] + seconds if name in busy else seconds
        return busy


@dataclass(frozen=True)
class Totals:
    """The sums of a report, without its splits; `work` has what they were added up from."""

    energy_j: Number
    static_j: Number
    interval_s: Number
    on_s: Number
    footprint: Footprint
    work: Work

    @property
    def dynamic_j(self) -> Number:
        """Energy of all actions."""
        return self.work.dynamic_j

    @property
    def latency_s(self) -> Number:
        """Time of one inference from input to output."""
        return self.work.latency_s

    @property
    def area_m2(self) -> Number:
        """Area of all chips."""
        return self.footprint.area_m2

    @property
    def by_op(self) -> dict[str, OpCost]:
        """Cost of every op, by its name."""
        return self.work.by_op

    @property
    def busy_s(self) -> dict[str, Number]:
        """How long an inference occupies each resource."""
        return self.work.busy_s


def add_up(workload: Workload, chip: Chip, mapping: Mapping, *, gating: Gating = "idle_gated",
           arrival_rate_hz: float | None = None, execution: Execution = "pipelined") -> Totals:
    """The totals of a placed workload; arrays where the chip's options are arrays that broadcast."""
    footprint = chip.footprint(mapping.tiles, mapping.banks, mapping.chips, dram=mapping.uses_dram)
    work = work_of(workload, chip, mapping, footprint.area_m2 - chip.link_area_m2(mapping.chips))
    return leaking(work, footprint, gating=gating, arrival_rate_hz=arrival_rate_hz, execution=execution)


def work_of(workload: Workload, chip: Chip, mapping: Mapping, area_m2: Number) -> Work:
    """Every op charged and added up; `area_m2`, links aside, matters only to a network, whose wires it gives."""
    workload = workload.live()
    charges = charge_all(workload, mapping, chip, arrivals(workload, mapping, chip, area_m2))
    energy: Number = 0.0
    own: dict[int, Number] = {}  # ops that are alike share their figures, which are compared once
    shared: dict[str, Number] = {}
    for charge in charges:
        energy = energy + charge.energy_j
        for name, seconds in charge.busy_s.items():
            if name in OWN:
                own[id(seconds)] = seconds
            else:
                shared[name] = shared[name] + seconds if name in shared else seconds
    interval = largest([0.0, *own.values(), *shared.values()])
    return Work(energy, larger(_longest_path(workload, charges), interval), interval, workload, charges)


def leaking(work: Work, footprint: Footprint, *, gating: Gating = "idle_gated", arrival_rate_hz: float | None = None,
            execution: Execution = "pipelined") -> Totals:
    """The work on a chip of `footprint`, whose leakage it pays for as long as the chip is on."""
    if execution not in EXECUTIONS:
        raise InputError(f"execution is {execution!r}, allowed: {', '.join(EXECUTIONS)}")
    interval = work.latency_s if execution == "sequential" else work.interval_s
    on = _time_on(work.latency_s, interval, gating, arrival_rate_hz)
    static = footprint.leakage_w * on
    return Totals(work.dynamic_j + static, static, interval, on, footprint, work)


def _longest_path(workload: Workload, charges: list[Charge]) -> Number:
    """Time until the last operator is done when each starts as soon as those in its `after` are."""
    sets, own, last = workload.waits
    starts: list[Number | None] = [None] * len(sets)
    done: list[Number] = []
    for charge, which in zip(charges, own, strict=True):
        start = starts[which]
        if start is None:
            before = sets[which]
            start = starts[which] = done[before[0]] if len(before) == 1 else largest(
                [0.0, *(done[index] for index in before)])
        done.append(start + charge.latency_s)
    # An op that another one waits for is never the last: times are not negative.
    return largest([0.0, *(done[index] for index in last)])  # type: ignore[no-any-return]


def _time_on(latency: Number, interval: Number, gating: Gating, arrival_rate_hz: float | None) -> Number:
    """Time per inference that the chip leaks."""
    if gating not in GATINGS:
        raise InputError(f"gating is {gating!r}, allowed: {', '.join(GATINGS)}")
    if arrival_rate_hz is None:
        return latency if gating == "idle_gated" else interval
    if np.asarray(arrival_rate_hz).dtype.kind not in "iuf":
        raise InputError(f"arrival_rate_hz is {arrival_rate_hz!r}, allowed: a number, inferences per second")
    if not np.all(np.greater(arrival_rate_hz, 0.0)) or np.any(arrival_rate_hz * interval > 1.0 + 1e-9):
        most = float(np.min(1.0 / np.asarray(interval))) if np.any(interval) else float("inf")
        raise InputError(f"arrival_rate_hz is {arrival_rate_hz!r}, allowed: above 0, at most {most:.6g} on this chip")
    between = 1.0 / arrival_rate_hz
    return smaller(latency, between) if gating == "idle_gated" else between


def _by_component(by_op: dict[str, OpCost], parts: dict[str, Footprint], on_s: Number) -> dict[str, ComponentCost]:
    """Every component that takes up room or energy, in the order of the chip's parts."""
    dynamic: dict[str, Number] = dict.fromkeys(parts, 0.0)
    for op in by_op.values():
        for name, energy in op.by_component.items():
            dynamic[name] = dynamic.get(name, 0.0) + energy
    nothing = Footprint()
    return {
        name: ComponentCost(energy, parts.get(name, nothing).leakage_w * on_s, parts.get(name, nothing))
        for name, energy in dynamic.items()
    }


def _programming(chip: Chip, mapping: Mapping) -> Programming:
    """Writing every cell that holds something: one row of a tile or bank at a time, all side by side (assumption)."""
    cell, tile = chip.crossbar.cell, chip.tile
    cells = mapping.cells
    in_turn = larger(smaller(mapping.in_tiles, tile.crossbars), smaller(mapping.in_banks, chip.bank.crossbars))
    time = in_turn * chip.crossbar.rows * cell.write_time.value
    return Programming(cells, cells * cell.write.value, time, cell.endurance.value)
