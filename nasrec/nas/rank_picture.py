"""A rank study in one picture: one-shot log loss against log loss from scratch, a point per subnet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasrec.files import atomic_path
from nasrec.nas.rank_summary import TIMES
from nasrec.report import style
from nasrec.report.drawing import STYLE

TITLES = {"before": "before fine-tuning", "after": "after fine-tuning"}
SIZE = 3.9  # inches of a panel
SHOWN = 0.97  # quantile of either axis beyond which a point is drawn at the edge: one failure must not hide the rest


def save_rank_picture(summary: dict[str, Any], path: Path) -> None:
    """Write `summary` (the content of `rank.json`) to `path` as PNG: a column for each strategy, two rows."""
    strategies = list(summary["strategies"])
    with mpl.rc_context(STYLE | {"font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left"}):
        figure = Figure(figsize=(SIZE * max(len(strategies), 1), SIZE * 2), facecolor=style.PAPER, layout="constrained")
        panels = figure.subplots(2, max(len(strategies), 1), squeeze=False)
        for column, strategy in enumerate(strategies):
            for row, time in enumerate(TIMES):
                _draw(panels[row, column], summary, strategy, time, style.OTHER_COLOURS[column])
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=120)


def _draw(axes: Axes, summary: dict[str, Any], strategy: str, time: str, colour: str) -> None:
    rows = [row for row in summary["subnets"] if row["one_shot"].get(strategy, {}).get(time) is not None]
    points = np.asarray([(row["validation"], row["one_shot"][strategy][time]) for row in rows]).reshape(-1, 2)
    if len(points):
        edge = np.quantile(points, SHOWN, axis=0) + 0.05 * (np.quantile(points, SHOWN, axis=0) - points.min(axis=0))
        beyond = (points > edge).any(axis=1)
        shown = np.minimum(points, edge)
        axes.scatter(shown[~beyond, 0], shown[~beyond, 1], s=18, color=colour, alpha=0.75, linewidths=0, zorder=3)
        axes.scatter(
            shown[beyond, 0], shown[beyond, 1], s=22, marker="^", facecolors="none", edgecolors=colour, zorder=3
        )
    kendall = summary["strategies"][strategy][time]["validation"]["kendall"]
    axes.set_title(f"{strategy}, {TITLES[time]}\nKendall {interval(kendall)}, {len(points)} subnets")
    axes.set_xlabel("log loss from scratch (validation)")
    axes.set_ylabel("one-shot log loss")
    axes.grid(True, color=style.GRID, lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def interval(estimate: dict[str, float | None]) -> str:
    """A statistic with its interval, as `0.51 [0.40, 0.61]`; a dash where it is undefined."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "–"
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"
