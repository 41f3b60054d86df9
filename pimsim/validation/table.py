"""Validation for people: tables for the terminal and for the documentation."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pimsim.validation.point import Factor, Point, Validation

_HEADS = ("target", "quantity", "kind", "published", "modelled", "error")
_FACTOR_HEADS = ("target", "fitted factor on", "value", "how")


def _cells(point: Point) -> tuple[str, ...]:
    error = "0.0%" if abs(point.error) < 0.0005 else f"{point.error:+.1%}"
    return (point.target, point.quantity, point.kind, f"{point.published:.4g}", f"{point.modelled:.4g}", error)


def _factor_cells(factor: Factor) -> tuple[str, ...]:
    return factor.target, factor.what, f"{factor.value:.4g}", factor.loss


def counts_line(validation: Validation) -> str:
    """How many points are of each kind, and how many factors were fitted."""
    return (f"{len(validation.points)} points: {validation.count('arithmetic')} arithmetic, "
            f"{validation.count('calibrated')} calibrated with {len(validation.factors)} fitted factors or by "
            f"construction, {validation.count('predicted')} predicted.")


def validation_tables(validation: Validation) -> Group:
    """Points, fitted factors, and how many points are predicted."""
    points = Table(*_HEADS[1:], title="The model against published figures")
    for column in points.columns[2:]:
        column.justify = "right"
    last = ""
    for point in validation.points:
        if last != point.target:
            points.add_section()
            points.add_row(Text(point.target, style="bold"))
        last = point.target
        points.add_row(*_cells(point)[1:])
    factors = Table(*_FACTOR_HEADS, title="Fitted factors")
    for factor in validation.factors:
        factors.add_row(*_factor_cells(factor))
    return Group(points, factors, Text(counts_line(validation)))


def validation_markdown(validation: Validation) -> str:
    """The same as Markdown."""
    return "\n".join([
        *_markdown(_HEADS, [_cells(point) for point in validation.points], right_from=3), "",
        *_markdown(_FACTOR_HEADS, [_factor_cells(factor) for factor in validation.factors], right_from=4), "",
        counts_line(validation), ""])


def _markdown(heads: tuple[str, ...], rows: list[tuple[str, ...]], right_from: int) -> list[str]:
    rule = ["---:" if index >= right_from else "---" for index in range(len(heads))]
    return [f"| {' | '.join(row)} |" for row in (heads, rule, *rows)]
