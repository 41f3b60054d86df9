"""A picture of an architecture: dense branch above, sparse branch below, what reads what; dead parts grey."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

from nasrec.arch import FLOAT, Arch, Precision
from nasrec.files import atomic_path, write_text
from nasrec.liveness import READ_ROWS, LiveBlock, dense_sources, live_blocks, sparse_sources
from nasrec.report.style import DEAD_COLOUR, DENSE_COLOUR, INK, MERGER_COLOUR, MUTED, PAPER, SPARSE_COLOUR

WIDTH, HEIGHT = 0.80, 0.80  # of a box
STEP, LANE = 1.15, 1.05  # columns are STEP apart, the branches at +LANE and -LANE
RISE = 0.34  # how far an arc's control points rise for every column it spans

STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "nasrec",
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


def draw_architecture(axes: Axes, arch: Arch) -> None:
    """Draw `arch` into `axes`: input, blocks and head from left to right.

    Arcs above join dense outputs to the dense operators that read them, arcs below the sparse ones; dashed lines are
    rows read by a dot product; vertical arrows are the mergers DSI (down) and FM (up).
    """
    live = live_blocks(arch)
    above = [column - source for column, block in enumerate(arch.blocks, 1) for source in dense_sources(block)]
    below = [column - source for column, block in enumerate(arch.blocks, 1) for source in block.sparse_inputs]
    axes.set_xlim(-0.5, (len(arch.blocks) + 1) * STEP + 0.5)
    axes.set_ylim(-_reach(below), _reach(above))
    axes.axis("off")
    scale = _text_scale(axes)
    _edges(axes, arch, live, scale)
    _box(axes, 0, LANE, "dense\ninput", DENSE_COLOUR, scale)
    _box(axes, 0, -LANE, "sparse\ninput", SPARSE_COLOUR, scale)
    for column, (block, state) in enumerate(zip(arch.blocks, live, strict=True), start=1):
        dense = f"{'+'.join(block.dense_ops)}\n{block.dense_width}" + _bits(block.dense_precision)
        sparse = f"{'+'.join(block.sparse_ops)}\n{block.sparse_width} rows" + _bits(block.sparse_precision)
        _box(axes, column, LANE, dense, DENSE_COLOUR if state.dense else DEAD_COLOUR, scale)
        _box(axes, column, -LANE, sparse, SPARSE_COLOUR if state.sparse else DEAD_COLOUR, scale)
        axes.text(
            column * STEP, 0, str(column), ha="center", va="center", fontsize=10 * scale, color=MUTED,
            bbox={"boxstyle": "circle,pad=0.25", "fc": PAPER, "ec": "none"}, zorder=4,
        )  # fmt: skip
    _box(axes, len(arch.blocks) + 1, 0, "head" + _bits(arch.head), INK, scale)


def architecture_svg(arch: Arch) -> str:
    """Return the drawing of `arch` as an `<svg>` element for an HTML page."""
    with mpl.rc_context(STYLE):
        out = io.StringIO()
        _figure(arch).savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def save_architecture(arch: Arch, path: Path) -> None:
    """Write the drawing of `arch` to `path`, as its name ends (.svg, else PNG at 200 dots an inch), whole or not."""
    if path.suffix.lower() == ".svg":
        write_text(path, architecture_svg(arch))
        return
    with mpl.rc_context(STYLE), atomic_path(path) as temporary:
        _figure(arch).savefig(temporary, format="png", dpi=200, facecolor=PAPER)


def _figure(arch: Arch) -> Figure:
    figure = Figure(figsize=(1.2 * (len(arch.blocks) + 2), 3.9))
    draw_architecture(figure.add_axes((0, 0, 1, 1)), arch)
    return figure


def _reach(spans: list[int]) -> float:
    """How far the highest arc of a branch is from the middle, with some room."""
    return LANE + HEIGHT / 2 + 0.75 * RISE * max(*spans, 1) + 0.12


def _text_scale(axes: Axes) -> float:
    """The size of text, relative to the design's 7.5 points, at which three lines fit a box of these axes."""
    box = axes.get_position()
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_figwidth() * box.width, figure.get_figheight() * box.height
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    lines = 72 * height * HEIGHT / (top - bottom) / 4.3
    letters = 72 * width * WIDTH / (right - left) / (9 * 0.66)
    return min(lines, letters, 10.0) / 7.5


def _edges(axes: Axes, arch: Arch, live: tuple[LiveBlock, ...], scale: float) -> None:
    for column, (block, state) in enumerate(zip(arch.blocks, live, strict=True), start=1):
        whole = LiveBlock(True, True, True, True, block.dsi, block.fm)
        for source in sorted(dense_sources(block)):
            _join(axes, source, column, LANE, DENSE_COLOUR if state.dense else None)
        for source in sorted(set(block.sparse_inputs)):
            if state.sparse or source in sparse_sources(block, whole):
                _join(axes, source, column, -LANE, SPARSE_COLOUR if state.sparse else None)
            if READ_ROWS & set(block.dense_ops):
                start, end = (source * STEP + 0.22, -LANE + HEIGHT / 2), (column * STEP - 0.05, LANE - HEIGHT / 2)
                _arrow(axes, start, end, SPARSE_COLOUR if state.dense else None, dashed=True)
        x = column * STEP
        for present, running, offset, down, name in (
            (block.dsi, state.dsi, 0.24, True, "DSI"),
            (block.fm, state.fm, -0.24, False, "FM"),
        ):
            if not present:
                continue
            ends = (x + offset, LANE - HEIGHT / 2), (x + offset, -LANE + HEIGHT / 2)
            _arrow(axes, *(ends if down else ends[::-1]), MERGER_COLOUR if running else None)
            axes.text(
                x + offset, 0.36 if down else -0.36, name, fontsize=6.5 * scale, ha="center", va="center",
                color=MERGER_COLOUR if running else DEAD_COLOUR, zorder=5,
                bbox={"boxstyle": "round,pad=0.12", "fc": PAPER, "ec": "none"},
            )  # fmt: skip
    last, head = len(arch.blocks) * STEP + WIDTH / 2, (len(arch.blocks) + 1) * STEP
    _arrow(axes, (last, LANE), (head, HEIGHT / 2), DENSE_COLOUR)
    _arrow(axes, (last, -LANE), (head, -HEIGHT / 2), SPARSE_COLOUR)


def _join(axes: Axes, source: int, target: int, lane: float, colour: str | None) -> None:
    """Connect two columns of a branch: straight to the next one, else in an arc that clears those between."""
    start, end = source * STEP, target * STEP
    if target - source == 1:
        _arrow(axes, (start + WIDTH / 2, lane), (end - WIDTH / 2, lane), colour)
        return
    side = 1.0 if lane > 0 else -1.0
    edge = lane + side * HEIGHT / 2
    peak = edge + side * RISE * (target - source)
    points = [(start + 0.15, edge), (start + 0.25, peak), (end - 0.25, peak), (end - 0.08, edge)]
    curve = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
    line, shade, order = _look(colour)
    axes.add_patch(PathPatch(curve, fill=False, lw=line, ec=shade, zorder=order, alpha=0.85))
    tip = (end - 0.085, edge + side * 0.06)
    _arrow(axes, tip, (end - 0.08, edge), colour)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str | None, *, dashed: bool = False
) -> None:
    line, shade, order = _look(colour)
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=8, lw=line, color=shade, zorder=order, shrinkA=0, shrinkB=0,
            ls=(0, (4, 2)) if dashed else "-", alpha=0.6 if dashed else 0.85,
        )
    )  # fmt: skip


def _look(colour: str | None) -> tuple[float, str, int]:
    """Line width, colour and order of a connection; None is a dead one."""
    return (0.7, DEAD_COLOUR, 1) if colour is None else (1.3, colour, 2)


def _box(axes: Axes, column: int, y: float, text: str, colour: str, scale: float) -> None:
    x = column * STEP
    dead = colour == DEAD_COLOUR
    axes.add_patch(
        FancyBboxPatch(
            (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.09", lw=1.2,
            fc=PAPER if dead else colour, ec=colour, zorder=3, ls="--" if dead else "-",
        )
    )  # fmt: skip
    shade = MUTED if dead else PAPER
    axes.text(x, y, text, ha="center", va="center", fontsize=7.5 * scale, color=shade, zorder=4, linespacing=1.25)


def _bits(precision: Precision) -> str:
    return "" if precision == FLOAT else f"\nw{precision.weight_bits} i{precision.input_bits}"
