"""One look for all figures: colours, names and units."""

from __future__ import annotations

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
PAPER = "#ffffff"

# A palette that colour-blind readers can tell apart (after Okabe and Ito).
STRATEGY_COLOURS = {"joint": "#0b6bcb", "random": "#9aa5b1", "model_first": "#d9822b"}
STRATEGY_NAMES = {"joint": "joint search", "random": "random search", "model_first": "model first, then chip"}
OTHER_COLOURS = ("#7a5195", "#2f9e6e", "#c0392b", "#5c6f7b")

WINNER_COLOURS = {"knee": "#c2255c", "log_loss": "#7a3e9d", "energy": "#18794e"}
WINNER_NAMES = {"knee": "knee", "log_loss": "lowest log loss", "energy": "lowest energy"}
BASELINE_COLOUR = "#3e4c59"
BASELINE_NAMES = {"logistic_regression": "logistic regression", "dlrm": "DLRM", "deepfm": "DeepFM"}

DENSE_COLOUR = "#0b6bcb"
SPARSE_COLOUR = "#18794e"
MERGER_COLOUR = "#c2255c"
DEAD_COLOUR = "#cbd2d9"

COMPONENT_COLOURS = (
    "#0b6bcb", "#d9822b", "#18794e", "#c2255c", "#7a3e9d", "#2aa1b3", "#b08900", "#5c6f7b", "#a0522d", "#8fb339",
)  # fmt: skip

AXES = {
    "log_loss": ("log loss", 1.0),
    "energy_j": ("energy per inference (µJ)", 1e6),
    "latency_s": ("latency (µs)", 1e6),
    "area_m2": ("chip area (mm²)", 1e6),
}
"""Objective -> label and the factor from SI to the unit in the label."""


def strategy_colour(name: str, index: int = 0) -> str:
    """The colour of a search strategy; one this page does not know gets one by its position."""
    return STRATEGY_COLOURS.get(name, OTHER_COLOURS[index % len(OTHER_COLOURS)])


def strategy_name(name: str) -> str:
    """The strategy's name in words."""
    return STRATEGY_NAMES.get(name, name.replace("_", " "))


def model_name(name: str) -> str:
    """The name of a winner or baseline in words."""
    return WINNER_NAMES.get(name) or BASELINE_NAMES.get(name) or name.replace("_", " ")


def model_colour(name: str) -> str:
    """The colour of a winner; every baseline has the same."""
    return WINNER_COLOURS.get(name, BASELINE_COLOUR)


def rgba(colour: str, alpha: float) -> str:
    """A colour `#rrggbb` with transparency, as CSS writes it."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def figure(value: float | None, digits: int = 3) -> str:
    """A number for a table: `digits` significant digits, thousands separated, a dash for nothing."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"
