"""Reports for people: tables with picojoules, nanoseconds and square millimetres."""

from __future__ import annotations

import math

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pimsim.cost import Report, total_footprint
from pimsim.life import DAY_S, Life
from pimsim.presets import PRESETS, RATED_BITS

_ENERGY = (("mJ", 1e-3), ("µJ", 1e-6), ("nJ", 1e-9), ("pJ", 1e-12))
_TIME = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


def _scaled(value: float, units: tuple[tuple[str, float], ...]) -> str:
    """`value` in the largest unit that gives at least 1, else in the smallest; four digits."""
    name, unit = next(((n, u) for n, u in units if abs(value) >= u), units[-1])
    return f"{_digits(value / unit)} {name}"


def _digits(value: float) -> str:
    places = 3 if value == 0 else max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def energy_text(energy_j: float) -> str:
    """Energy as mJ, µJ, nJ or pJ."""
    return _scaled(energy_j, _ENERGY)


def time_text(time_s: float) -> str:
    """Time as s, ms, µs or ns."""
    return _scaled(time_s, _TIME)


def area_text(area_m2: float) -> str:
    """Area as mm²."""
    return f"{_digits(area_m2 / 1e-6)} mm²"


def report_tables(report: Report) -> Group:
    """Summary, components and operators of a report on one chip."""
    return Group(_summary(report), _components(report), _operators(report))


def _summary(report: Report) -> Text:
    arrivals = "as they come" if report.arrival_rate_hz is None else f"{report.arrival_rate_hz:g} inferences/s"
    mapping, written = report.mapping, report.programming
    return Text.from_markup(
        f"[bold]{report.workload}[/] on [bold]{report.chip}[/] at {report.node_nm} nm, per inference\n"
        f"energy {energy_text(float(report.energy_j))}: dynamic {energy_text(float(report.dynamic_j))}, "
        f"static {energy_text(float(report.static_j))} ({report.gating}, arrivals {arrivals})\n"
        f"latency {time_text(float(report.latency_s))}, interval {time_text(float(report.interval_s))} "
        f"({report.execution}), "
        f"area {area_text(float(report.area_m2))}\n"
        f"{int(mapping.crossbars):,} crossbars in {int(mapping.tiles):,} tiles and {int(mapping.banks):,} banks on "
        f"{mapping.chips} chip(s), {float(mapping.utilization):.1%} of their cells used\n"
        f"programming once: {energy_text(float(written.energy_j))}, {time_text(float(written.time_s))}; "
        f"cells survive {written.endurance_writes:,.0f} updates\n" + _life_text(report.life),
        overflow="fold",
    )


def _life_text(life: Life) -> str:
    if life.first_worn is None:
        return ""
    return (f"updates: {life.first_worn} is worn out after {life.lifetime_s / DAY_S:,.0f} days; writing takes "
            f"{energy_text(float(life.per_inference_j))} per inference more\n")


def _components(report: Report) -> Table:
    table = Table("component", "dynamic", "static", "area", title="By component")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, part in report.by_component.items():
        dynamic, static, area = float(part.dynamic_j), float(part.static_j), float(part.footprint.area_m2)
        if dynamic or static or area:
            table.add_row(name, energy_text(dynamic), energy_text(static), area_text(area))
    table.add_section()
    table.add_row("total", energy_text(float(report.dynamic_j)), energy_text(float(report.static_j)),
                  area_text(float(report.area_m2)))
    return table


def _operators(report: Report) -> Table:
    table = Table("operator", "kind", "unit", "crossbars", "dynamic", "latency", title="By operator")
    for column in table.columns[3:]:
        column.justify = "right"
    for op in report.by_op.values():
        placement = report.mapping.placements[op.name]
        table.add_row(op.name, op.op, placement.unit, f"{int(placement.crossbars):,}",
                      energy_text(float(op.cost.energy_j)), time_text(float(op.cost.latency_s)))
    return table


def presets_table() -> Table:
    """Every preset with its source, size, peak power, area and peak rate."""
    table = Table("preset", "after", "node", "tiles", "crossbars", "power", "area", "TOPS (bits)")
    table.columns[0].no_wrap = True
    for name, make in PRESETS.items():
        chip = make()
        if chip.tiles is None or chip.crossbars is None:
            continue
        whole = total_footprint(chip.parts(chip.tiles, chip.banks or 0, 1, dram=False))
        weights, inputs = RATED_BITS[name]
        about = (make.__doc__ or name).split(":")[0]
        table.add_row(name, about, f"{chip.technology.node_nm} nm", f"{chip.tiles:,}", f"{chip.crossbars:,}",
                      f"{float(whole.peak_w):.1f} W", area_text(float(whole.area_m2)),
                      f"{float(chip.tops(weights, inputs, signed=True)):.2f} ({weights} x {inputs})")
    return table
