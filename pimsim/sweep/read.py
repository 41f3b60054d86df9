"""The Pareto set of a sweep that was written to a Parquet file, read piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pimsim.apart import Comparison
from pimsim.errors import InputError
from pimsim.sweep.grid import FIGURES
from pimsim.sweep.pareto import Front, best_of

if TYPE_CHECKING:
    import polars

PIECE = 1 << 20  # rows in memory at a time
CLOUD = 4000  # designs that stand for all others in a picture


@dataclass(frozen=True)
class FrontFile:
    """What a picture shows of a sweep: the designs that no other beats, in all columns, and a sample of all.

    `designs` is how many there are; `objectives` the figures that are compared, all minimised.
    `compared`: how sure they are, design by design of `front`, from which `left_out` others were then taken.
    """

    path: Path
    objectives: tuple[str, ...]
    designs: int
    front: polars.DataFrame
    cloud: polars.DataFrame
    compared: Comparison | None = None
    left_out: int = 0

    @property
    def options(self) -> list[str]:
        """Columns that say what chip a design is."""
        return [name for name in self.front.columns if name not in FIGURES]


def read_front(path: Path, objectives: tuple[str, ...], *, piece: int = PIECE) -> FrontFile:
    """The exact Pareto set of the designs in a file, of equal ones the first, sorted by the first objective.

    InputError for a file that is no Parquet file, an objective that it does not have, or no designs.
    """
    import polars

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    scan = polars.scan_parquet(path, glob=False)
    try:
        schema = scan.collect_schema()
        designs = int(scan.select(polars.len()).collect().item())
    except polars.exceptions.PolarsError as error:
        raise InputError(f"{path}: not a Parquet file: {error}") from None
    for name in objectives:
        if name not in schema:
            there = ", ".join(column for column in schema if column in FIGURES)
            raise InputError(f"{path}: objectives has {name!r}, allowed: {there}")
        if not schema[name].is_numeric():
            raise InputError(f"{path}: column {name!r} holds {schema[name]}, allowed: numbers")
    if not designs:
        raise InputError(f"{path}: holds no designs")
    front = Front(objectives)
    cloud: list[polars.DataFrame] = []
    every = max(1, designs // CLOUD)
    for start in range(0, designs, piece):
        part = scan.slice(start, piece).select(objectives).collect()
        points = [part[name].cast(polars.Float64).to_numpy() for name in objectives]
        for name, values in zip(objectives, points, strict=True):
            if not np.isfinite(values).all():  # nothing would beat it
                row = int(np.flatnonzero(~np.isfinite(values))[0])
                found = part[name][row]
                raise InputError(f"{path}: column {name!r}, row {start + row}: {found}, allowed: finite numbers")
        best = best_of(points, front.points(front.columns) if front.columns else [])
        kept = {name: values[best] for name, values in zip(objectives, points, strict=True)}
        front.add({"row": best + start, **kept})
        cloud.append(part.gather_every(every))
    rows = np.sort(front.columns["row"])
    found = polars.concat([_rows(scan, rows, start, piece) for start in range(0, designs, piece)])
    return FrontFile(path, objectives, designs, found.sort(objectives, maintain_order=True), polars.concat(cloud))


def _rows(scan: polars.LazyFrame, rows: NDArray[np.int64], start: int, piece: int) -> polars.DataFrame:
    """Those of `rows` that lie in one piece, in all columns."""
    inside = rows[(rows >= start) & (rows < start + piece)] - start
    if not len(inside):
        return scan.head(0).collect()
    return scan.slice(start, piece).collect()[inside]
