"""What looking up the bags of an embedding table costs, wherever the table lives."""

from __future__ import annotations

import numpy as np

from pimsim.chip import Chip
from pimsim.interconnect import Arriving
from pimsim.mapping import Mapping, Placement
from pimsim.partial_sums import bag_bits, bag_sums
from pimsim.quantity import Count, Number, ceil_div, larger, smaller, where
from pimsim.readout import Phase
from pimsim.tables import TableUse, adc_bits_of_bag
from pimsim.workload import Gather

Charged = tuple[dict[str, Number], Number, dict[str, Number]]
"""Energy by component, latency, and how long each resource is busy; "crossbars" and "bank" are the op's own."""


def charge_table(op: Gather, placement: Placement, chip: Chip, mapping: Mapping, network: Arriving | None) -> Charged:
    """All bags of `op` for one inference; without banks, tables read as memory stand in tiles.

    `network`: what sums take that go from tile to tile over a network, None: a hop each. Different tables work side by
    side, but a bank reads one array at a time: the reads of all tables are shared out among the banks evenly
    (assumption).
    """
    if placement.unit == "crossbars":
        return _summed_in_crossbars(op, placement, chip, mapping, network)
    tile, xb = chip.tile, chip.crossbar
    use = placement.table
    row_bits, lookups = op.length * op.element_bits, op.bags * op.lookups
    additions = max(lookups - op.bags, 0.0) * op.length
    energies: dict[str, Number] = {"shift_add": additions * xb.shift_add.energy.value}
    busy: dict[str, Number] = {}
    reading: Number = 0.0
    if placement.unit != "bank":
        missing = 1.0 if use is None else 1.0 - use.hit_share
        burst = int(chip.dram.burst_bits.value)
        bits = lookups * missing * -(-row_bits // burst) * burst
        energies["dram"] = bits * chip.dram.energy.value
        busy["dram"] = bits / chip.dram.bandwidth.value
        reading = where(np.greater(missing, 0.0), chip.dram.delay.value + busy["dram"], 0.0)
    if placement.unit != "dram":
        found = lookups if use is None else lookups * use.hit_share
        energies["bank"] = found * row_bits * xb.cell.read_bit.value
        # The cells of a row are read in turn; the parts of a longer row, in arrays of their own, side by side.
        serial = smaller(ceil_div(row_bits, xb.readout.cell_bits), xb.columns)
        row_s = serial * xb.cell.read_time.value
        in_bank = _rows_in_turn(found, placement.copies) * row_s
        busy["bank"] = in_bank
        if np.any(mapping.banks):
            busy["banks"] = found * row_s / larger(mapping.banks, 1)
        reading = larger(reading, in_bank)  # banks and DRAM are read at the same time
    out_bits = op.bags * row_bits
    energies["bus"] = out_bits * tile.bus.energy.value
    return energies, reading + tile.bus.time_s(out_bits), busy


def _rows_in_turn(lookups: Number, replicas: Count) -> Number:
    """Rows read one after the other where `replicas` serve lookups side by side, evenly (assumption)."""
    return larger(lookups / replicas, smaller(lookups, 1.0))  # type: ignore[no-any-return]


def _summed_in_crossbars(op: Gather, placement: Placement, chip: Chip, mapping: Mapping,
                         network: Arriving | None) -> Charged:
    """The rows of a bag are driven at once and the column's sum is the pooled row.

    The formulas are those of a stored matrix (ISAAC, ISCA'16, section 5) with one input phase of ones, of which only
    the reads that a bag needs are made (`TableUse.reads`), at the ADC bits of that many rows. What several reads give
    is added up, over the routers where it comes from several tiles; offset weights take the offset times the rows off
    each result. Crossbars work side by side, bags one after the other unless there are replicas.
    """
    use = placement.table
    assert isinstance(use, TableUse)
    xb, tile, readout = chip.crossbar, chip.tile, chip.crossbar.readout
    slices = op.length * readout.slices(op.element_bits)
    columns, converted = slices * readout.columns_per_slice, slices * readout.conversions_per_slice
    bits = adc_bits_of_bag(use, xb)
    reads = op.bags * use.reads
    conversions = reads * converted
    lines = op.bags * op.lookups * readout.rows_per_input
    merges = op.bags * larger(use.reads - 1.0, 0.0) * op.length
    offsets = op.bags * op.length if readout.polarities == 1 else 0
    sum_bits = bag_bits(op)
    sums = bag_sums(op, placement, chip)
    routed = op.bags * sums.hops * sums.bits
    energies: dict[str, Number] = {
        "adc": conversions * xb.adc.energy_j(bits),
        "dac": lines * placement.column_blocks * xb.dac.energy.at(1),
        "driver": lines * placement.column_blocks * xb.driver.energy_j(xb.columns),
        "sample_hold": conversions * xb.sample_hold.energy.value,
        "array": lines * columns * xb.cell.mac.value,
        "shift_add": (conversions * xb.adc.steps(bits) + merges + offsets) * xb.shift_add.energy.value,
        "input_register": lines * placement.column_blocks * xb.input_register.energy.value,
        "output_register": reads * op.length * sum_bits * xb.output_register.energy.value,
        "bus": (op.bags * op.length * op.element_bits + merges * sum_bits) * tile.bus.energy.value,
        "router": routed * tile.router.energy.value if network is None else network.router_j,
    }
    if network is not None:
        energies["wire"] = network.wire_j
    deepest = ceil_div(int(-(-op.lookups // 1)), use.rows_at_once)  # where all rows of a bag lie in one block
    rounds, bag_s = ceil_div(op.bags, placement.copies), deepest * xb.phase_s(Phase(1))
    passing = sums.bits / tile.router.bandwidth.value  # sums of one bag from a tile to the next
    busy = {"crossbars": larger(rounds * bag_s, rounds * passing)}
    if network is None and np.any(sums.hops):
        used = larger(ceil_div(mapping.in_tiles, tile.crossbars), 1)
        busy["routers"] = routed / (used * tile.router.bandwidth.value)
    hop_s = tile.router.delay.value if network is None else network.hop_s
    adding = sums.in_turn(chip.interconnect) * hop_s + passing
    leaving = tile.bus.time_s(op.bags * op.length * op.element_bits)
    latency = larger(rounds * bag_s, (rounds - 1) * passing + bag_s)
    return energies, latency + xb.drain_s + adding + leaving, busy
