"""An explanation for people: tables of 100 columns whose sources stand below, by number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import groupby

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pimsim.explain import Explanation
from pimsim.life import DAY_S
from pimsim.quantity import MM2, UM2
from pimsim.report import area_text, energy_text, time_text
from pimsim.shares import Share

_PREFIXES = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("µ", 1e-6), ("n", 1e-9),
             ("p", 1e-12), ("f", 1e-15), ("a", 1e-18))
_RIGHT = ("value", "±", "count", "total", "share", "no work", "source", "starts", "takes", "of latency", "of interval",
          "busy")  # headers of columns on the right
_MOST_SHARES = 3  # named for an op


class _Sources:
    """Numbers for sources, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, share: Share) -> str:
        key = (share.source, share.uncertainty.stated_by)
        return str(self._numbers.setdefault(key, len(self._numbers) + 1))

    def text(self) -> Text:
        lines = ["Sources. ±: one relative standard deviation, * assumed; else stated by the source."]
        for (source, stated_by), number in self._numbers.items():
            lines.append(f"[{number}] {source}" + (f" (±: {stated_by})" if stated_by else ""))
        return Text("\n".join(lines), overflow="fold")


def explanation_tables(explanation: Explanation) -> Group:
    """Energy, leakage, area and time of an explanation by figure, the longest path, resources and sources."""
    report, sources = explanation.report, _Sources()
    on = f"leakage, on for {time_text(float(report.on_s))} ({report.gating})"
    return Group(
        _summary(explanation),
        _shares("Dynamic energy", explanation.dynamic, energy_text, sources),
        _operators(explanation),
        _shares(f"Static energy: {on}", explanation.leakage, lambda w: energy_text(w * float(report.on_s)), sources),
        _shares("Area, mm²", explanation.area, _area, sources, explanation.unused_m2),
        _path(explanation),
        _times(explanation, sources),
        _resources(explanation),
        _shares("Writing the model once", explanation.programming, energy_text, sources),
        _endurance(explanation, sources),
        sources.text(),
    )


def figure_text(value: float, unit: str) -> str:
    """A figure with the prefix that leaves one to three digits before the point, areas in mm² or µm²."""
    if unit == "m²":
        return f"{value / MM2:.4g} mm²" if abs(value) >= 0.01 * MM2 else f"{value / UM2:.4g} µm²"
    if unit in ("1", "bits") or value == 0.0:
        return f"{value:g} {unit}".removesuffix(" 1")
    prefix, scale = next(((p, s) for p, s in _PREFIXES if abs(value) >= s), _PREFIXES[-1])
    return f"{value / scale:.4g} {prefix}{unit}"


def _summary(explanation: Explanation) -> Text:
    report = explanation.report
    idle = sum(explanation.unused_m2.values())
    return Text.from_markup(
        f"[bold]{report.workload}[/] on [bold]{report.chip}[/], per inference: energy "
        f"{energy_text(float(report.energy_j))}, latency {time_text(float(report.latency_s))}, area "
        f"{area_text(float(report.area_m2))}\n"
        f"{explanation.technology}\n"
        f"interval {time_text(float(report.interval_s))}, bound by {explanation.bound_by}\n"
        f"{_percent(idle, float(report.area_m2)) or 'none'} of the area has no work; of the cells in used crossbars "
        f"{1 - float(report.mapping.utilization):.1%} hold nothing\n", overflow="fold")


def _area(area_m2: float) -> str:
    return f"{area_m2 / MM2:.6f}" if area_m2 < 0.01 * MM2 else f"{area_m2 / MM2:.4f}"


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _largest(shares: Iterable[Share]) -> list[Share]:
    return sorted(shares, key=lambda share: -share.total)


def _shares(title: str, shares: tuple[Share, ...], text: Callable[[float], str], sources: _Sources,
            unused: dict[str, float] | None = None) -> Table:
    """Count times figure by component, the largest component first."""
    idle = () if unused is None else ("no work",)
    table = _table(title, "component", "figure", *_RIGHT[:5], *idle, "source")
    whole = sum(share.total for share in shares)
    by_component: dict[str, list[Share]] = {}
    for share in shares:
        by_component.setdefault(share.component, []).append(share)
    for component, own in sorted(by_component.items(), key=lambda item: -sum(one.total for one in item[1])):
        for i, share in enumerate(_largest(own)):
            row = [figure_text(share.value, share.unit), _spread(share), _count(share.count), text(share.total),
                   _percent(share.total, whole)]
            if unused is not None:
                row.append(text(unused[component]) if unused.get(component) and not i else "")
            table.add_row("" if i else component, _name(share), *row, sources.number(share))
    table.add_section()
    table.add_row("total", "", "", "", "", text(whole), "", *([] if unused is None else [text(sum(unused.values()))]))
    return table


def _table(title: str, *columns: str) -> Table:
    """A table without a frame; columns of numbers are on the right."""
    table = Table(*columns, title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
                  pad_edge=False, collapse_padding=True)
    for column in table.columns:
        if column.header in _RIGHT:
            column.justify, column.no_wrap = "right", True
    return table


def _name(share: Share) -> str:
    """The figure, with its owner where that is not the component itself."""
    name = share.figure.removeprefix(f"{share.component}.")
    return name + (f" at {share.at_bits} bit" if share.at_bits else "")


def _count(count: float) -> str:
    return f"{count:,.0f}" if math.isclose(count, round(count), rel_tol=1e-9) else f"{count:,.4g}"


def _spread(share: Share) -> str:
    return f"{share.uncertainty.relative:.0%}" + ("" if share.uncertainty.stated_by else "*")


def _operators(explanation: Explanation) -> Table:
    """In the order of execution; neighbours that use everything alike have one line."""
    table = _table("Dynamic energy by operator", "operator", "total", "share", "most of it, each")
    for shares, several in groupby(explanation.by_op.items(), key=lambda item: item[1]):
        names = [name for name, _ in several]
        own = sum(share.total for share in shares)
        most = ", ".join(f"{share.component} {share.total / own:.0%} = {_count(share.count)} x "
                         f"{figure_text(share.value, share.unit)}" for share in _largest(shares)[:_MOST_SHARES])
        together = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}: {len(names)} x {energy_text(own)}"
        table.add_row(together, energy_text(own * len(names)),
                      _percent(own * len(names), float(explanation.report.dynamic_j)), most)
    return table


def _path(explanation: Explanation) -> Table:
    table = _table("Latency: the longest path", "operator", "unit", "starts", "takes", "share", "made by")
    latency = float(explanation.report.latency_s)
    for step in explanation.path:
        made_by = ", ".join(f"{share.figure} {share.total / step.latency_s:.0%}"
                            for share in _largest(step.by_figure)[:_MOST_SHARES]
                            if share.total >= 0.005 * step.latency_s)
        unit = explanation.report.mapping.placements[step.op].unit
        table.add_row(step.op, unit, time_text(step.start_s), time_text(step.latency_s),
                      _percent(step.latency_s, latency), made_by)
    table.add_section()
    table.add_row("latency", "", "", time_text(latency), "", "")
    return table


def _times(explanation: Explanation, sources: _Sources) -> Table:
    """Latency and interval by the figure that makes them."""
    table = _table("Time by figure", "figure", "value", "±", "of latency", "share", "of interval", "share", "source")
    intervals = {share.figure: share for share in explanation.interval}
    latencies = {share.figure: share for share in explanation.latency}
    latency, interval = float(explanation.report.latency_s), float(explanation.report.interval_s)
    for share in _largest({**intervals, **latencies}.values()):
        row = [share.figure, figure_text(share.value, share.unit), _spread(share)]
        for known, whole in ((latencies, latency), (intervals, interval)):
            one = known.get(share.figure)
            row += ["", ""] if one is None else [time_text(one.total), _percent(one.total, whole)]
        table.add_row(*row, sources.number(share))
    return table


def _resources(explanation: Explanation) -> Table:
    """The busiest resources."""
    report = explanation.report
    table = _table("What the interval waits for", "resource", "busy", "of interval")
    busiest = sorted(report.total.busy_s.items(), key=lambda item: -float(item[1]))
    for name, seconds in busiest[:8]:
        table.add_row(name, time_text(float(seconds)), _percent(float(seconds), float(report.interval_s)))
    return table


def _endurance(explanation: Explanation, sources: _Sources) -> Text:
    share, life = explanation.endurance, explanation.report.life
    text = (f"takes {time_text(float(explanation.report.programming.time_s))}; cells survive {share.value:,.0f} writes "
            f"±{_spread(share)} [{sources.number(share)}]")
    if life.first_worn is not None:
        text += (f": at {max(life.updates_per_day.values()):g} updates a day {life.first_worn} is worn out after "
                 f"{life.lifetime_s / DAY_S:,.0f} days, and writing takes "
                 f"{energy_text(float(life.per_inference_j))} per inference more")
    return Text(text + "\n")
