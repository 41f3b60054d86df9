"""Where every joule, nanosecond and square micrometre of a report goes, and from which figure it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pimsim.chip import Chip
from pimsim.cost import Report
from pimsim.evaluate import add_up, evaluate
from pimsim.figures import figures
from pimsim.quantity import ceil_div
from pimsim.shares import Counted, Share, Stretched, added, share_of
from pimsim.workload import Workload


@dataclass(frozen=True)
class Step:
    """An op on the longest path: when it starts, how long it takes, and what of that each time figure makes."""

    op: str
    start_s: float
    latency_s: float
    by_figure: tuple[Share, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"op": self.op, "start_s": self.start_s, "latency_s": self.latency_s,
                "by_figure": [share.to_json() for share in self.by_figure]}


@dataclass(frozen=True)
class Explanation:
    """A report taken apart.

    `dynamic` adds up to its dynamic energy, and `by_op` to that of each op; `leakage` to its leakage, which times
    `report.on_s` is its static energy; `area` to its area; `latency` and `interval` to those times; `programming` to
    the energy of writing the model once. `path`: the longest way through the workload; where the busiest resource takes
    longer than that, the latency is its time. `unused_m2`: area of each component that stands idle under this workload.
    `bound_by`: what sets the interval. `technology`: the node, and what was scaled to it.
    """

    report: Report
    technology: str
    dynamic: tuple[Share, ...]
    by_op: dict[str, tuple[Share, ...]]
    leakage: tuple[Share, ...]
    area: tuple[Share, ...]
    unused_m2: dict[str, float]
    latency: tuple[Share, ...]
    interval: tuple[Share, ...]
    path: tuple[Step, ...]
    bound_by: str
    programming: tuple[Share, ...]
    endurance: Share

    def to_json(self) -> dict[str, Any]:
        """Plain values, with format and version; the report itself under `report`."""
        named = ("dynamic", "leakage", "area", "latency", "interval", "programming")
        return {
            "format": "pimsim.explanation", "version": 1, "technology": self.technology,
            **{name: [share.to_json() for share in getattr(self, name)] for name in named},
            "endurance": self.endurance.to_json(),
            "unused_m2": self.unused_m2,
            "path": [step.to_json() for step in self.path],
            "bound_by": self.bound_by,
            "busy_s": {name: float(seconds) for name, seconds in self.report.total.busy_s.items()},
            "by_op": {name: [share.to_json() for share in shares] for name, shares in self.by_op.items()},
            "report": self.report.to_json(),
        }


def explain(workload: Workload, chip: Chip, **settings: Any) -> Explanation:
    """Take apart what `evaluate` says of `workload` on `chip` with the same `settings`."""
    report = evaluate(workload, chip, **settings)
    mapping = report.mapping
    energies = Counted(chip, ("J", "F/m"))
    by_op = {name: energies.shares(op.by_component)
             for name, op in add_up(workload, energies.chip, mapping).by_op.items()}
    rooms = Counted(chip, ("m²", "W"))
    parts = rooms.chip.parts(mapping.tiles, mapping.banks, mapping.chips, dram=mapping.uses_dram)
    times = Stretched(chip)
    timed = add_up(workload, times.chip, mapping, execution=report.execution)
    known = figures(chip)
    return Explanation(
        report=report,
        technology=f"{chip.technology.node_nm} nm, {chip.technology.vdd_v:g} V: {chip.technology.source}",
        dynamic=added(by_op.values()),
        by_op=by_op,
        leakage=rooms.shares({name: part.leakage_w for name, part in parts.items()}),
        area=rooms.shares({name: part.area_m2 for name, part in parts.items()}),
        unused_m2=unused_m2(chip, report),
        latency=times.shares("latency", timed.latency_s),
        interval=times.shares("interval", timed.interval_s),
        path=_longest_path(workload, report,
                           {name: times.shares(name, op.cost.latency_s) for name, op in timed.by_op.items()}),
        bound_by=_bound_by(report),
        programming=(share_of("cells", "cell.write", known["cell.write"], float(report.programming.cells)),),
        endurance=share_of("cells", "cell.endurance", known["cell.endurance"], 1.0),
    )


def unused_m2(chip: Chip, report: Report) -> dict[str, float]:
    """Area of each component that has no work: crossbars, tiles and banks that hold nothing, a vector unit without
    operators, links without another chip. Cells of a used crossbar that hold nothing are not in it, nor, where no
    crossbar is used, what operators on the vector unit and tables off the chip use of a tile."""
    tile, bank, mapping = chip.tile, chip.bank, report.mapping
    crossbars = mapping.tiles * tile.crossbars - mapping.in_tiles
    idle_tiles = mapping.tiles - ceil_div(mapping.in_tiles, tile.crossbars)
    in_banks = [placement for placement in mapping.placements.values() if placement.unit in ("bank", "split")]
    apart = max((placement.copies for placement in in_banks), default=0) if mapping.in_banks else 0
    idle_banks = mapping.banks - max(ceil_div(mapping.in_banks, bank.crossbars), apart)
    in_crossbars = chip.crossbar.parts()
    works = _without_crossbars(report) if mapping.in_tiles == 0 else set()
    unused = {name: float(part.area_m2 * (crossbars - tile.crossbars * (name in works)))
              for name, part in in_crossbars.items()}
    for name, part in tile.parts().items():
        if name not in in_crossbars:
            unused[name] = float(part.area_m2 * (idle_tiles - (name in works)))
    for name, part in bank.parts(tile).items():
        unused[name] = unused.get(name, 0.0) + float(part.area_m2 * idle_banks)
    if all(placement.unit != "vector_unit" for placement in mapping.placements.values()):
        units = mapping.tiles if chip.vector_unit.per_tile else mapping.chips
        unused["vector_unit"] = float(chip.vector_unit.footprint().area_m2 * units)
    if mapping.chips == 1:
        unused["link"] = float(chip.link.area.value * chip.links)
    return {name: area for name, area in unused.items() if area}


def _without_crossbars(report: Report) -> set[str]:
    """The components that are used by operators on the vector unit and by tables off the chip."""
    return {name for op, placement in report.mapping.placements.items() if placement.unit in ("vector_unit", "dram")
            for name, energy in report.by_op[op].by_component.items() if energy}


def _longest_path(workload: Workload, report: Report, by_figure: dict[str, tuple[Share, ...]]) -> tuple[Step, ...]:
    """The ops that each wait for the one before, the last of which is done last; of equals the first."""
    workload = workload.live()
    start: dict[str, float] = {}
    done: dict[str, float] = {}
    waits_for: dict[str, str | None] = {}
    for op in workload.ops:
        before = max(op.after, key=lambda name: done[name], default=None)
        waits_for[op.name] = before
        start[op.name] = 0.0 if before is None else done[before]
        done[op.name] = start[op.name] + float(report.by_op[op.name].cost.latency_s)
    name = max(done, key=lambda name: done[name], default=None)
    steps = []
    while name is not None:
        steps.append(Step(name, start[name], float(report.by_op[name].cost.latency_s), by_figure[name]))
        name = waits_for[name]
    return tuple(reversed(steps))


def _bound_by(report: Report) -> str:
    """What the next inference waits for."""
    busy = report.total.busy_s
    if report.execution == "sequential":
        return "the inference before (sequential execution)"
    return max(busy, key=lambda name: float(busy[name])) if busy else "nothing"
