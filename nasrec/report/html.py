"""The HTML report: one file that needs nothing else, not even a network."""

from __future__ import annotations

from html import escape
from typing import Any

from plotly.io import to_html
from plotly.offline import get_plotlyjs

from nasrec.report import figures, style
from nasrec.report.describe import describe_chip, describe_model
from nasrec.report.drawing import architecture_svg
from nasrec.report.summary import OBJECTIVES, Model, Summary
from nasrec.report.tables import key_figures, model_table, tiles

CSS = f"""
* {{ box-sizing: border-box }}
body {{ margin: 0; background: #f5f7fa; color: {style.INK}; font: 15px/1.5 {figures.FONT} }}
main {{ max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px }}
h1 {{ font-size: 26px; margin: 0 }}
h2 {{ font-size: 18px; margin: 0 0 4px }}
h3 {{ font-size: 14px; margin: 18px 0 0 }}
p {{ margin: 4px 0 12px; color: {style.MUTED}; max-width: 90ch }}
section {{ background: {style.PAPER}; border: 1px solid {style.GRID}; border-radius: 10px; padding: 20px 24px; margin-top: 20px }}
.tiles {{ display: flex; flex-wrap: wrap; gap: 16px; margin-top: 20px }}
.tile {{ flex: 1 1 200px; background: {style.PAPER}; border: 1px solid {style.GRID}; border-radius: 10px; padding: 14px 18px }}
.tile .title, .tile .remark {{ color: {style.MUTED}; font-size: 13px }}
.tile .value {{ font-size: 26px; font-weight: 650 }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; white-space: nowrap }}
th, td {{ text-align: right; padding: 6px 10px; border-bottom: 1px solid {style.GRID} }}
th:first-child, td:first-child {{ text-align: left }}
th {{ font-size: 12.5px; font-weight: 600; color: {style.MUTED} }}
tr.group td {{ font-size: 12px; letter-spacing: .05em; text-transform: uppercase; color: {style.MUTED}; padding-top: 14px }}
td.best {{ font-weight: 700 }}
.dot {{ display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 8px }}
.drawing svg {{ width: 100%; height: auto; max-height: 400px }}
"""  # noqa: E501 (one rule a line)


def report_html(summary: Summary) -> str:
    """Return the whole page: plotly's script inlined, no address fetched."""
    rows = ", ".join(f"{count:,} {split}" for split, count in summary.data.rows.items())
    sections = [
        _section(
            "Winners and baselines",
            f"Trained from scratch, scored on {_test_rows(summary)} test rows: in float, and with the arithmetic of "
            "the chip's crossbars. Cost is per inference on the same chip model.",
            model_table(summary),
        ),
        _section(
            "Log loss against cost",
            "Dots are evaluated candidates: validation log loss with inherited weights, on their own chip. Lines join "
            "what no other candidate of that strategy beats in both directions. Stars and diamonds are winners and "
            "baselines after training from scratch, on test. Point at a mark to see the candidate.",
            _plot(figures.pareto(summary)),
        ),
        _section("Hypervolume over evaluations", _hypervolume_note(summary), _plot(figures.hypervolume(summary))),
        *(_winner(model) for model in summary.winners),
        _section(
            "Energy and area by component",
            "Where the chip spends it, for winners and baselines.",
            _plot(figures.components([*summary.winners, *summary.baselines])),
        ),
    ]
    if summary.wall_s:
        total = sum(summary.wall_s.values())
        sections.append(
            _section("Wall time", f"{total / 60:.1f} minutes in all.", _plot(figures.wall_time(summary.wall_s)))
        )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Co-design report</title><style>{CSS}</style><script>{get_plotlyjs()}</script></head><body><main>"
        f"<h1>Model and chip, found together</h1><p>Data: {escape(summary.data.source)} ({rows} rows)</p>"
        f"{tiles(key_figures(summary))}{''.join(sections)}</main></body></html>\n"
    )


def _section(title: str, note: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(note)}</p>{body}</section>"


def _winner(model: Model) -> str:
    candidate = model.genotype()
    body = ""
    if candidate is not None:
        body += f'<div class="drawing">{architecture_svg(candidate.arch)}</div>'
        body += f"<p>{'<br>'.join(escape(line) for line in describe_model(candidate))}</p>"
    if model.hardware is not None and model.hardware.by_op:
        body += "<h3>By operator</h3><p>Numbers name the block. Operators that run side by side overlap, so latencies "
        body += f"may add up to more than the whole.</p>{_plot(figures.operators(model.hardware))}"
    chip = "" if candidate is None else describe_chip(candidate.chip)
    return _section(f"Winner: {style.model_name(model.name)}", chip, body)


def _hypervolume_note(summary: Summary) -> str:
    seeds = max((len(strategy.seeds) for strategy in summary.search.strategies.values()), default=0)
    band = f"Mean over {seeds} seeds, the band from least to greatest. " if seeds > 1 else "One seed. "
    corner = ", ".join(
        f"{style.AXES[name][0]} {style.figure(value * style.AXES[name][1], 4)}"
        for name, value in zip(OBJECTIVES, summary.search.reference_point, strict=True)
    )
    return f"{band}All four objectives, measured from the reference point: {corner}."


def _test_rows(summary: Summary) -> str:
    rows = sorted({model.test.rows for model in [*summary.winners, *summary.baselines]})
    return " to ".join(f"{count:,}" for count in dict.fromkeys([rows[0], rows[-1]])) if rows else "no"


def _plot(figure: Any) -> str:
    config = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["lasso2d", "select2d"]}
    return str(to_html(figure, include_plotlyjs=False, full_html=False, config=config))
