"""A block of a space as an open grid: an axis is an array along a dimension of its own, so a formula is only computed
for the combinations of the axes that it depends on, and NumPy's broadcasting factors the space by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim.chip import Chip
from pimsim.copies import levelled_place
from pimsim.evaluate import Totals, add_up, leaking, work_of
from pimsim.mapping import Mapping as ChipMapping
from pimsim.mapping import crossbar_budget, place, stages, with_rounds
from pimsim.mapping import possible as placeable
from pimsim.workload import Workload

RESULTS = ("energy_j", "dynamic_j", "static_j", "latency_s", "interval_s", "area_m2", "utilization")
COUNTS = ("crossbars", "tiles", "banks")
FIGURES = (*RESULTS, *COUNTS)
"""What is known of every design: real figures, and whole numbers."""
Columns = dict[str, NDArray[Any]]
Axes = dict[str, tuple[Any, ...]]
Settings = Mapping[str, Any]
_IN_MAPPING = ("utilization", "crossbars", "tiles", "banks")
_PLACING = ("copies", "budget_area_m2")
_RUNNING = ("gating", "execution")


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


@dataclass(frozen=True)
class Block:
    """Designs of an open grid of `shape` and their figures, in arrays that broadcast to it.

    `kept`: the places of the designs that can exist, in order; None: all. `axes` holds `adc_bits` as resolved.
    """

    shape: tuple[int, ...]
    axes: dict[str, Any]
    figures: dict[str, Any]
    kept: NDArray[np.intp] | None

    def __len__(self) -> int:
        """Designs that can exist."""
        return math.prod(self.shape) if self.kept is None else len(self.kept)

    def column(self, name: str) -> NDArray[Any]:
        """One figure or axis, a value per design that can exist."""
        values = self._all(name).reshape(-1)
        return values if self.kept is None else values.take(self.kept)

    def columns(self) -> Columns:
        """Axes and figures, a value per design that can exist."""
        return {name: self.column(name) for name in (*self.axes, *self.figures)}

    def designs(self, chosen: NDArray[np.intp]) -> Columns:
        """Axes and figures of some of the designs that can exist."""
        flat = chosen if self.kept is None else self.kept.take(chosen)
        where = np.unravel_index(flat, self.shape) if self.shape else np.zeros(len(flat), np.intp)
        return {name: np.atleast_1d(self._all(name))[where] for name in (*self.axes, *self.figures)}

    def _all(self, name: str) -> NDArray[Any]:
        return np.broadcast_to(self.figures[name] if name in self.figures else self.axes[name], self.shape)


def evaluate_block(workload: Workload, chip: Chip, axes: Axes, figures: tuple[str, ...], settings: Settings) -> Block:
    """The designs of a block with the `figures` asked for; `settings` are those of `evaluate`."""
    shape = tuple(len(values) for values in axes.values())
    given, built, possible = build_block(chip, axes)
    placing = {name: value for name, value in settings.items() if name not in _RUNNING}
    running = {name: value for name, value in settings.items() if name in _RUNNING}
    if "copies" in given:
        placing |= {"copies": given["copies"], "budget_crossbars": None, "budget_area_m2": None}
    if "budget_area_m2" in given:
        placing |= {"copies": "budget", "budget_crossbars": None, "budget_area_m2": given["budget_area_m2"]}
    if isinstance(placing.get("copies"), str) and chip.interconnect == "flat":
        mapping, totals = _budgeted(workload, built, len(shape), placing, running)
    else:
        mapping = place(workload, built, **placing)
        totals = add_up(workload, built, mapping, **running)
    keep = np.broadcast_to(placeable(mapping, built) & possible, shape)
    if "adc_bits" in given:
        given["adc_bits"] = built.crossbar.adc_bits
    found = {name: getattr(mapping if name in _IN_MAPPING else totals, name) for name in figures}
    return Block(shape, given, found, None if keep.all() else np.flatnonzero(keep))


def _budgeted(workload: Workload, chip: Chip, dimensions: int, placing: dict[str, Any],
              running: dict[str, Any]) -> tuple[ChipMapping, Totals]:
    """As `place` and `add_up` with copies within a budget, on a grid of so many dimensions.

    What running takes depends on the budget only through the number of rounds, of which there are few: it is found for
    each of them, along one more dimension, and then picked.
    """
    crossbars, area_m2 = placing.get("budget_crossbars"), placing.get("budget_area_m2")
    one = place(workload, chip, **{**placing, "copies": 1, "budget_crossbars": None, "budget_area_m2": None})
    budget = crossbar_budget(one, chip, crossbars, area_m2)
    candidates, places = levelled_place(stages(one, workload), budget)
    used = np.flatnonzero(np.bincount(np.reshape(places, -1), minlength=len(candidates)))
    renumbered = np.zeros(len(candidates), np.intp)
    renumbered[used] = np.arange(len(used))
    rounds = np.asarray(candidates)[used].reshape(-1, *[1] * dimensions)
    levelled = with_rounds(one, workload, chip, rounds, budget)
    pick = _Pick(renumbered.take(places), dimensions)
    mapping = replace(levelled, in_matrices=0, **{
        name: pick(getattr(levelled, name)) for name in ("in_tiles", "tiles", "cells", "cells_there")})
    work = work_of(workload, chip, levelled, 0.0)
    work = replace(work, latency_s=pick(work.latency_s), interval_s=pick(work.interval_s))
    footprint = chip.footprint(mapping.tiles, mapping.banks, mapping.chips, dram=mapping.uses_dram)
    return mapping, leaking(work, footprint, **running)


class _Pick:
    """Picks along the dimension before the others: `index` says for each design which entry is its own."""

    def __init__(self, index: Any, dimensions: int) -> None:
        self.index, self.dimensions = index, dimensions
        self.places: dict[tuple[int, ...], NDArray[np.intp]] = {}

    def __call__(self, values: Any) -> Any:
        """What `values` hold for each design; values that do not have that dimension are left as they are."""
        if np.ndim(values) <= self.dimensions:
            return values
        last = np.ascontiguousarray(np.moveaxis(values, 0, -1))
        if last.shape not in self.places:
            rows = np.arange(math.prod(last.shape[:-1]), dtype=np.intp).reshape(last.shape[:-1]) * last.shape[-1]
            self.places[last.shape] = rows + self.index
        return last.reshape(-1).take(self.places[last.shape], mode="clip")


def build_block(chip: Chip, axes: Axes) -> tuple[dict[str, Any], Chip, Any]:
    """The axes along dimensions of their own, one chip whose options they are, and which combinations can exist."""
    given = {name: _along(values, i, len(axes)) for i, (name, values) in enumerate(axes.items())}
    built, possible = _built(chip, given)
    return given, built, possible


def _along(values: tuple[Any, ...], dimension: int, dimensions: int) -> Any:
    """Values along one of several dimensions; a single value stays a plain number."""
    if len(values) == 1:
        return values[0]
    plain = np.array([0 if value is None else value for value in values])
    return plain.reshape([-1 if i == dimension else 1 for i in range(dimensions)])


def _built(chip: Chip, given: dict[str, Any]) -> tuple[Chip, Any]:
    """One chip whose options are arrays, and which combinations can exist; the others get a value that can."""
    options = {name: value for name, value in given.items() if name not in _PLACING}
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
