"""Every chip of a product space over one workload, with the formulas of `evaluate` on arrays of designs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pimsim.chip import RANGES, Chip
from pimsim.cost import Gating
from pimsim.errors import InputError
from pimsim.evaluate import account
from pimsim.files import atomic_path
from pimsim.mapping import excess, place
from pimsim.sweep.grid import Columns, blocks, evaluate_block
from pimsim.workload import Workload

AXES = (*RANGES, "copies", "budget_area_m2")
RESULTS = ("energy_j", "dynamic_j", "static_j", "latency_s", "interval_s", "area_m2", "utilization")
COUNTS = ("crossbars", "tiles", "banks")


@dataclass(frozen=True)
class Space:
    """A product of options around `chip`: for each axis (an option of whole numbers, copies, or the area that
    copies may fill) its values.

    None as a value of adc_bits means lossless. The last axis runs fastest.
    """

    chip: Chip
    axes: dict[str, tuple[Any, ...]]

    def __post_init__(self) -> None:
        """Refuse axes that do not exist or have no values."""
        for name, values in self.axes.items():
            if name not in AXES:
                raise InputError(f"space: no axis {name!r}, allowed: {', '.join(AXES)}")
            if not values or (None in values and name != "adc_bits"):
                raise InputError(f"space: axis {name!r} has {values!r}, allowed: one or more whole numbers")

    def __len__(self) -> int:
        """Designs in the space, those that turn out impossible included."""
        return math.prod(len(values) for values in self.axes.values())


def sweep(workload: Workload, space: Space, *, chips: int = 1, dram: bool = False, gating: Gating = "idle_gated",
          chunk: int = 65536, figures: tuple[str, ...] = (*RESULTS, *COUNTS)) -> Iterator[Columns]:
    """Evaluate the space block by block, at most `chunk` designs each: one array per axis and per figure.

    Designs that cannot be built (more columns per ADC than columns, more active rows than rows) or that the workload
    does not fit are left out.
    """
    for axes in blocks(space.axes, chunk):
        yield evaluate_block(workload, space.chip, axes, figures, chips=chips, dram=dram, gating=gating)


def evaluate_designs(workload: Workload, chip: Chip, designs: Columns, *, chips: int = 1, dram: bool = False,
                     gating: Gating = "idle_gated") -> Columns:
    """The possible ones of `designs` with their results; adc_bits 0 is replaced by the lossless bits."""
    designs = _select(designs, _buildable(chip, designs))
    built = _built(chip, designs)
    mapping = place(workload, built, copies=designs.get("copies", 1), chips=chips, dram=dram)
    fits = np.broadcast_to(np.equal(excess(mapping, built), 0), _count(designs))
    if not fits.all():
        designs = _select(designs, fits)
        built = _built(chip, designs)
        mapping = place(workload, built, copies=designs.get("copies", 1), chips=chips, dram=dram)
    report = account(workload, built, mapping, gating=gating)
    figures = {name: getattr(report, name) for name in RESULTS if name != "utilization"}
    figures["utilization"] = mapping.utilization
    figures |= {"crossbars": mapping.crossbars, "tiles": mapping.tiles, "banks": mapping.banks}
    if "adc_bits" in designs:
        designs = {**designs, "adc_bits": np.broadcast_to(built.crossbar.adc_bits, _count(designs))}
    return {**designs, **{name: np.broadcast_to(value, _count(designs)) for name, value in figures.items()}}


def _count(designs: Columns) -> int:
    return len(next(iter(designs.values()))) if designs else 1


def _select(designs: Columns, keep: NDArray[Any]) -> Columns:
    return designs if keep.all() else {name: values[keep] for name, values in designs.items()}


def _buildable(chip: Chip, designs: Columns) -> NDArray[Any]:
    """Which designs can exist, the chip's own options standing in for axes that the space does not have."""
    options = {**chip.options(), **designs}
    possible = np.less_equal(options["columns_per_adc"], options["columns"])
    if options["active_rows"] is not None:
        possible = possible & np.less_equal(options["active_rows"], options["rows"])
    return np.broadcast_to(possible, _count(designs))


def _built(chip: Chip, designs: Columns) -> Chip:
    """One chip whose options are arrays, a value per design."""
    options = {name: values for name, values in designs.items() if name != "copies"}
    bits = options.pop("adc_bits", None)
    if bits is None or not _count(designs):
        return chip.with_options(**options)
    if np.all(bits != 0):
        return chip.with_options(**options, adc_bits=bits)
    lossless = chip.with_options(**options, adc_bits=None).crossbar.adc_bits
    return chip.with_options(**options, adc_bits=np.where(bits == 0, lossless, bits))


def sweep_to_parquet(workload: Workload, space: Space, out: Path, *, progress: Callable[[int], None] | None = None,
                     chunk: int = 65536, **settings: Any) -> int:
    """Stream a sweep into a Parquet file, whole or not at all; returns the number of designs written.

    `settings` are those of `sweep`; `progress` is called with the designs done since the last call.
    """
    import polars
    from polars.io.plugins import register_io_source

    names = (*space.axes, *RESULTS, *COUNTS)
    real = (*RESULTS, "budget_area_m2")
    schema = polars.Schema({name: polars.Float64() if name in real else polars.Int64() for name in names})
    written = 0
    failure: InputError | None = None

    def frames(columns: list[str] | None, predicate: Any, rows: int | None,
               batch: int | None) -> Iterator[polars.DataFrame]:
        nonlocal written, failure
        try:
            for axes in blocks(space.axes, chunk):
                part = evaluate_block(workload, space.chip, axes, (*RESULTS, *COUNTS), **settings)
                frame = polars.DataFrame(part, schema=schema)
                written += frame.height
                if progress is not None:
                    progress(math.prod(map(len, axes.values())))
                yield frame if columns is None else frame.select(columns)
        except InputError as error:  # polars would wrap it in an error of its own
            failure = error

    with atomic_path(out) as temporary:
        try:
            register_io_source(frames, schema=schema).sink_parquet(temporary)
        except polars.exceptions.PolarsError as error:
            raise OSError(f"{out}: cannot be written: {error}") from None
        if failure is not None:
            raise failure
    return written
