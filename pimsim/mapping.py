"""Which unit runs each operator, and how much of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from pimsim.chip import Chip
from pimsim.errors import InputError
from pimsim.quantity import Count, Number, ceil_div, larger, smaller
from pimsim.tile import Crossbar
from pimsim.workload import Gather, MatVec, Op, Workload

Unit = Literal["crossbars", "bank", "dram", "vector_unit"]


@dataclass(frozen=True)
class Placement:
    """Where one operator runs.

    In crossbars (of tiles or of a bank) a matrix is cut into `row_blocks` x `column_blocks` arrays, stored `copies`
    times; `cells` are those that hold something, copies included.
    """

    unit: Unit
    row_blocks: Count = 0
    column_blocks: Count = 0
    copies: Count = 0
    cells: Count = 0

    @property
    def crossbars(self) -> Count:
        """Crossbars taken."""
        return self.row_blocks * self.column_blocks * self.copies


@dataclass(frozen=True)
class Mapping:
    """A placement for every operator, and the hardware that they need together.

    `tiles` and `banks` are those that are there, on all chips; `in_tiles` and `in_banks` the crossbars used of them.
    """

    placements: dict[str, Placement]
    in_tiles: Count
    in_banks: Count
    tiles: Count
    banks: Count
    chips: int
    cells_there: Count

    @property
    def crossbars(self) -> Count:
        """Crossbars in use, tables included."""
        return self.in_tiles + self.in_banks

    @property
    def cells(self) -> Count:
        """Cells that hold something."""
        total: Count = 0
        for placement in self.placements.values():
            total = total + placement.cells
        return total

    @property
    def utilization(self) -> Number:
        """Share of the cells in use crossbars that hold something; 0 where no crossbar is used."""
        return self.cells / larger(self.cells_there, 1)  # type: ignore[no-any-return]

    @property
    def uses_dram(self) -> bool:
        """Whether a table lives off the chip."""
        return any(placement.unit == "dram" for placement in self.placements.values())


def place_matvec(op: MatVec, crossbar: Crossbar, copies: Count) -> Placement:
    """Cut a stored matrix into crossbars; weights that are used for several vectors are stored up to `copies` times."""
    readout = crossbar.readout
    columns = op.outputs * readout.slices(op.weight_bits) * readout.columns_per_slice
    kept = smaller(copies, op.vectors)
    return Placement("crossbars", ceil_div(op.inputs, crossbar.rows // readout.rows_per_input),
                     ceil_div(columns, crossbar.columns), kept, op.inputs * readout.rows_per_input * columns * kept)


def place_table(op: Gather, crossbar: Crossbar) -> Placement:
    """Store a table in arrays: as many table rows beside each other as a line holds, a longer one over several."""
    cells = ceil_div(op.length * op.element_bits, crossbar.readout.cell_bits)
    per_line = larger(crossbar.columns // cells, 1)
    lines = ceil_div(op.rows, per_line)
    return Placement("bank", ceil_div(lines, crossbar.rows), ceil_div(cells, crossbar.columns), 1, op.rows * cells)


def place(workload: Workload, chip: Chip, *, copies: Count = 1, chips: int = 1, dram: bool = False,
          dram_tables: Collection[str] = ()) -> Mapping:
    """Place every operator of `workload` on `chips` chips; `excess` says whether they fit.

    `copies` is a cap: an operator of n vectors gets min(copies, n). `dram` puts all tables off the chip,
    `dram_tables` those named. InputError for settings that make no sense.
    """
    _check_settings(workload, chip, copies, chips, dram_tables)
    placements: dict[str, Placement] = {}
    compute: Count = 0
    tables: Count = 0
    for op in workload.ops:
        placement = _place_one(op, chip.crossbar, copies, dram or op.name in dram_tables)
        placements[op.name] = placement
        if placement.unit == "crossbars":
            compute = compute + placement.crossbars
        elif placement.unit == "bank":
            tables = tables + placement.crossbars
    in_tiles, in_banks = (compute + tables, 0) if chip.banks == 0 else (compute, tables)
    tiles = ceil_div(in_tiles, chip.tile.crossbars) if chip.tiles is None else chip.tiles * chips
    banks = ceil_div(in_banks, chip.bank.crossbars) if chip.banks is None else chip.banks * chips
    there = (in_tiles + in_banks) * chip.crossbar.rows * chip.crossbar.columns
    return Mapping(placements, in_tiles, in_banks, tiles, banks, chips, there)


def _place_one(op: Op, crossbar: Crossbar, copies: Count, in_dram: bool) -> Placement:
    if isinstance(op, MatVec):
        return place_matvec(op, crossbar, copies)
    if isinstance(op, Gather):
        return Placement("dram") if in_dram else place_table(op, crossbar)
    return Placement("vector_unit")


def _check_settings(workload: Workload, chip: Chip, copies: Any, chips: Any, dram_tables: Collection[str]) -> None:
    if isinstance(copies, int) and copies < 1:
        raise InputError(f"copies is {copies!r}, allowed: a whole number from 1 up")
    if isinstance(chips, bool) or not isinstance(chips, int) or chips < 1:
        raise InputError(f"chips is {chips!r}, allowed: a whole number from 1 up")
    if chips > 1 and chip.links == 0:
        raise InputError(f"chips is {chips}, allowed: 1 (a chip sized to its workload always fits and has no links)")
    tables = [op.name for op in workload.ops if isinstance(op, Gather)]
    for name in dram_tables:
        if name not in tables:
            raise InputError(f"dram_tables has {name!r}, allowed: {', '.join(tables) or 'nothing (no tables)'}")


def excess(mapping: Mapping, chip: Chip) -> Count:
    """Crossbars too many for the chips, in tiles or in banks; 0 where the workload fits."""
    over: Count = 0
    if chip.tiles is not None:
        over = over + larger(mapping.in_tiles - chip.tiles * chip.tile.crossbars * mapping.chips, 0)
    if chip.banks is not None:
        over = over + larger(mapping.in_banks - chip.banks * chip.bank.crossbars * mapping.chips, 0)
    return over


def require_fit(mapping: Mapping, chip: Chip) -> None:
    """InputError that says by how much the workload is larger than the chips, and what would help."""
    if excess(mapping, chip) == 0:
        return
    for what, used, each, there in (
        ("crossbars", mapping.in_tiles, chip.tile.crossbars, chip.tiles),
        ("bank crossbars", mapping.in_banks, chip.bank.crossbars, chip.banks),
    ):
        if there is None or used <= there * each * mapping.chips:
            continue
        room = there * each
        has = f"the chip has {room:,}" if mapping.chips == 1 else f"{mapping.chips} chips have {room * mapping.chips:,}"
        has_tables = any(placement.unit == "bank" for placement in mapping.placements.values())
        tier = ", or a DRAM tier for tables" if has_tables else ""
        advice = f"chips={ceil_div(used, room)}" if chip.links and room else "more of them"
        raise InputError(f"needs {used:,} {what}, {has}: {used - room * mapping.chips:,} too many; give {advice}{tier}")
