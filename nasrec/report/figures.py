"""The interactive figures of the HTML report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from nasrec.arch import Candidate
from nasrec.report import style
from nasrec.report.describe import describe_chip, describe_model
from nasrec.report.front import feasible_trials, front_line, hypervolume_band, loss_window, objective
from nasrec.report.groups import by_operator
from nasrec.report.summary import Hardware, Model, Summary, Trial

COSTS = ("energy_j", "latency_s", "area_m2")
FONT = "Inter, 'Segoe UI', Helvetica, Arial, sans-serif"


def pareto(summary: Summary) -> Any:
    """Log loss against energy, latency and area: every feasible trial, each strategy's front, winners, baselines."""
    figure = make_subplots(cols=3, shared_yaxes=True, horizontal_spacing=0.03)
    strategies = list(summary.search.strategies.items())
    strategies.sort(key=lambda item: item[0] == "joint")  # ours on top
    losses: list[float] = []
    for index, (name, strategy) in enumerate(strategies):
        trials = feasible_trials(strategy)
        loss = objective(trials, "log_loss")
        losses += loss
        hover = [_trial_hover(trial, style.strategy_name(name)) for trial in trials]
        colour = style.strategy_colour(name, index)
        for column, cost in enumerate(COSTS, start=1):
            factor = style.AXES[cost][1]
            x = [value * factor for value in objective(trials, cost)]
            figure.add_scatter(
                x=x, y=loss, mode="markers", hovertext=hover, hoverinfo="text", row=1, col=column, showlegend=False,
                legendgroup=name, marker={"size": 5, "color": style.rgba(colour, 0.35)},
            )  # fmt: skip
            line = front_line(x, loss)
            figure.add_scatter(
                x=[x[at] for at in line], y=[loss[at] for at in line], mode="lines+markers", row=1, col=column,
                line={"shape": "hv", "width": 2, "color": colour}, marker={"size": 6, "color": colour},
                hovertext=[hover[at] for at in line], hoverinfo="text", name=style.strategy_name(name),
                legendgroup=name, showlegend=column == 1,
            )  # fmt: skip
    for model in [*summary.baselines, *summary.winners]:
        if model.hardware is not None:
            _add_model(figure, model, model.hardware)
    marks = [judged_loss(model) for model in [*summary.winners, *summary.baselines]]
    if summary.data.optimum.test is not None:
        figure.add_hline(
            y=summary.data.optimum.test, line={"color": style.INK, "width": 1, "dash": "dot"},
            annotation={"text": "planted optimum", "font": {"size": 11, "color": style.MUTED}},
            annotation_position="bottom right",
        )  # fmt: skip
        marks.append(summary.data.optimum.test)
    figure.update_yaxes(range=list(loss_window(losses, marks)))
    figure.update_yaxes(title_text="log loss", row=1, col=1)
    for column, cost in enumerate(COSTS, start=1):
        figure.update_xaxes(title_text=style.AXES[cost][0], type="log", row=1, col=column)
    return _dress(figure, 460)


def hypervolume(summary: Summary) -> Any:
    """Hypervolume over evaluations: mean over seeds, band from the least to the greatest."""
    figure = go.Figure()
    for index, (name, strategy) in enumerate(summary.search.strategies.items()):
        band = hypervolume_band(strategy)
        if band is None:
            continue
        colour = style.strategy_colour(name, index)
        x = list(range(1, len(band.mean) + 1))
        if band.seeds > 1:
            figure.add_scatter(
                x=x + x[::-1], y=[*band.high, *band.low[::-1]], fill="toself", fillcolor=style.rgba(colour, 0.15),
                line={"width": 0}, hoverinfo="skip", showlegend=False,
            )  # fmt: skip
        figure.add_scatter(
            x=x, y=list(band.mean), name=style.strategy_name(name), line={"color": colour, "width": 2.5},
            hovertemplate="after %{x} evaluations: %{y:.4g}<extra>" + escape(style.strategy_name(name)) + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="evaluations")
    figure.update_yaxes(title_text="hypervolume")
    return _dress(figure, 360)


def operators(hardware: Hardware) -> Any:
    """Energy and latency of one model by operator: two bar charts side by side."""
    groups = by_operator(hardware)[::-1]
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    names = [group.name for group in groups]
    for column, (unit, values, colour) in enumerate(
        (
            ("energy (µJ)", [group.energy_j * 1e6 for group in groups], style.DENSE_COLOUR),
            ("latency (µs)", [group.latency_s * 1e6 for group in groups], style.SPARSE_COLOUR),
        ),
        start=1,
    ):
        figure.add_bar(
            x=values, y=names, orientation="h", row=1, col=column, showlegend=False, marker_color=colour,
            hovertemplate="%{y}: %{x:.4g}<extra></extra>",
        )  # fmt: skip
        figure.update_xaxes(title_text=unit, row=1, col=column)
    return _dress(figure, 130 + 22 * len(groups))


def components(models: Sequence[Model]) -> Any:
    """Energy and area of every model by chip component: stacked bars."""
    shown = [(model, model.hardware) for model in models if model.hardware is not None][::-1]
    names = list(dict.fromkeys(part.name for _, hardware in shown for part in hardware.by_component))
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    for index, name in enumerate(names):
        colour = style.COMPONENT_COLOURS[index % len(style.COMPONENT_COLOURS)]
        for column, field in enumerate(("energy_j", "area_m2"), start=1):
            values = [
                sum(getattr(part, field) for part in hardware.by_component if part.name == name) * 1e6
                for _, hardware in shown
            ]
            figure.add_bar(
                x=values, y=[style.model_name(model.name) for model, _ in shown], orientation="h", row=1, col=column,
                name=name.replace("_", " "), legendgroup=name, showlegend=column == 1, marker_color=colour,
                hovertemplate="%{y}: %{x:.4g}<extra>" + escape(name) + "</extra>",
            )  # fmt: skip
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title_text="energy per inference (µJ)", row=1, col=1)
    figure.update_xaxes(title_text="chip area (mm²)", row=1, col=2)
    return _dress(figure, 190 + 34 * len(shown))


def wall_time(seconds: dict[str, float]) -> Any:
    """Wall time of each stage, in the order they ran."""
    items = list(seconds.items())[::-1]
    figure = go.Figure(
        go.Bar(
            x=[value for _, value in items],
            y=[name.replace("_", " ") for name, _ in items],
            orientation="h",
            marker_color=style.MUTED,
            hovertemplate="%{y}: %{x:.1f} s<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="seconds")
    return _dress(figure, 110 + 22 * len(items))


def judged_loss(model: Model) -> float:
    """Log loss on test as the chip computes it, else in float."""
    return model.test.log_loss if model.test.log_loss_crossbar is None else model.test.log_loss_crossbar


def _add_model(figure: Any, model: Model, hardware: Hardware) -> None:
    winner = model.candidate is not None
    name = style.model_name(model.name)
    text = "<br>".join([f"<b>{escape(name)}</b>, retrained, on test", *_figures(judged_loss(model), hardware)])
    marker = {
        "symbol": "star" if winner else "diamond", "size": 17 if winner else 11,
        "color": style.model_colour(model.name), "line": {"width": 1.2, "color": style.PAPER},
    }  # fmt: skip
    for column, cost in enumerate(COSTS, start=1):
        figure.add_scatter(
            x=[getattr(hardware, cost) * style.AXES[cost][1]], y=[judged_loss(model)], row=1, col=column,
            mode="markers" if winner or column > 1 else "markers+text", text=[name], textposition="top center",
            textfont={"size": 10, "color": style.MUTED}, marker=marker, hovertext=[text], hoverinfo="text", name=name,
            legendgroup=model.name, showlegend=winner and column == 1, cliponaxis=False,
        )  # fmt: skip


def _trial_hover(trial: Trial, strategy: str) -> str:
    candidate = Candidate.from_json(trial.candidate, f"trial {trial.number}")
    loss, energy, latency, area = trial.values
    lines = [
        f"<b>{escape(strategy)}, evaluation {trial.number}</b>",
        *_figures(loss, Hardware(energy_j=energy, latency_s=latency, area_m2=area)),
        describe_chip(candidate.chip),
        *describe_model(candidate),
    ]
    return "<br>".join(lines)


def _figures(loss: float, hardware: Hardware) -> list[str]:
    energy, latency, area = (style.figure(getattr(hardware, cost) * 1e6) for cost in COSTS)
    return [f"log loss {loss:.4f}", f"{energy} µJ, {latency} µs, {area} mm²"]


def _dress(figure: Any, height: int) -> Any:
    figure.update_layout(
        template="none", height=height, margin={"l": 64, "r": 20, "t": 24, "b": 52}, paper_bgcolor=style.PAPER,
        plot_bgcolor=style.PAPER, font={"family": FONT, "size": 12, "color": style.INK}, bargap=0.3,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, hoverlabel={"align": "left"},
    )  # fmt: skip
    figure.update_xaxes(gridcolor=style.GRID, linecolor=style.GRID, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=style.GRID, linecolor=style.GRID, zeroline=False, automargin=True)
    return figure
