"""What running costs (`Cost`), what the hardware takes up (`Footprint`), and both for one workload (`Report`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pimsim.quantity import Count, Number, larger, largest

if TYPE_CHECKING:
    from pimsim.life import Life
    from pimsim.mapping import Mapping as ChipMapping
    from pimsim.mapping import Placement

Gating = Literal["idle_gated", "always_on"]
"""When a chip leaks: only while it works on an inference, or all the time between two arrivals."""
GATINGS: tuple[Gating, ...] = ("idle_gated", "always_on")
Execution = Literal["pipelined", "sequential"]
"""Whether the next inference starts as soon as the busiest resource is free, or when the one before is done."""
EXECUTIONS: tuple[Execution, ...] = ("pipelined", "sequential")


@dataclass(frozen=True)
class Cost:
    """Energy and time of some work; `busy_s` is how long it occupies each named resource.

    The interval between repetitions in a pipeline is the time of the busiest resource.
    """

    energy_j: Number
    latency_s: Number
    busy_s: Mapping[str, Number] = field(default_factory=dict)

    @property
    def interval_s(self) -> Number:
        """Time between repetitions in a pipeline; the latency where no resource is named."""
        return largest(self.busy_s.values()) if self.busy_s else self.latency_s

    def then(self, other: Cost) -> Cost:
        """This work, then `other`: energies and times add up, and so does the use of a resource."""
        return Cost(self.energy_j + other.energy_j, self.latency_s + other.latency_s, _added(self, other))

    def beside(self, other: Cost) -> Cost:
        """Both at once, on resources of their own; ValueError if they share one."""
        shared = self.busy_s.keys() & other.busy_s.keys()
        if shared:
            raise ValueError(f"cannot run side by side, both use {', '.join(sorted(shared))}")
        latency = larger(self.latency_s, other.latency_s)
        return Cost(self.energy_j + other.energy_j, latency, {**self.busy_s, **other.busy_s})

    def times(self, n: Number) -> Cost:
        """The same work `n` times, one after the other."""
        return Cost(self.energy_j * n, self.latency_s * n, {name: s * n for name, s in self.busy_s.items()})


@dataclass(frozen=True)
class Footprint:
    """Area, leakage and peak power (leakage included) of hardware; kept apart from Cost, so counted once."""

    area_m2: Number = 0.0
    leakage_w: Number = 0.0
    peak_w: Number = 0.0

    def __add__(self, other: Footprint) -> Footprint:
        """Both together."""
        return Footprint(
            self.area_m2 + other.area_m2, self.leakage_w + other.leakage_w, self.peak_w + other.peak_w)

    def times(self, n: Number) -> Footprint:
        """`n` of them."""
        return Footprint(self.area_m2 * n, self.leakage_w * n, self.peak_w * n)


Parts = Mapping[str, Footprint]
"""Footprints by component."""


def total_footprint(parts: Parts) -> Footprint:
    """All components together, added in the order of `parts`."""
    total = Footprint()
    for part in parts.values():
        total = total + part
    return total


def added_parts(groups: Iterable[Parts]) -> dict[str, Footprint]:
    """Footprints of several groups, equal names added up."""
    result: dict[str, Footprint] = {}
    for group in groups:
        for name, part in group.items():
            result[name] = result[name] + part if name in result else part
    return result


@dataclass(frozen=True)
class OpCost:
    """Cost of one operator; `by_component` splits its energy and adds up to `cost.energy_j`."""

    name: str
    op: str
    cost: Cost
    by_component: dict[str, Number]


@dataclass(frozen=True)
class ComponentCost:
    """A component's share of a report: energy per inference, dynamic and static, and what it takes up."""

    dynamic_j: Number
    static_j: Number
    footprint: Footprint


@dataclass(frozen=True)
class Programming:
    """What it takes to write a model into the cells once; `endurance_writes` is what a cell survives."""

    cells: Count
    energy_j: Number
    time_s: Number
    endurance_writes: float

    def lifetime_s(self, updates_per_day: float) -> float:
        """Time until cells that are rewritten with every update wear out."""
        return self.endurance_writes / updates_per_day * 86_400.0


@dataclass(frozen=True)
class Report:
    """One workload on one chip, per inference.

    `total` holds dynamic + static energy, the latency of one inference and the use of every resource; `interval_s` is
    the time between inferences in steady state under `execution`: the latency, or that of the busiest resource. Figures
    are those of a chip at `node_nm`. `life`: wear by updates; its energy is in no other figure. Dynamic energy is the
    sum of `by_op` and of `by_component`; static energy is leakage times `on_s`, the time that the chip is on per
    inference under `gating` and `arrival_rate_hz`.
    """

    workload: str
    chip: str
    total: Cost
    dynamic_j: Number
    static_j: Number
    interval_s: Number
    footprint: Footprint
    by_op: dict[str, OpCost]
    by_component: dict[str, ComponentCost]
    mapping: ChipMapping
    gating: Gating
    arrival_rate_hz: float | None
    on_s: Number
    programming: Programming
    execution: Execution
    node_nm: int
    life: Life

    @property
    def energy_j(self) -> Number:
        """Dynamic and static energy of one inference."""
        return self.total.energy_j

    @property
    def latency_s(self) -> Number:
        """Time of one inference from input to output."""
        return self.total.latency_s

    @property
    def throughput_hz(self) -> Number:
        """Inferences per second in steady state; ZeroDivisionError where there is nothing to do."""
        return 1.0 / self.interval_s

    @property
    def area_m2(self) -> Number:
        """Area of all chips."""
        return self.footprint.area_m2

    @property
    def crossbars(self) -> Count:
        """Crossbars in use, tables included."""
        return self.mapping.crossbars

    def to_json(self) -> dict[str, Any]:
        """Plain values of a report on one chip (not on a sweep), with format and version."""
        placements = self.mapping.placements
        return {
            "format": "pimsim.report", "version": 1, "workload": self.workload, "chip": self.chip,
            "node_nm": self.node_nm, "execution": self.execution,
            "energy_j": float(self.energy_j), "dynamic_j": float(self.dynamic_j), "static_j": float(self.static_j),
            "latency_s": float(self.latency_s), "interval_s": float(self.interval_s),
            "throughput_hz": float(self.throughput_hz) if self.interval_s else None,
            "area_m2": float(self.area_m2), "leakage_w": float(self.footprint.leakage_w),
            "peak_w": float(self.footprint.peak_w), "gating": self.gating, "arrival_rate_hz": self.arrival_rate_hz,
            "on_s": float(self.on_s), "chips": self.mapping.chips, "tiles": int(self.mapping.tiles),
            "banks": int(self.mapping.banks), "crossbars": int(self.crossbars),
            "utilization": float(self.mapping.utilization),
            "programming": {"cells": int(self.programming.cells), "energy_j": float(self.programming.energy_j),
                            "time_s": float(self.programming.time_s),
                            "endurance_writes": self.programming.endurance_writes},
            "life": self.life.to_json(),
            "by_component": {
                name: {"dynamic_j": float(part.dynamic_j), "static_j": float(part.static_j),
                       "area_m2": float(part.footprint.area_m2), "leakage_w": float(part.footprint.leakage_w)}
                for name, part in self.by_component.items()},
            "by_op": [
                {"name": op.name, "op": op.op, "energy_j": float(op.cost.energy_j),
                 "latency_s": float(op.cost.latency_s), "unit": placements[op.name].unit,
                 "crossbars": int(placements[op.name].crossbars), "copies": int(placements[op.name].copies),
                 "by_component": {name: float(energy) for name, energy in op.by_component.items()},
                 **_table_of(placements[op.name])}
                for op in self.by_op.values()],
        }


def _table_of(placement: Placement) -> dict[str, Any]:
    """How a table is used, for the JSON form."""
    return {} if placement.table is None else {"table": placement.table.to_json()}


def _added(first: Cost, second: Cost) -> dict[str, Number]:
    busy = dict(first.busy_s)
    for name, seconds in second.busy_s.items():
        busy[name] = busy[name] + seconds if name in busy else seconds
    return busy
