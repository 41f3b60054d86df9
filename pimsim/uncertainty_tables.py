"""A report with its intervals, for people."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pimsim.life import DAY_S
from pimsim.report import area_text, energy_text, report_tables, time_text
from pimsim.uncertainty import UncertainReport

_WRITTEN: dict[str, tuple[str, Callable[[float], str]]] = {
    "energy_j": ("energy", energy_text), "dynamic_j": ("  dynamic", energy_text), "static_j": ("  static", energy_text),
    "latency_s": ("latency", time_text), "interval_s": ("interval", time_text),
    "throughput_hz": ("throughput", lambda hertz: f"{hertz:,.0f}/s"), "area_m2": ("area", area_text),
    "lifetime_s": ("lifetime", lambda seconds: f"{seconds / DAY_S:,.0f} days")}
_MOST = 3  # draws named for a result


def uncertainty_tables(sure: UncertainReport) -> Group:
    """The report, then the intervals of its totals and what they come from."""
    table = Table("result", "as stated", "5 %", "median", "95 %", "mostly from", box=box.SIMPLE_HEAD, pad_edge=False,
                  collapse_padding=True, title_justify="left", title_style="bold",
                  title=f"How sure this is: {sure.samples:,} draws of all figures, seed {sure.seed}")
    for column in table.columns[1:5]:
        column.justify, column.no_wrap = "right", True
    for name, (title, text) in _WRITTEN.items():
        if name in sure.draws:
            ends = sure.interval(name)
            drivers = [f"{key} {share:.0%}" for key, share in sure.drivers(name).items()][:_MOST]
            table.add_row(title, *map(text, (ends.nominal, ends.low, ends.median, ends.high)), ", ".join(drivers))
    notes = ("Times: the slower of two figures decides, so the median lies above what is stated where they are equal. "
             "`pimsim explain` shows the uncertainty of each figure, and which are assumed.")
    if sure.keeps_up < 1.0:
        notes += f" Only in {sure.keeps_up:.0%} of the draws does the chip keep up with the arrivals."
    return Group(report_tables(sure.report), table, Text(notes, overflow="fold"))
