"""Which unit runs each operator, and how much of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from pimsim.chip import Chip
from pimsim.copies import budget_of_area, levelled_rounds
from pimsim.errors import InputError
from pimsim.quantity import Count, Number, ceil_div, larger, smaller, where
from pimsim.tables import (
    IN_BANK,
    OFF_CHIP,
    TablePlan,
    TablePlans,
    TableUse,
    least_adc_bits,
    plan_of,
    require_sums,
    summing_blocks,
    table_blocks,
    use_of,
)
from pimsim.tile import Crossbar
from pimsim.workload import Gather, MatVec, Op, Workload

Unit = Literal["crossbars", "bank", "split", "dram", "vector_unit"]


@dataclass(frozen=True)
class Placement:
    """Where one operator runs.

    In crossbars (of tiles or of a bank) a matrix is cut into `row_blocks` x `column_blocks` arrays, stored `copies`
    times; `cells` are those that hold something, copies included. `table`: how a table is used.
    """

    unit: Unit
    row_blocks: Count = 0
    column_blocks: Count = 0
    copies: Count = 0
    cells: Count = 0
    table: TableUse | None = None

    @property
    def crossbars(self) -> Count:
        """Crossbars taken."""
        return self.row_blocks * self.column_blocks * self.copies


@dataclass(frozen=True)
class Mapping:
    """A placement for every operator, and the hardware that they need together.

    `tiles` and `banks` are those that are there, on all chips; `in_tiles` and `in_banks` the crossbars used of them.
    `in_matrices`: those of `in_tiles` that hold the matrices of `MatVec`. `cells`: those that hold something.
    `over_budget`: crossbars too many for a budget, with one copy each. `unreadable`: whether tables are to be summed in
    crossbars whose ADC does not tell the levels of one cell apart.
    """

    placements: dict[str, Placement]
    in_tiles: Count
    in_banks: Count
    tiles: Count
    banks: Count
    chips: int
    in_matrices: Count
    cells: Count
    cells_there: Count
    over_budget: Count = 0
    unreadable: Any = False

    @property
    def crossbars(self) -> Count:
        """Crossbars in use, tables included."""
        return self.in_tiles + self.in_banks

    @property
    def utilization(self) -> Number:
        """Share of the cells in use crossbars that hold something; 0 where no crossbar is used."""
        return self.cells / larger(self.cells_there, 1)  # type: ignore[no-any-return]

    @cached_property
    def uses_dram(self) -> bool:
        """Whether a table, or a part of one, lives off the chip."""
        return any(placement.unit == "dram" or (placement.unit == "split" and placement.table is not None
                                                and bool(np.any(np.less(placement.table.hit_share, 1.0))))
                   for placement in self.placements.values())


def place_matvec(op: MatVec, crossbar: Crossbar, copies: Count) -> Placement:
    """Cut a stored matrix into crossbars; weights that are used for several vectors are stored up to `copies` times."""
    readout = crossbar.readout
    columns = op.outputs * readout.slices(op.weight_bits) * readout.columns_per_slice
    kept = smaller(copies, op.vectors)
    return Placement("crossbars", ceil_div(op.inputs, crossbar.rows // readout.rows_per_input),
                     ceil_div(columns, crossbar.columns), kept, op.inputs * readout.rows_per_input * columns * kept)


def place_table(op: Gather, crossbar: Crossbar, plan: TablePlan = IN_BANK) -> Placement:
    """Store a table as `plan` says; replicas are copies."""
    use = use_of(op, plan, crossbar)
    if plan.tier == "dram":
        return Placement("dram", table=use)
    if plan.tier == "in_crossbar":
        row_blocks, column_blocks, cells = summing_blocks(op, crossbar)
        return Placement("crossbars", row_blocks, column_blocks, plan.replicas, cells * plan.replicas, use)
    row_blocks, column_blocks, cells = table_blocks(op, crossbar, use.hot_rows)
    return Placement(plan.tier, row_blocks, column_blocks, plan.replicas, cells * plan.replicas, use)


def place(workload: Workload, chip: Chip, *, copies: Count | Literal["budget"] = 1, chips: int = 1, dram: bool = False,
          dram_tables: Collection[str] = (), tables: TablePlans | None = None, budget_crossbars: Count | None = None,
          budget_area_m2: Number | None = None) -> Mapping:
    """Place every operator that an output needs on `chips` chips; `excess` says whether they fit.

    `copies` is a cap: an operator of n vectors gets min(copies, n). "budget": copies that level the busiest operator
    (see `levelled_rounds`), within `budget_crossbars` crossbars for all stored matrices or within a chip area of
    `budget_area_m2`; without either, within the crossbars of a chip of fixed size. `tables`: plans for tables, in banks
    unless they say otherwise; `dram` puts all tables off the chip, `dram_tables` those named. InputError for settings
    that make no sense.
    """
    _check_settings(workload, chip, copies, chips)
    _check_tables(workload, dram_tables, tables)
    workload = workload.live()
    placements: dict[str, Placement] = {}
    alike: list[tuple[TablePlan, Placement] | None] = [None] * len(workload.ops)
    crossbar = chip.crossbar
    most = 1 if isinstance(copies, str) else copies
    for op, shape in zip(workload.ops, workload.shapes, strict=True):
        plan = IN_BANK
        if isinstance(op, Gather):
            plan = _plan(op, dram, dram_tables, tables)
        before = alike[shape]
        if before is None or before[0] is not plan:
            before = alike[shape] = plan, _place_one(op, crossbar, most, plan)
        placements[op.name] = before[1]
    mapping = _housed(workload, chip, placements, chips)
    if isinstance(copies, str):
        budget = crossbar_budget(mapping, chip, budget_crossbars, budget_area_m2)
        return with_rounds(mapping, workload, chip, levelled_rounds(stages(mapping, workload), budget), budget)
    if budget_crossbars is not None or budget_area_m2 is not None:
        raise InputError(f"a budget is given with copies {copies!r}, allowed: only with copies 'budget'")
    return mapping


def require_summable(workload: Workload, chip: Chip, *, dram: bool = False, dram_tables: Collection[str] = (),
                     tables: TablePlans | None = None) -> None:
    """InputError where tables are to be summed in crossbars whose columns do not give sums, whatever their sizes."""
    for op in workload.live().ops:
        if isinstance(op, Gather) and _plan(op, dram, dram_tables, tables).tier == "in_crossbar":
            require_sums(op, chip.crossbar)


def _plan(op: Gather, dram: bool, dram_tables: Collection[str], tables: TablePlans | None) -> TablePlan:
    return OFF_CHIP if dram or op.name in dram_tables else plan_of(op, tables)


def _housed(workload: Workload, chip: Chip, placements: dict[str, Placement], chips: int) -> Mapping:
    """The tiles and banks that hold the placements."""
    matrices: Count = 0
    summing: Count = 0
    in_banks: Count = 0
    replicas: Count = 0
    cells: Count = 0
    unreadable: Any = False
    for op in workload.ops:
        placement = placements[op.name]
        if placement.unit in ("vector_unit", "dram"):
            continue
        cells = cells + placement.cells
        if placement.unit != "crossbars":
            in_banks = in_banks + placement.crossbars
            replicas = larger(replicas, placement.copies)
        elif isinstance(op, Gather):
            summing = summing + placement.crossbars
            unreadable = np.less(chip.crossbar.adc_bits, least_adc_bits(chip.crossbar))
        else:
            matrices = matrices + placement.crossbars
    tables_in_tiles = summing + in_banks if chip.banks == 0 else summing
    in_banks = 0 if chip.banks == 0 else in_banks
    # Replicas that are read side by side stand in different banks.
    banks = larger(ceil_div(in_banks, chip.bank.crossbars), replicas) if chip.banks is None else chip.banks * chips
    in_tiles = matrices + tables_in_tiles
    tiles = _tiles(chip, in_tiles, chips, placements)
    return Mapping(placements, in_tiles, in_banks, tiles, banks, chips, matrices, cells,
                   _cells_there(chip, in_tiles + in_banks), unreadable=unreadable)


def _tiles(chip: Chip, in_tiles: Count, chips: int, placements: dict[str, Placement]) -> Count:
    """Tiles that are there."""
    if chip.tiles is not None:
        return chip.tiles * chips
    return larger(ceil_div(in_tiles, chip.tile.crossbars), _least_tiles(chip, placements))  # type: ignore[no-any-return]


def _least_tiles(chip: Chip, placements: dict[str, Placement]) -> int:
    """One where tiles have the vector unit, or where an op works from a tile's buffer and bus; else none."""
    return int(chip.vector_unit.per_tile
               or any(placement.unit in ("vector_unit", "dram") for placement in placements.values()))


def _cells_there(chip: Chip, crossbars: Count) -> Count:
    return crossbars * (chip.crossbar.rows * chip.crossbar.columns)


def _place_one(op: Op, crossbar: Crossbar, copies: Count, plan: TablePlan) -> Placement:
    if isinstance(op, MatVec):
        return place_matvec(op, crossbar, copies)
    return place_table(op, crossbar, plan) if isinstance(op, Gather) else Placement("vector_unit")


def crossbar_budget(mapping: Mapping, chip: Chip, crossbars: Count | None, area_m2: Number | None) -> Count:
    """Crossbars for all stored matrices: as given, what an area leaves beside all else, or what is there.

    Below 0 where an area has no room for banks, vector unit, tables and a tile that must be there: then nothing fits.
    """
    if crossbars is not None and area_m2 is not None:
        raise InputError("budget_crossbars and budget_area_m2 are both given, allowed: one of them")
    if crossbars is not None:
        if not (np.issubdtype(np.asarray(crossbars).dtype, np.integer) and np.all(np.greater_equal(crossbars, 1))):
            raise InputError(f"budget_crossbars is {crossbars!r}, allowed: whole numbers from 1 up")
        return crossbars
    tables = mapping.in_tiles - mapping.in_matrices
    if area_m2 is None:
        if chip.tiles is None:
            raise InputError("copies is 'budget' on a chip sized to its workload, needed: budget_crossbars or "
                             "budget_area_m2")
        return larger(chip.tiles * chip.tile.crossbars * mapping.chips - tables, 0)  # type: ignore[no-any-return]
    if not np.all(np.greater(area_m2, 0.0) & np.isfinite(area_m2)):
        raise InputError(f"budget_area_m2 is {area_m2!r}, allowed: above 0, finite")
    if chip.tiles is not None:
        raise InputError(f"budget_area_m2 is {area_m2!r}, allowed only on a chip sized to its workload: "
                         "the area of this one does not depend on copies")
    fixed = chip.footprint(0, mapping.banks, mapping.chips, dram=mapping.uses_dram).area_m2
    tile = chip.tile_footprint.area_m2
    room = budget_of_area(area_m2, fixed, tile, chip.tile.crossbars)
    if _least_tiles(chip, mapping.placements):
        room = where(np.less(room, chip.tile.crossbars), smaller(room, -1), room)
    return room - tables


def stages(mapping: Mapping, workload: Workload) -> list[tuple[int, Count]]:
    """Vectors and crossbars of one copy, of every stored matrix."""
    placements = mapping.placements
    return [(op.vectors, placements[op.name].row_blocks * placements[op.name].column_blocks)
            for op in workload.live().ops if isinstance(op, MatVec)]


def with_rounds(mapping: Mapping, workload: Workload, chip: Chip, rounds: Count, budget: Count) -> Mapping:
    """Every stored matrix with as many copies as let it finish in `rounds` rounds; `budget`: crossbars for them."""
    placements = dict(mapping.placements)
    alike: dict[int, Placement] = {}
    total: Count = 0
    cells = mapping.cells
    workload = workload.live()
    for op, shape in zip(workload.ops, workload.shapes, strict=True):
        if not isinstance(op, MatVec):
            continue
        if op.vectors > 1:
            if shape not in alike:
                alike[shape] = place_matvec(op, chip.crossbar, ceil_div(op.vectors, rounds))
            placements[op.name] = alike[shape]
            cells = cells + (alike[shape].cells - mapping.placements[op.name].cells)
        total = total + placements[op.name].crossbars
    in_tiles = mapping.in_tiles - mapping.in_matrices + total
    return replace(
        mapping, placements=placements, in_tiles=in_tiles, tiles=_tiles(chip, in_tiles, mapping.chips, placements),
        in_matrices=total, cells=cells, cells_there=_cells_there(chip, in_tiles + mapping.in_banks),
        over_budget=larger(mapping.in_matrices - budget, 0))


def _check_settings(workload: Workload, chip: Chip, copies: Any, chips: Any) -> None:
    if isinstance(copies, str):
        known = copies == "budget"
    else:
        whole = np.issubdtype(np.asarray(copies).dtype, np.integer)
        known = whole and bool(np.all(np.greater_equal(copies, 1)))
    if not known:
        raise InputError(f"copies is {copies!r}, allowed: a whole number from 1 up, or 'budget'")
    if isinstance(chips, bool) or not isinstance(chips, int) or chips < 1:
        raise InputError(f"chips is {chips!r}, allowed: a whole number from 1 up")
    if chips > 1 and chip.links == 0:
        raise InputError(f"chips is {chips}, allowed: 1 (a chip sized to its workload always fits and has no links)")


def _check_tables(workload: Workload, dram_tables: Collection[str], plans: TablePlans | None) -> None:
    named = {} if plans is None or isinstance(plans, TablePlan) else plans
    if not dram_tables and not named:
        return
    names = [op.name for op in workload.ops if isinstance(op, Gather)]
    for setting, given in (("dram_tables", dram_tables), ("tables", named)):
        for name in given:
            if name not in names:
                raise InputError(f"{setting} has {name!r}, allowed: {', '.join(names) or 'nothing (no tables)'}")


def excess(mapping: Mapping, chip: Chip) -> Count:
    """Crossbars too many for the chips, in tiles or in banks; 0 where the workload fits."""
    over: Count = mapping.over_budget
    if chip.tiles is not None:
        over = over + larger(mapping.in_tiles - chip.tiles * chip.tile.crossbars * mapping.chips, 0)
    if chip.banks is not None:
        over = over + larger(mapping.in_banks - chip.banks * chip.bank.crossbars * mapping.chips, 0)
    return over


def possible(mapping: Mapping, chip: Chip) -> Any:
    """Whether the workload fits the chips, and they can read what is in them."""
    return np.equal(excess(mapping, chip), 0) & np.logical_not(mapping.unreadable)


def require_fit(mapping: Mapping, chip: Chip) -> None:
    """InputError that says by how much the workload is larger than the chips, or what they cannot read."""
    if mapping.unreadable:
        table = next(name for name, placement in mapping.placements.items()
                     if placement.table is not None and placement.table.plan.tier == "in_crossbar")
        least = least_adc_bits(chip.crossbar)
        raise InputError(f"{table}: tables.tier is 'in_crossbar' with adc_bits {chip.crossbar.adc_bits}, allowed with "
                         f"these cells: from {least} up (fewer do not tell the levels of one cell apart)")
    if excess(mapping, chip) == 0:
        return
    if mapping.over_budget:
        what = "one copy of every matrix" if mapping.in_matrices else "what there is beside matrices"
        raise InputError(f"{what} is {mapping.over_budget:,} crossbars above the budget")
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
