"""Pictures of a Pareto set: a page that needs nothing else, or a PNG."""

from __future__ import annotations

from html import escape
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pimsim.files import atomic_path, write_text
from pimsim.sweep.read import FrontFile

UNITS = {"energy_j": ("energy", "µJ", 1e6), "dynamic_j": ("dynamic energy", "µJ", 1e6),
         "static_j": ("static energy", "µJ", 1e6), "latency_s": ("latency", "µs", 1e6),
         "interval_s": ("interval", "µs", 1e6), "area_m2": ("area", "mm²", 1e6),
         "budget_area_m2": ("area budget", "mm²", 1e6)}
"""Columns shown in another unit: name, unit, factor from SI."""
MOST_ROWS = 500  # of the table; the Parquet file has the others
_GREY, _BLUE, _PALE, _INK = "#c4ccd4", "#0b6bcb", "rgba(11, 107, 203, 0.35)", "#1f2933"
_CSS = f"""
* {{ box-sizing: border-box }}
body {{ margin: 0; background: #f5f7fa; color: {_INK}; font: 15px/1.5 system-ui, sans-serif }}
main {{ max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px }}
h1 {{ font-size: 26px; margin: 0 }}
p {{ margin: 4px 0 12px; color: #5c6f7b; max-width: 90ch }}
section {{ background: #fff; border: 1px solid #e4e7eb; border-radius: 10px; padding: 20px 24px; margin-top: 20px }}
.scroll {{ overflow: auto; max-height: 720px }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap }}
th, td {{ text-align: right; padding: 5px 10px; border-bottom: 1px solid #e4e7eb }}
th {{ font-size: 12.5px; color: #5c6f7b; position: sticky; top: 0; background: #fff }}
"""


def write_picture(found: FrontFile, out: Path) -> None:
    """Write a page (.html) or a PNG (.png), whole or not at all."""
    if out.suffix == ".png":
        with atomic_path(out) as temporary:
            _save_png(found, temporary)
    else:
        write_text(out, page(found))


def page(found: FrontFile) -> str:
    """The whole page: plotly's script inlined, no address fetched."""
    from plotly.io import to_html
    from plotly.offline import get_plotlyjs

    plot = to_html(_figure(found), include_plotlyjs=False, full_html=False, config={"displaylogo": False})
    names = ", ".join(label(name) for name in found.objectives)
    shown = min(found.front.height, MOST_ROWS)
    rest = "" if shown == found.front.height else f"; the first {shown:,} of them"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Pareto set of {escape(found.path.name)}</title><style>{_CSS}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>"
        f"<h1>{found.front.height + found.left_out:,} chips that none of {found.designs:,} beats</h1>"
        f"<p>{escape(found.path.name)}. Blue: no other design is as good as one of these in all of {escape(names)} "
        f"and better in one. Grey: {found.cloud.height:,} of all designs, evenly spaced in the file. Point at a chip "
        f"to see it.{_how_sure(found)}</p>"
        f"<section>{plot}</section>"
        f"<section><p>The designs of the front by {escape(label(found.objectives[0]))}{rest}.</p>"
        f'<div class="scroll">{_table(found)}</div></section></main></body></html>\n')


def label(name: str) -> str:
    """A column's name in words, with its unit."""
    words, unit, _ = UNITS.get(name, (name.replace("_", " "), "", 1.0))
    return f"{words} ({unit})" if unit else words


def _how_sure(found: FrontFile) -> str:
    """What the uncertainty of figures leaves of the front."""
    if found.compared is None:
        return ""
    compared, groups = found.compared, len(np.unique(found.compared.groups()))
    sure = int(np.sum(compared.on_front() >= 0.5))
    thinned = f" (evenly spaced, {found.left_out:,} are left out)" if found.left_out else ""
    return (f" Bars go from 5 to 95 % of {compared.draws.shape[2]:,} draws of the chips' figures, the same for all. Of "
            f"the {found.front.height:,} designs compared{thinned}, {groups:,} are really apart from each other, and "
            f"{sure:,} are beaten by none of the others in most of the draws.")


def _bars(found: FrontFile, name: str) -> Any:
    """Lengths of the bars of an objective [2, designs], down and up, in its unit."""
    if found.compared is None:
        return None
    ends = found.compared.intervals()[:, found.objectives.index(name)]
    middle = found.front[name].to_numpy()
    return np.maximum(_scaled(np.stack([middle - ends[:, 0], ends[:, 1] - middle]), name), 0.0)


def _error(bars: Any) -> dict[str, Any] | None:
    if bars is None:
        return None
    return {"type": "data", "symmetric": False, "array": bars[1], "arrayminus": bars[0], "thickness": 0.7, "width": 0,
            "color": _PALE}


def _scaled(values: Any, name: str) -> Any:
    return np.asarray(values, np.float64) * UNITS.get(name, ("", "", 1.0))[2]


def _pairs(found: FrontFile) -> list[tuple[str, str]]:
    return list(combinations(found.objectives, 2)) or [(found.objectives[0], found.objectives[0])]


def _figure(found: FrontFile) -> Any:
    """A plot for each pair of objectives, on logarithmic axes."""
    from plotly.subplots import make_subplots

    pairs = _pairs(found)
    columns = min(len(pairs), 3)
    rows = -(-len(pairs) // columns)
    figure = make_subplots(rows, columns, horizontal_spacing=0.08)
    about = ["<br>".join(f"{escape(label(name))}: {_said(value, name)}" for name, value in row.items())
             for row in found.front.iter_rows(named=True)]
    for index, (x, y) in enumerate(pairs):
        at = {"row": index // columns + 1, "col": index % columns + 1}
        figure.add_scattergl(
            x=_scaled(found.cloud[x], x), y=_scaled(found.cloud[y], y), mode="markers", name="all designs",
            marker={"color": _GREY, "size": 3}, hoverinfo="skip", showlegend=index == 0, **at)
        figure.add_scattergl(
            x=_scaled(found.front[x], x), y=_scaled(found.front[y], y), mode="markers", name="front", text=about,
            marker={"color": _BLUE, "size": 6}, error_x=_error(_bars(found, x)), error_y=_error(_bars(found, y)),
            hovertemplate="%{text}<extra></extra>", showlegend=index == 0, **at)
        figure.update_xaxes(type="log", title=label(x), **at)
        figure.update_yaxes(type="log", title=label(y), **at)
    figure.update_layout(template="plotly_white", height=440 * rows, margin={"l": 60, "r": 20, "t": 30, "b": 50},
                         legend={"orientation": "h", "y": 1.08})
    return figure


def _said(value: Any, name: str) -> str:
    """A value as people read it."""
    if isinstance(value, float):
        return f"{_scaled(value, name):.4g}"
    return escape(str(value))


def _table(found: FrontFile) -> str:
    names = [*found.objectives, *found.options,
             *(name for name in found.front.columns if name not in (*found.objectives, *found.options))]
    head = "".join(f"<th>{escape(name)}</th>" for name in (*_sure_names(found), *map(label, names)))
    sure = _sure_cells(found)
    rows = ("".join(f"<td>{cell}</td>" for cell in (*sure[i], *(_said(row[name], name) for name in names)))
            for i, row in enumerate(found.front.head(MOST_ROWS).iter_rows(named=True)))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"


def _sure_names(found: FrontFile) -> list[str]:
    if found.compared is None:
        return []
    return ["design", "not apart from", "beaten by none", *(f"{label(name)}, 5 to 95 %" for name in found.objectives)]


def _sure_cells(found: FrontFile) -> list[list[str]]:
    """For each design its number, the one that stands for it, how probably it is on the front, and its intervals."""
    if found.compared is None:
        return [[]] * found.front.height
    ends, front, groups = found.compared.intervals(), found.compared.on_front(), found.compared.groups()
    return [[str(i + 1), "" if groups[i] == i else str(groups[i] + 1), f"{front[i]:.0%}",
             *(" to ".join(_said(float(end), name) for end in ends[i, k]) for k, name in enumerate(found.objectives))]
            for i in range(found.front.height)]


def _save_png(found: FrontFile, path: Path) -> None:
    from matplotlib.figure import Figure

    pairs = _pairs(found)
    figure = Figure(figsize=(4.6 * len(pairs), 4.2), layout="constrained")
    for axes, (x, y) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
        axes.scatter(_scaled(found.cloud[x], x), _scaled(found.cloud[y], y), s=3, color=_GREY, label="all designs")
        if found.compared is not None:
            axes.errorbar(_scaled(found.front[x], x), _scaled(found.front[y], y), xerr=_bars(found, x),
                          yerr=_bars(found, y), fmt="none", elinewidth=0.5, color=_BLUE, alpha=0.35)
        axes.scatter(_scaled(found.front[x], x), _scaled(found.front[y], y), s=10, color=_BLUE, label="front")
        axes.set(xscale="log", yscale="log", xlabel=label(x), ylabel=label(y))
        axes.grid(alpha=0.3)
    figure.axes[0].legend(frameon=False)
    figure.suptitle(f"{found.front.height + found.left_out:,} chips that none of {found.designs:,} beats")
    figure.savefig(path, format="png", dpi=150)
