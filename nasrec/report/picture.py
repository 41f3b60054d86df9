"""The report in one picture: front, hypervolume, energy by operator, architecture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasrec.report import style
from nasrec.report.drawing import STYLE, draw_architecture
from nasrec.report.figures import judged_loss
from nasrec.report.front import feasible_trials, front_line, hypervolume_band, loss_window, objective
from nasrec.report.groups import by_operator
from nasrec.report.summary import Model, Summary

BARS = 12  # operators shown; the others are gathered into one bar


def save_picture(summary: Summary, path: Path) -> None:
    """Write the two-by-two picture of a run to `path` as PNG."""
    with mpl.rc_context(STYLE | {"font.size": 10, "axes.titlesize": 12, "axes.titlelocation": "left"}):
        figure = Figure(figsize=(14, 9.4), facecolor=style.PAPER)
        grid = figure.add_gridspec(2, 2, left=0.07, right=0.985, top=0.945, bottom=0.065, hspace=0.28, wspace=0.2)
        _draw_front(figure.add_subplot(grid[0, 0]), summary)
        _draw_hypervolume(figure.add_subplot(grid[0, 1]), summary)
        winner = next((model for model in summary.winners if model.name == "knee"), None)
        winner = winner or next(iter(summary.winners), None)
        _draw_energy(figure.add_subplot(grid[1, 0]), winner)
        _draw_model(figure.add_subplot(grid[1, 1]), winner)
        figure.savefig(path, format="png", dpi=120)


def _draw_front(axes: Axes, summary: Summary) -> None:
    label, factor = style.AXES["energy_j"]
    losses: list[float] = []
    strategies = sorted(summary.search.strategies.items(), key=lambda item: item[0] == "joint")
    for index, (name, strategy) in enumerate(strategies):
        trials = feasible_trials(strategy)
        x = [value * factor for value in objective(trials, "energy_j")]
        y = objective(trials, "log_loss")
        losses += y
        colour = style.strategy_colour(name, index)
        axes.scatter(x, y, s=9, color=colour, alpha=0.28, linewidths=0, zorder=2)
        line = front_line(x, y)
        axes.plot(
            [x[at] for at in line], [y[at] for at in line], drawstyle="steps-post", color=colour, lw=1.8, marker="o",
            ms=3.5, label=style.strategy_name(name), zorder=3,
        )  # fmt: skip
    marks = [judged_loss(model) for model in [*summary.winners, *summary.baselines]]
    for model in summary.winners:
        if model.hardware is not None:
            axes.scatter(
                [model.hardware.energy_j * factor], [judged_loss(model)], s=210, marker="*", zorder=5, clip_on=False,
                color=style.model_colour(model.name), edgecolors=style.PAPER, label=style.model_name(model.name),
            )  # fmt: skip
    for model in summary.baselines:
        if model.hardware is not None:
            place = (model.hardware.energy_j * factor, judged_loss(model))
            axes.scatter([place[0]], [place[1]], s=42, marker="D", color=style.BASELINE_COLOUR, zorder=4)
            axes.annotate(
                style.model_name(model.name), place, xytext=(7, 4), textcoords="offset points", fontsize=8.5,
                color=style.BASELINE_COLOUR,
            )  # fmt: skip
    if summary.data.optimum.test is not None:
        marks.append(summary.data.optimum.test)
        axes.axhline(summary.data.optimum.test, color=style.INK, lw=1, ls=":")
        axes.annotate(
            "planted optimum", (1, summary.data.optimum.test), xycoords=("axes fraction", "data"), xytext=(-4, 4),
            textcoords="offset points", ha="right", fontsize=8.5, color=style.MUTED,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(*loss_window(losses, marks))
    axes.set_xlabel(label)
    axes.set_ylabel("log loss")
    axes.set_title("Log loss against energy")
    _dress(axes)
    axes.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=8.5, ncols=2, loc="upper right")


def _draw_hypervolume(axes: Axes, summary: Summary) -> None:
    for index, (name, strategy) in enumerate(summary.search.strategies.items()):
        band = hypervolume_band(strategy)
        if band is None:
            continue
        x = range(1, len(band.mean) + 1)
        colour = style.strategy_colour(name, index)
        if band.seeds > 1:
            axes.fill_between(x, band.low, band.high, color=colour, alpha=0.15, lw=0)
        axes.plot(x, band.mean, color=colour, lw=2.2, label=style.strategy_name(name))
    axes.set_xlabel("evaluations")
    axes.set_ylabel("hypervolume")
    axes.set_title("Hypervolume over evaluations")
    _dress(axes)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, loc="lower right")


def _draw_energy(axes: Axes, winner: Model | None) -> None:
    groups = [] if winner is None or winner.hardware is None else by_operator(winner.hardware)
    largest = sorted(groups, key=lambda group: group.energy_j, reverse=True)[:BARS]
    shown = [group for group in groups if group in largest]
    names = [group.name for group in shown]
    values = [group.energy_j * 1e6 for group in shown]
    if len(groups) > len(shown):
        names.append("others")
        values.append(sum(group.energy_j for group in groups) * 1e6 - sum(values))
    axes.barh(range(len(names)), values, color=style.DENSE_COLOUR, height=0.68)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(style.AXES["energy_j"][0])
    axes.set_title("Energy by operator" + ("" if winner is None else f", winner: {style.model_name(winner.name)}"))
    _dress(axes)
    axes.grid(False, axis="y")


def _draw_model(axes: Axes, winner: Model | None) -> None:
    candidate = None if winner is None else winner.genotype()
    if winner is None or candidate is None:
        axes.axis("off")
        return
    draw_architecture(axes, candidate.arch)
    axes.set_title(f"Architecture, winner: {style.model_name(winner.name)}")


def _dress(axes: Axes) -> None:
    axes.grid(True, color=style.GRID, lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side in ("left", "bottom"))
        axes.spines[side].set_color(style.GRID)
    axes.tick_params(length=0, which="both", labelsize=9)
