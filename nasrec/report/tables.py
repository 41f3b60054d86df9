"""The tables of the HTML report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from nasrec.report import style
from nasrec.report.figures import judged_loss
from nasrec.report.summary import Model, Summary


def model_table(summary: Summary) -> str:
    """Winners and baselines side by side: scores on test, cost on the chip, distance to the optimum where known."""
    optimum = summary.data.optimum.test
    start = next((model.test.log_loss for model in summary.baselines if model.name == "logistic_regression"), None)
    header = ["model", "log loss", "AUC", "log loss, crossbar", "AUC, crossbar"]
    header += ["energy (µJ)", "latency (µs)", "area (mm²)", "crossbars"]
    header += [] if optimum is None else ["above optimum", "gap closed"]
    best = min((judged_loss(model) for model in [*summary.winners, *summary.baselines]), default=None)
    rows = []
    for group, models in (("winners", summary.winners), ("baselines", summary.baselines)):
        rows.append(f'<tr class="group"><td colspan="{len(header)}">{group}</td></tr>')
        for model in models:
            cells = _scores(model, best) + _costs(model)
            if optimum is not None:
                gap = None if start is None or start <= optimum else (start - model.test.log_loss) / (start - optimum)
                cells += [f"{model.test.log_loss - optimum:.4f}", "–" if gap is None else f"{gap:.0%}"]
            mark = f'<span class="dot" style="background:{style.model_colour(model.name)}"></span>'
            name = f"<td>{mark}{escape(style.model_name(model.name))}</td>"
            rows.append(f"<tr>{name}{''.join(cell if cell[0] == '<' else f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{title}</th>" for title in header)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def tiles(items: Sequence[tuple[str, str, str]]) -> str:
    """A row of key figures: (title, value, remark)."""
    parts = (
        f'<div class="tile"><div class="title">{escape(title)}</div><div class="value">{escape(value)}</div>'
        f'<div class="remark">{escape(remark)}</div></div>'
        for title, value, remark in items
    )
    return f'<div class="tiles">{"".join(parts)}</div>'


def key_figures(summary: Summary) -> list[tuple[str, str, str]]:
    """What a reader wants first: the best log loss, the cheapest winner, the search against random, the gap closed."""
    items = []
    if summary.winners:
        best = min(summary.winners, key=judged_loss)
        rows = f"{style.model_name(best.name)}, {best.test.rows:,} test rows"
        items.append(("best log loss on its chip", f"{judged_loss(best):.4f}", rows))
    priced = [(model.hardware.energy_j, model) for model in summary.winners if model.hardware is not None]
    if priced:
        energy, cheapest = min(priced, key=lambda pair: pair[0])
        remark = f"{style.model_name(cheapest.name)}, log loss {judged_loss(cheapest):.4f}"
        items.append(("least energy per inference", f"{style.figure(energy * 1e6)} µJ", remark))
    ends = {
        name: sum(run.hypervolume[-1] for run in strategy.seeds) / len(strategy.seeds)
        for name, strategy in summary.search.strategies.items()
        if strategy.seeds and all(run.hypervolume for run in strategy.seeds)
    }
    if ends.get("random") and "joint" in ends:
        items.append(("hypervolume against random", f"{ends['joint'] / ends['random']:.2f}×", "at equal evaluations"))
    if summary.gap_closed is not None:
        items.append(("gap to the optimum closed", f"{summary.gap_closed:.0%}", "from logistic regression, in float"))
    return items


def _scores(model: Model, best: float | None) -> list[str]:
    test = model.test
    crossbar = "–" if test.log_loss_crossbar is None else f"{test.log_loss_crossbar:.4f}"
    if judged_loss(model) == best:
        crossbar = f'<td class="best">{crossbar}</td>'
    return [f"{test.log_loss:.4f}", _auc(test.auc), crossbar, _auc(test.auc_crossbar)]


def _costs(model: Model) -> list[str]:
    if model.hardware is None:
        return ["–"] * 4
    hardware = model.hardware
    micro = [style.figure(value * 1e6) for value in (hardware.energy_j, hardware.latency_s, hardware.area_m2)]
    return [*micro, "–" if hardware.crossbars is None else f"{hardware.crossbars:,.0f}"]


def _auc(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
