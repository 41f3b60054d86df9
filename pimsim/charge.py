"""What one operator costs on the unit where it was placed: energy by component, time, use of resources."""

from __future__ import annotations

from operator import add
from typing import Any, NamedTuple

from pimsim.charge_table import Charged, charge_table
from pimsim.chip import Chip
from pimsim.cost import Cost, OpCost
from pimsim.interconnect import Arriving
from pimsim.mapping import Mapping, Placement
from pimsim.partial_sums import accumulator_bits, partial_sums
from pimsim.quantity import Number, ceil_div, larger
from pimsim.tile import Crossbar
from pimsim.workload import Elementwise, Gather, MatMul, MatVec, Op, Workload

RESULT_BITS = 16  # what the vector unit writes
OWN = ("crossbars", "bank")  # resources that each op has for itself


def charge(op: Op, mapping: Mapping, chip: Chip, arriving: Arriving | None = None) -> OpCost:
    """Cost of `op` for one inference; `arriving`: what its inputs take over a network, None: one hop to its tile."""
    return cost_of(op, Charge.of(_charged(op, mapping.placements[op.name], mapping, chip, arriving)))


class Charge(NamedTuple):
    """What one op takes, under no name; "crossbars" and "bank" in `busy_s` are its own, all else is shared."""

    energy_j: Number
    latency_s: Number
    busy_s: dict[str, Number]
    by_component: dict[str, Number]

    @classmethod
    def of(cls, charged: Charged) -> Charge:
        """With the energies added up, in the order of the components."""
        energies, latency, busy = charged
        total: Number = 0.0
        for energy in energies.values():
            total = total + energy
        return cls(total, latency, busy, energies)


def cost_of(op: Op, charge: Charge) -> OpCost:
    """The cost of `op`, its own resources under its name."""
    named = {f"{name} of {op.name}" if name in OWN else name: seconds for name, seconds in charge.busy_s.items()}
    return OpCost(op.name, op.op, Cost(charge.energy_j, charge.latency_s, named), charge.by_component)


def charge_all(workload: Workload, mapping: Mapping, chip: Chip, network: dict[str, Arriving]) -> list[Charge]:
    """What every op takes, in the order of execution; those that are alike in shape and place share one charge."""
    charges: list[Charge] = []
    alike: list[tuple[Placement, Charge] | None] = [None] * len(workload.ops)
    tables: dict[Any, Charge] = {}
    placements = mapping.placements
    for op, shape in zip(workload.ops, workload.shapes, strict=True):
        placement = placements[op.name]
        before, found = alike[shape], None
        if network and op.name in network:
            found = Charge.of(_charged(op, placement, mapping, chip, network[op.name]))
        elif before is not None and before[0] is placement:
            found = before[1]
        elif placement.table is not None and isinstance(op, Gather) and placement.unit != "crossbars":
            # What reading a row takes does not depend on how many rows there are, but for the share in each tier.
            use = placement.table
            key = op.length, op.bags, op.lookups, op.element_bits, id(use.plan), id(use.hit_share)
            found = tables.get(key)
            if found is None:
                found = tables[key] = Charge.of(_charged(op, placement, mapping, chip, None))
        else:
            found = Charge.of(_charged(op, placement, mapping, chip, None))
            alike[shape] = placement, found
        charges.append(found)
    return charges


def _charged(op: Op, placement: Placement, mapping: Mapping, chip: Chip, arriving: Arriving | None) -> Charged:
    shared = {} if arriving is None else arriving.busy_s
    if isinstance(op, MatVec):
        energies, latency, own = _matvec(op, placement, chip, mapping, arriving)
        return energies, latency, {**own, **shared}
    if isinstance(op, Gather):
        return charge_table(op, placement, chip, mapping, arriving)
    if isinstance(op, MatMul):
        steps, operands, results = op.needed_macs, op.operands, op.outputs
    else:
        steps, operands, results = op.steps, op.count * op.operands, op.count
    energies, latency, vector_busy = _vector(op, steps, operands, results, chip, mapping)
    if arriving is not None:
        energies |= {"router": arriving.router_j, "wire": arriving.wire_j}
        latency = arriving.delay_s + operands * op.input_bits / chip.tile.router.bandwidth.value + latency
    return energies, latency, {"vector_unit": vector_busy, **shared}


def reading(op: MatVec, xb: Crossbar) -> tuple[dict[str, Number], Number]:
    """What crossbars `xb` and their converters take for all vectors of `op`: energy by component, seconds per vector.

    conversions = vectors x phases x reads x outputs x slices x conversions per slice (ISAAC, ISCA'16, section 5; with
    one polarity or two columns converted apart, conversions per slice are the polarities). Row blocks and column
    blocks are read side by side.
    """
    readout = xb.readout
    schedule = readout.schedule(op.input_bits, op.signed_inputs)
    reads, deepest = readout.reads(op.inputs, xb.rows, op.input_density)
    slices = op.outputs * readout.slices(op.weight_bits)
    columns, converted = slices * readout.columns_per_slice, slices * readout.conversions_per_slice
    column_blocks = ceil_div(columns, xb.columns)
    lines = op.inputs * readout.rows_per_input
    sampled = reads * converted  # columns at the converters in one phase

    summed: Any = None
    for phase in schedule:
        count, bits = op.vectors * phase.count, xb.phase_bits(phase)
        conversions = count * sampled
        terms = (count, count * phase.pulses, count * phase.integrations, conversions * xb.adc.energy_j(bits),
                 conversions * xb.adc.steps(bits), phase.count * deepest * xb.phase_s(phase))
        summed = terms if summed is None else tuple(map(add, summed, terms))
    cycles, pulses, integrations, adc, additions, seconds = summed
    holding = pulses * sampled * xb.sample_hold.energy.value
    if readout.accumulation == "analog":
        holding = holding + integrations * sampled * xb.sample_hold.integrate.value
    drives = pulses * lines * readout.driven_share(op.input_density)
    merges = op.vectors * op.outputs * (ceil_div(op.inputs, xb.rows // readout.rows_per_input) - 1)
    # Offset weights: the sum of the inputs is counted as they pass, and taken off each block's result.
    offsets = (pulses * op.inputs + merges + op.vectors * op.outputs) if readout.polarities == 1 else 0
    return {
        "adc": adc,
        "dac": drives * column_blocks * xb.dac.energy.at(readout.dac_bits),
        "driver": pulses * lines * column_blocks * xb.driver.energy_j(xb.columns),
        "sample_hold": holding,
        "array": drives * columns * xb.cell.mac.value,
        "shift_add": (additions + merges + offsets) * xb.shift_add.energy.value,
        "input_register": pulses * op.inputs * readout.dac_bits * column_blocks * xb.input_register.energy.value,
        "output_register": cycles * reads * op.outputs * accumulator_bits(op) * xb.output_register.energy.value,
    }, seconds


def _matvec(op: MatVec, placement: Placement, chip: Chip, mapping: Mapping, network: Arriving | None) -> Charged:
    """A stored matrix times `vectors` vectors: inputs in phases, every used column converted in every read.

    All inputs, and the sums that tiles pass on, pass the routers of the tiles in use in equal shares (assumption); of
    inputs, those from other chips pass the links, in equal shares too (assumption). Sums stay on their chip.
    """
    xb, tile = chip.crossbar, chip.tile
    energies, vector_s = reading(op, xb)
    merges = op.vectors * op.outputs * (placement.row_blocks - 1)
    tiles = ceil_div(placement.row_blocks * placement.column_blocks, tile.crossbars)  # of one copy

    vector_bits, result_bits = op.inputs * op.input_bits, op.outputs * op.output_bits
    moved_in = op.vectors * vector_bits * tiles
    sums = partial_sums(op, placement.row_blocks, placement.column_blocks, tile.crossbars)
    routed = moved_in + op.vectors * sums.hops * sums.bits
    moved_out = op.vectors * result_bits + merges * accumulator_bits(op)
    abroad = (mapping.chips - 1) / mapping.chips  # share of inputs from other chips, ops spread evenly (assumption)
    energies |= {
        "edram": (moved_in + op.vectors * result_bits) * tile.edram.energy.value,
        "bus": (moved_in + moved_out) * tile.bus.energy.value,
        "router": routed * tile.router.energy.value if network is None else network.router_j,
        "link": op.vectors * vector_bits * abroad * chip.link.energy.value,
    }

    if network is not None:
        energies["wire"] = network.wire_j
    rounds = ceil_div(op.vectors, placement.copies)
    streaming = vector_bits / tile.router.bandwidth.value  # the slowest wire on the way of one vector
    passing = sums.bits / tile.router.bandwidth.value  # sums of one vector from a tile to the next
    arriving = tile.router.time_s(vector_bits) if network is None else network.delay_s + streaming
    hop_s = tile.router.delay.value if network is None else network.hop_s
    shared: dict[str, Number] = {}
    if network is None:
        used = larger(ceil_div(mapping.in_tiles, tile.crossbars), 1)
        shared["routers"] = routed / (used * tile.router.bandwidth.value)
    if mapping.chips > 1:
        arriving = arriving + chip.link.time_s(vector_bits * abroad)
        links = chip.links * mapping.chips
        shared["links"] = op.vectors * vector_bits * abroad / (links * chip.link.bandwidth.value)
    leaving = tile.bus.time_s(result_bits)
    busy = larger(rounds * vector_s, op.vectors * streaming + rounds * passing)
    latency = arriving + larger(rounds * vector_s, (op.vectors - 1) * streaming + (rounds - 1) * passing + vector_s)
    adding = sums.in_turn(chip.interconnect) * hop_s + passing
    return energies, latency + xb.drain_s + adding + leaving, {"crossbars": busy, **shared}


def _vector(op: MatMul | Elementwise, steps: int, operands: int, results: int, chip: Chip,
            mapping: Mapping) -> tuple[dict[str, Number], Number, Number]:
    """Lane steps on the vector unit, its operands and results in eDRAM; moving and computing overlap."""
    unit, tile = chip.vector_unit, chip.tile
    bits_in, bits_out = operands * op.input_bits, results * RESULT_BITS
    energies: dict[str, Number] = {
        "vector_unit": unit.energy_j(steps, op.input_bits),
        "edram": (bits_in + bits_out) * tile.edram.energy.value,
        "bus": (bits_in + bits_out) * tile.bus.energy.value,
    }
    computing = unit.time_s(steps, ceil_div(mapping.tiles, mapping.chips))
    busy = larger(computing, (bits_in + bits_out) / tile.bus.bandwidth.value)
    return energies, tile.bus.delay.value + busy, busy
