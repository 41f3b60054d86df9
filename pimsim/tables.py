"""Where an embedding table lives and how its rows lie: in banks, in crossbars that add them up, in DRAM, or split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from pimsim.access import hit_share, ordered_blocks, require_use, spread_blocks
from pimsim.errors import InputError
from pimsim.grouping import grouped_blocks
from pimsim.quantity import Count, Number, bit_length, ceil_div, each, larger, smaller, where, whole
from pimsim.tile import Crossbar
from pimsim.workload import Gather

Tier = Literal["bank", "in_crossbar", "dram", "split"]
"""Read as memory with adders beside it; added up by the columns of a crossbar; off the chip; hot rows in banks and the
others off the chip."""
Layout = Literal["scattered", "by_access", "grouped"]
"""How the rows of a table lie in crossbars: in no order that helps, hottest first, or those of one bag together."""


@dataclass(frozen=True)
class TablePlan:
    """What to do with a table.

    `hot_share`: of a split table, the share of its rows, hottest first, that stay on the chip. `replicas`: how often
    the rows on the chip are stored, so that a bag's lookups (in banks) or bags (in crossbars) are served side by side.
    `layout`: only in crossbars, where rows that lie together are read together; a bank reads one row after the other,
    wherever it lies. `hot_share` and `replicas` may be arrays, a value per design.
    """

    tier: Tier = "bank"
    hot_share: Number = 1.0
    replicas: Count = 1
    layout: Layout = "scattered"

    def __post_init__(self) -> None:
        """Refuse what no table can have."""
        for name, choices in (("tier", get_args(Tier)), ("layout", get_args(Layout))):
            if getattr(self, name) not in choices:
                raise InputError(f"tables.{name} is {getattr(self, name)!r}, allowed: {', '.join(choices)}")
        if not np.all(np.greater(self.hot_share, 0.0) & np.less_equal(self.hot_share, 1.0)):
            raise InputError(f"tables.hot_share is {self.hot_share!r}, allowed: above 0, at most 1")
        if self.tier != "split" and np.any(np.not_equal(self.hot_share, 1.0)):
            raise InputError(f"tables.hot_share is {self.hot_share!r}, allowed with tier {self.tier!r}: only 1")
        whole = np.issubdtype(np.asarray(self.replicas).dtype, np.integer)
        if not whole or np.any(np.less(self.replicas, 1)) or np.any(np.greater(self.replicas, 65536)):
            raise InputError(f"tables.replicas is {self.replicas!r}, allowed: whole numbers from 1 to 65536")
        if self.tier == "dram" and np.any(np.not_equal(self.replicas, 1)):
            raise InputError(f"tables.replicas is {self.replicas!r}, allowed with tier 'dram': only 1")
        if self.layout != "scattered" and self.tier != "in_crossbar":
            raise InputError(f"tables.layout is {self.layout!r}, allowed with tier {self.tier!r}: only 'scattered'")

    def to_json(self) -> dict[str, Any]:
        """Plain values of one design."""
        return {"tier": self.tier, "hot_share": float(self.hot_share), "replicas": int(self.replicas),
                "layout": self.layout}


IN_BANK, OFF_CHIP = TablePlan(), TablePlan("dram")
TablePlans: TypeAlias = TablePlan | Mapping[str, TablePlan]
"""One plan for all tables, or one by the name of a table; a table without a plan lives in a bank."""


def plan_of(op: Gather, plans: TablePlans | None) -> TablePlan:
    """The plan of one table."""
    if isinstance(plans, TablePlan):
        return plans
    return (plans or {}).get(op.name, IN_BANK)


@dataclass(frozen=True)
class TableUse:
    """What a plan means for one table: rows on the chip and the share of lookups that finds its row there.

    Of a table in crossbars also `reads` per bag and `rows_at_once`, the rows of a bag that one read adds up.
    """

    plan: TablePlan
    hot_rows: Count
    hit_share: Number
    reads: Number = 0.0
    rows_at_once: Count = 1

    def to_json(self) -> dict[str, Any]:
        """Plain values of one design."""
        return {**self.plan.to_json(), "hot_rows": int(self.hot_rows), "hit_share": float(self.hit_share),
                "reads_per_bag": float(self.reads)}


def use_of(op: Gather, plan: TablePlan, crossbar: Crossbar) -> TableUse:
    """How `op` is used under `plan`; InputError where the plan needs what the table or the chip does not have."""
    if plan.tier == "bank":
        return TableUse(plan, op.rows, 1.0)
    if plan.tier == "dram":
        return TableUse(plan, 0, 0.0)
    if plan.tier == "split":
        hot = whole(larger(np.floor(plan.hot_share * op.rows + 0.5), 1))
        return TableUse(plan, hot, hit_share(op, hot))
    require_sums(op, crossbar)
    at_once = _rows_added_at_once(op, crossbar)
    return TableUse(plan, op.rows, 1.0, _reads_per_bag(op, plan.layout, crossbar, at_once), at_once)


def require_sums(op: Gather, crossbar: Crossbar) -> None:
    """InputError where the columns of `crossbar` do not give sums, as those of `op` should."""
    if crossbar.readout.sensing != "current" or crossbar.readout.accumulation != "digital":
        raise InputError(f"{op.name}: tables.tier is 'in_crossbar', allowed on this chip: bank, dram, split "
                         "(its columns do not give sums)")


def adc_bits_of_bag(use: TableUse, crossbar: Crossbar) -> Count:
    """Bits that hold the sum of the rows that one read adds up; a signed column needs one more."""
    bits = bit_length(use.rows_at_once * ((1 << crossbar.readout.cell_bits) - 1))
    if crossbar.readout.signed_columns:
        bits = bits + 1
    return smaller(larger(bits, 1), crossbar.adc_bits)  # type: ignore[no-any-return]


def least_adc_bits(crossbar: Crossbar) -> Count:
    """ADC bits from which on a read tells the levels of one cell apart, without which no sum of rows is right."""
    return crossbar.readout.cell_bits + int(crossbar.readout.signed_columns)


def _rows_added_at_once(op: Gather, crossbar: Crossbar) -> Count:
    """Rows of one bag that a read may add up without loss, at least 1 (see `least_adc_bits`).

    As many as the ADC tells apart: (2^adc_bits - 1) / (2^cell_bits - 1), the sign bit aside. Flip encoding does not
    help: some rows of a column that is half full may all be full. Bags are as long as their mean (assumption).
    """
    readout = crossbar.readout
    bits = crossbar.adc_bits - 1 if readout.signed_columns else crossbar.adc_bits
    told_apart = ((1 << bits) - 1) // ((1 << readout.cell_bits) - 1)
    driven = readout.rows_at_once(crossbar.rows) // readout.rows_per_input
    return larger(smaller(smaller(told_apart, driven), int(-(-op.lookups // 1))), 1)  # type: ignore[no-any-return]


def _reads_per_bag(op: Gather, layout: Layout, crossbar: Crossbar, at_once: Count) -> Number:
    """Reads of one bag in all crossbars, side by side or not.

    The blocks that a bag touches: scattered rows, B·(1 - (1 - 1/B)^lookups) of B blocks; by access, see
    `ordered_blocks`; grouped, as measured on the trace (ReCross, arXiv 2509.10627, has both ideas). A block with more
    rows of the bag than one read adds up is read again: (lookups + blocks·(m - 1)) / m reads with m rows at once, which
    is the most that ceil(rows / m) adds up to over the blocks.
    """
    held = crossbar.rows // crossbar.readout.rows_per_input
    if layout == "scattered":
        blocks = each(lambda size: spread_blocks(-(-op.rows // int(size)), 1.0, op.lookups), held)
    elif layout == "by_access":
        require_use(op)
        blocks = each(lambda size: ordered_blocks(op, int(size), op.lookups), held)
    else:
        blocks = each(lambda size: smaller(grouped_blocks(op, int(size)) * op.lookups, -(-op.rows // int(size))), held)
    again = smaller((op.lookups + blocks * (at_once - 1)) / at_once, op.lookups)
    return where(np.greater_equal(at_once, op.lookups), blocks, larger(again, blocks))  # type: ignore[no-any-return]


def hops_of_bag(op: Gather, layout: Layout, crossbar: Crossbar, row_blocks: Count, column_blocks: Count,
                tile_crossbars: int) -> Number:
    """Expected number of tiles that a bag needs beside one, those of all column blocks added up.

    Crossbars fill tiles one column block after the other, from the start of a tile (assumption). The lookups are
    independent (assumption) and go to the rows of a tile by their number or, by access, by their use. Of grouped rows
    the blocks that a bag needs are spread over the tiles evenly, each for itself (assumption).
    """

    def hops(held: int, rows_down: int, columns_across: int) -> float:
        size, total = held * tile_crossbars, 0.0
        needed = op.lookups if layout != "grouped" else grouped_blocks(op, held) * op.lookups
        starts = Counter(column * rows_down % tile_crossbars for column in range(columns_across))
        for start, several in starts.items():
            first = size - start * held  # rows up to the first border between tiles
            if first >= op.rows:
                continue
            if layout == "by_access":
                tiles = ordered_blocks(op, size, needed, first)
            else:
                full, rest = divmod(op.rows - first, size)
                tiles = spread_blocks(1, first / op.rows, needed) + spread_blocks(full, full * size / op.rows, needed)
                tiles += spread_blocks(1, rest / op.rows, needed)
            total += several * max(tiles - 1.0, 0.0)
        return total

    return each(hops, crossbar.rows // crossbar.readout.rows_per_input, row_blocks, column_blocks)


def table_blocks(op: Gather, crossbar: Crossbar, rows: Count) -> tuple[Count, Count, Count]:
    """A table of `rows` rows read as memory: row blocks, column blocks, cells in use.

    As many table rows beside each other as a line of cells holds; a longer row lies over several arrays.
    """
    cells = ceil_div(op.length * op.element_bits, crossbar.readout.cell_bits)
    per_line = larger(crossbar.columns // cells, 1)
    return ceil_div(ceil_div(rows, per_line), crossbar.rows), ceil_div(cells, crossbar.columns), rows * cells


def summing_blocks(op: Gather, crossbar: Crossbar) -> tuple[Count, Count, Count]:
    """A table whose columns are added up: a row to a line; row blocks, column blocks, cells in use."""
    readout = crossbar.readout
    columns = op.length * readout.slices(op.element_bits) * readout.columns_per_slice
    return (ceil_div(op.rows, crossbar.rows // readout.rows_per_input), ceil_div(columns, crossbar.columns),
            op.rows * readout.rows_per_input * columns)
