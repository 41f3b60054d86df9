"""A block of a space as an open grid: an axis is an array along a dimension of its own, so a formula is only computed
for the combinations of the axes that it depends on, and NumPy's broadcasting factors the space by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim.chip import Chip
from pimsim.cost import Gating
from pimsim.evaluate import add_up
from pimsim.mapping import excess, place
from pimsim.workload import Workload

Columns = dict[str, NDArray[Any]]
Axes = dict[str, tuple[Any, ...]]
_IN_MAPPING = ("utilization", "crossbars", "tiles", "banks")
_SETTINGS = ("copies", "budget_area_m2")


def blocks(axes: Axes, most: int) -> Iterator[Axes]:
    """The space cut into products of at most `most` designs, in its order: outer axes fixed, one in pieces."""
    names, values = list(axes), list(axes.values())
    inner, cut = 1, len(names)
    while cut and inner * len(values[cut - 1]) <= most:
        cut -= 1
        inner *= len(values[cut])
    if not cut:
        yield dict(axes)
        return
    pieces, step = values[cut - 1], max(1, most // inner)
    for outer in product(*values[:cut - 1]):
        for start in range(0, len(pieces), step):
            block = [*((value,) for value in outer), pieces[start:start + step], *values[cut:]]
            yield dict(zip(names, block, strict=True))


def evaluate_block(workload: Workload, chip: Chip, axes: Axes, figures: tuple[str, ...], *, chips: int = 1,
                   dram: bool = False, gating: Gating = "idle_gated") -> Columns:
    """The possible designs of a block with the `figures` asked for; `adc_bits` as resolved."""
    shape = tuple(len(values) for values in axes.values())
    given = {name: _along(values, i, len(shape)) for i, (name, values) in enumerate(axes.items())}
    built, possible = _built(chip, given)
    settings: dict[str, Any] = {"copies": given.get("copies", 1)}
    if "budget_area_m2" in given:
        settings = {"copies": "budget", "budget_area_m2": given["budget_area_m2"]}
    mapping = place(workload, built, chips=chips, dram=dram, **settings)
    keep = np.broadcast_to(np.equal(excess(mapping, built), 0) & possible, shape)
    totals = add_up(workload, built, mapping, gating=gating)
    if "adc_bits" in given:
        given["adc_bits"] = built.crossbar.adc_bits
    found = {name: getattr(mapping if name in _IN_MAPPING else totals, name) for name in figures}
    columns = {name: np.broadcast_to(value, shape) for name, value in {**given, **found}.items()}
    if keep.all():
        return {name: column.reshape(math.prod(shape)) for name, column in columns.items()}
    return {name: column[keep] for name, column in columns.items()}


def _along(values: tuple[Any, ...], dimension: int, dimensions: int) -> Any:
    """Values along one of several dimensions; a single value stays a plain number."""
    if len(values) == 1:
        return values[0]
    plain = np.array([0 if value is None else value for value in values])
    return plain.reshape([-1 if i == dimension else 1 for i in range(dimensions)])


def _built(chip: Chip, given: dict[str, Any]) -> tuple[Chip, Any]:
    """One chip whose options are arrays, and which combinations can exist; the others get a value that can."""
    options = {name: value for name, value in given.items() if name not in _SETTINGS}
    all_options = {**chip.options(), **options}
    possible: Any = np.less_equal(all_options["columns_per_adc"], all_options["columns"])
    options["columns_per_adc"] = np.minimum(all_options["columns_per_adc"], all_options["columns"])
    if all_options["active_rows"] is not None:
        possible = possible & np.less_equal(all_options["active_rows"], all_options["rows"])
        options["active_rows"] = np.minimum(all_options["active_rows"], all_options["rows"])
    bits = options.pop("adc_bits", chip.crossbar.readout.adc_bits)
    if not isinstance(bits, np.ndarray) or np.all(bits != 0):
        return chip.with_options(**options, adc_bits=bits), possible
    lossless = chip.with_options(**options, adc_bits=None).crossbar.adc_bits
    return chip.with_options(**options, adc_bits=np.where(bits == 0, lossless, bits)), possible
