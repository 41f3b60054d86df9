"""A roofline of one run: each kernel against the machine's peaks, and the share of its own limit that it reaches."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.record import Case, Run

MARKS = {
    "embedding_bag": ("o", "#1f77b4"), "embedding_bag_update": ("s", "#17becf"), "dot_interaction": ("^", "#d62728"),
    "fm_interaction": ("v", "#ff7f0e"), "low_rank_cross": ("D", "#9467bd"), "attention": ("P", "#8c564b"),
    "layer_norm": ("X", "#e377c2"), "transformer_layer": ("p", "#bcbd22"),
    "crossbar_mac": ("*", "#2ca02c"),
}  # fmt: skip
TOLD_APART = ("pass", "optimizer", "dtype", "devices")
ROOFS = {"fma_flops": "multiply-add peak", "look_up_macs": "table look-ups (1 bit x 2 bit, 2 operations a MAC)"}
SLOPES = {"stream_bytes": ("memory, in order", "-"), "gather_256_bytes": ("memory, random rows of 256 bytes", "-.")}


def draw(run: Run, path: Path) -> None:
    """Write the picture of the cases with one thread to `path`."""
    figure = Figure(figsize=(15, 7.5), layout="constrained")
    roofs, shares = figure.subplots(1, 2, width_ratios=(1.25, 1))
    cases = [case for case in run.cases if case.threads == 1]
    _roofline(roofs, cases, run.limits.get("1", {}))
    _shares(shares, cases)
    figure.suptitle(f"{run.isa}, one thread, {run.machine['model']}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def operations(case: Case) -> float:
    """Operations of a call: floating-point ones, or two for each MAC of a crossbar."""
    return case.flops or 2 * case.macs


def _roofline(axes: Axes, cases: list[Case], limits: dict[str, float]) -> None:
    drawn = [case for case in cases if operations(case) and case.bytes]
    intensity = [operations(case) / case.bytes for case in drawn] or [1.0]
    x = np.geomspace(min(intensity) / 2, max(intensity) * 2, 200)
    peak = limits.get("fma_flops", np.inf)
    for name, (label, style) in SLOPES.items():
        if name in limits:
            roof = np.minimum(x * limits[name], peak) / 1e9
            axes.plot(x, roof, style, color="0.35", lw=1.2, label=f"{label}: {limits[name] / 1e9:.1f} GB/s")
    for name, label in ROOFS.items():
        if name in limits:
            top = limits[name] * (2 if name == "look_up_macs" else 1) / 1e9
            axes.axhline(top, color="0.35", lw=1.2, ls="-" if name == "fma_flops" else "--")
            axes.text(x[-1], top * 1.04, f"{label}: {top:.0f} Gop/s", fontsize=8, color="0.35", ha="right")
    for kernel, of_kernel in _by_kernel(drawn).items():
        marker, colour = MARKS.get(kernel, ("x", "black"))
        at = [operations(case) / case.bytes for case in of_kernel]
        reached = [operations(case) / case.ours_ms / 1e6 for case in of_kernel]
        size = 9 if marker == "*" else 6
        axes.plot(at, reached, marker, color=colour, ms=size, alpha=0.75, label=kernel, mec="white", mew=0.5)
    axes.set(xscale="log", yscale="log", xlabel="operations per byte that has to move", ylabel="Gop/s",
             title="roofline (above a slope: rows come from the caches)")  # fmt: skip
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=9)
    axes.grid(which="major", color="0.92")


def _shares(axes: Axes, cases: list[Case]) -> None:
    """The best, the worst and the median share of the limit by kernel and by what binds it."""
    groups: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        if case.limit:
            name, share = case.limit
            what = " ".join(str(case.params[key]) for key in TOLD_APART if key in case.params)
            groups[f"{case.kernel} {what}\nbound by {name}"].append(share)
    for place, (label, shares) in enumerate(sorted(groups.items(), reverse=True)):
        colour = MARKS.get(label.split()[0], ("x", "black"))[1]
        axes.barh(place, np.median(shares), color=colour, alpha=0.55)
        axes.plot([min(shares), max(shares)], [place, place], color=colour, lw=2)
        axes.text(max(shares) + 0.02, place, f"{np.median(shares):.0%}", va="center", fontsize=8)
    axes.margins(x=0.1)
    axes.set_yticks(range(len(groups)), sorted(groups, reverse=True), fontsize=7)
    axes.axvline(1, color="0.35", lw=1.2)
    axes.set(xlabel="share of the limit measured beside it: median (bar), worst to best case (line)",
             title="distance to the physical limit")  # fmt: skip


def _by_kernel(cases: list[Case]) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        found[case.kernel].append(case)
    return found
