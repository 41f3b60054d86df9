"""The chip: tiles, banks, vector unit, links, and the options that a user or a search may turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from pimsim.adc import ADC_MODELS, ADC_NODE_NM, MOST_ADC_BITS
from pimsim.cost import Footprint, added_parts, total_footprint
from pimsim.digital import WIRE, Dram, Link, VectorUnit
from pimsim.errors import InputError
from pimsim.quantity import Count, Number, Quantity
from pimsim.readout import Readout
from pimsim.scaling import at_node
from pimsim.technology import Technology
from pimsim.tile import Bank, Crossbar, Tile

RANGES: dict[str, tuple[int, int]] = {
    "rows": (2, 4096), "columns": (1, 4096), "cell_bits": (1, 4), "dac_bits": (1, 8), "adc_bits": (1, MOST_ADC_BITS),
    "columns_per_adc": (1, 4096), "active_rows": (1, 4096)}
"""Options that are whole numbers, with the least and the most that is allowed."""
CHOICES: dict[str, tuple[Any, ...]] = {
    "encoding": ("offset", "differential"), "flip": (True, False), "adc_model": tuple(ADC_MODELS),
    "pairs": ("converted", "subtracted", "rows"), "zero_skipping": (True, False),
    "interconnect": ("flat", "htree", "mesh")}
"""Options that are one of a few values."""


@dataclass(frozen=True)
class Chip:
    """A chip. `tiles` None: as many as the workload needs, so that area follows what is used.

    `banks`: 0 keeps embedding tables in the tiles' own crossbars, None gives them as many banks as they need.
    `links` to other chips and `dram` cost nothing where they are not used, the links' area aside. `interconnect`
    between tiles, banks and vector unit: one hop to the tile that needs something ("flat"), or a network over which
    distance counts (see `pimsim.interconnect`).
    """

    preset: str
    technology: Technology
    tile: Tile
    tiles: int | None
    bank: Bank
    banks: int | None
    vector_unit: VectorUnit
    link: Link
    links: int
    dram: Dram
    interconnect: Literal["flat", "htree", "mesh"] = "flat"
    wire: Quantity = WIRE

    @property
    def crossbar(self) -> Crossbar:
        """The crossbar that all tiles are made of."""
        return self.tile.ima.crossbar

    @property
    def crossbars(self) -> int | None:
        """Crossbars in all tiles; None if the chip is sized to its workload."""
        return None if self.tiles is None else self.tiles * self.tile.crossbars

    def tops(self, weight_bits: int = 16, input_bits: int = 16, signed: bool = False) -> Number:
        """Peak 10^12 operations per second at these bits, 2 per MAC, all crossbars busy (chip of fixed size)."""
        if self.crossbars is None:
            raise ValueError("a chip sized to its workload has no peak rate: call with_tiles(n) first")
        xb, readout = self.crossbar, self.crossbar.readout
        inputs = xb.rows // readout.rows_per_input
        macs = inputs * (xb.columns // (readout.slices(weight_bits) * readout.columns_per_slice))
        return 2.0 * self.crossbars * macs / xb.vector_s(inputs, input_bits, signed) / 1e12

    def parts(self, tiles: Count, banks: Count, chips: int, *, dram: bool) -> dict[str, Footprint]:
        """Footprints by component of `chips` chips with `tiles` and `banks` in all.

        Links leak only where there is more than one chip (assumption: a link without a partner is off); DRAM adds its
        idle power where it is used, its area is not on the chip.
        """
        return added_parts([
            {name: part.times(tiles) for name, part in self._tile_parts().items()},
            {name: part.times(banks) for name, part in self.bank.parts(self.tile).items()},
            self._shared(chips, dram=dram)])

    def footprint(self, tiles: Count, banks: Count, chips: int, *, dram: bool) -> Footprint:
        """All of `parts` together: what one tile takes up times the tiles, and so on."""
        shared = total_footprint(self._shared(chips, dram=dram))
        return self.tile_footprint.times(tiles) + (self._bank_footprint.times(banks) + shared)

    @cached_property
    def tile_footprint(self) -> Footprint:
        """What one tile takes up, its share of the vector unit included where that is the tiles'."""
        return total_footprint(self._tile_parts())

    def _tile_parts(self) -> dict[str, Footprint]:
        own = {"vector_unit": self.vector_unit.footprint()} if self.vector_unit.per_tile else {}
        return {**self.tile.parts(), **own}

    @cached_property
    def _bank_footprint(self) -> Footprint:
        return total_footprint(self.bank.parts(self.tile))

    def link_area_m2(self, chips: int) -> float:
        """Area of the links to other chips, of all chips."""
        return self.link.area.value * (self.links * chips)

    def _shared(self, chips: int, *, dram: bool) -> dict[str, Footprint]:
        """What there is once on a chip, and the off-chip memory."""
        linked = self.link.footprint()
        if chips == 1:
            linked = Footprint(linked.area_m2, 0.0, linked.peak_w)
        parts = {"link": linked.times(self.links * chips)}
        if not self.vector_unit.per_tile:
            parts = {"vector_unit": self.vector_unit.footprint().times(chips), **parts}
        if dram:
            idle = self.dram.background.value
            peak = idle + self.dram.energy.value * self.dram.bandwidth.value
            parts["dram"] = Footprint(0.0, idle, peak)
        return parts

    def with_tiles(self, tiles: int | None) -> Chip:
        """The same chip with `tiles` tiles; None: sized to its workload, tables in banks, alone (no links)."""
        if tiles is None:
            return replace(self, tiles=None, banks=None, links=0)
        if isinstance(tiles, bool) or not isinstance(tiles, int) or not 1 <= tiles <= 10**6:
            raise InputError(f"chip.tiles is {tiles!r}, allowed: 1 to 1000000, or sized to the workload")
        return replace(self, tiles=tiles)

    def at_node(self, node_nm: int) -> Chip:
        """The same design at another node, by Stillmaker & Baas (Integration 2017), each node at its nominal supply.

        All areas scale by their table; analog parts, links and cells as digital ones (assumption). Digital parts, DAC
        and drivers by their equations: energies, and leakage alike as a share of power (assumption); delays, and with
        them clocks and bandwidths; published peak powers by energy over delay. An ADC's energy and leakage follow the
        node as in the regression over published ADCs, its rate stays; a survey ADC is asked for the node. Cells, the
        time of a read, sample-and-holds, links and memory off the chip stay (assumption): devices, noise and standards
        set them. The technology and the source of every scaled figure say so. InputError for a node without a table.
        """
        return at_node(self, node_nm)

    def with_options(self, **options: Any) -> Chip:
        """The chip with some options set; component counts, areas and times that depend on them follow.

        rows, columns, cell_bits, dac_bits, columns_per_adc: whole numbers (see `RANGES`), or an array with one value
        per design of a sweep. adc_bits, active_rows: the same, or None (lossless; all rows). encoding, flip, adc_model,
        pairs, zero_skipping, interconnect: see `CHOICES`. InputError names the option, the value and what is allowed.
        """
        options = {name: int(v) if isinstance(v, np.integer) else v for name, v in options.items()}
        xb = self.crossbar
        if options.get("adc_model") == xb.adc.model:
            options.pop("adc_model")
        elif "adc_model" in options and xb.adc.model not in ADC_MODELS:
            raise InputError(f"chip.adc_model is {options['adc_model']!r}, allowed on {self.preset}: {xb.adc.model}")
        elif "adc_model" in options and self.technology.node_nm != ADC_NODE_NM:
            raise InputError(f"chip.adc_model is {options['adc_model']!r}, allowed at {self.technology.node_nm} nm: "
                             f"{xb.adc.model} (choose it before the node)")
        for name, value in options.items():
            _check(name, value)
        in_readout = {k: v for k, v in options.items() if k not in ("rows", "columns", "adc_model", "interconnect")}
        in_crossbar = {k: v for k, v in options.items() if k in ("rows", "columns")}
        if "adc_model" in options:
            in_crossbar["adc"] = ADC_MODELS[options["adc_model"]]()
        xb = replace(xb, readout=replace(xb.readout, **in_readout), **in_crossbar)
        if np.any(xb.readout.columns_per_adc > xb.columns):
            raise InputError(f"chip.columns_per_adc is {xb.readout.columns_per_adc}, allowed: 1 to {xb.columns} "
                             "(the crossbar's columns)")
        if xb.readout.active_rows is not None and np.any(xb.readout.active_rows > xb.rows):
            raise InputError(f"chip.active_rows is {xb.readout.active_rows}, allowed: 1 to {xb.rows} "
                             "(the crossbar's rows)")
        if xb.readout.flip and xb.readout.encoding == "differential":
            raise InputError("chip.flip is True, allowed with encoding 'differential': only False")
        _check_readout(xb.readout, self.preset)
        return replace(self, tile=replace(self.tile, ima=replace(self.tile.ima, crossbar=xb)),
                       interconnect=options.get("interconnect", self.interconnect))

    def options(self) -> dict[str, Any]:
        """The value of every option of `with_options`."""
        xb, readout = self.crossbar, self.crossbar.readout
        return {
            "rows": xb.rows, "columns": xb.columns, "cell_bits": readout.cell_bits, "dac_bits": readout.dac_bits,
            "adc_bits": readout.adc_bits, "columns_per_adc": readout.columns_per_adc,
            "active_rows": readout.active_rows, "encoding": readout.encoding, "flip": readout.flip,
            "adc_model": xb.adc.model, "pairs": readout.pairs, "zero_skipping": readout.zero_skipping,
            "interconnect": self.interconnect}

    def arithmetic_options(self) -> dict[str, Any]:
        """What `pimsim.crossbar.Arithmetic` needs to compute as this chip does; `rows` are those of one read at most.

        InputError for a readout that it does not simulate: voltage sensing, analog accumulation, ternary pulses, pairs
        that are subtracted before the conversion, or rows that are skipped.
        """
        xb, readout = self.crossbar, self.crossbar.readout
        simulated = {"sensing": "current", "accumulation": "digital", "inputs": "binary", "pairs": "converted",
                     "zero_skipping": False}
        unlike = [name for name, value in simulated.items() if getattr(readout, name) != value]
        if unlike:
            raise InputError(f"chip {self.preset}: readout.{unlike[0]} is {getattr(readout, unlike[0])!r}, which the "
                             "functional crossbar does not simulate")
        return {
            "rows": readout.rows_at_once(xb.rows), "cell_bits": readout.cell_bits, "dac_bits": readout.dac_bits,
            "adc_bits": xb.adc_bits, "flip": readout.flip, "encoding": readout.encoding, "crossbar_rows": xb.rows}


def _check_readout(readout: Readout, preset: str) -> None:
    """Refuse options that a preset's way of reading does not allow."""
    if readout.pairs != "converted" and readout.encoding != "differential":
        raise InputError(f"chip.encoding is {readout.encoding!r}, allowed with pairs {readout.pairs!r}: only "
                         "'differential'")
    if readout.zero_skipping and (readout.accumulation == "analog" or readout.sensing == "voltage"):
        raise InputError(f"chip.zero_skipping is True, allowed on {preset}: only False (rows that are not driven "
                         "change a voltage, and pulses of a phase are not alike)")
    if readout.accumulation == "analog" and np.any(np.not_equal(readout.dac_bits, 1)):
        raise InputError(f"chip.dac_bits is {readout.dac_bits!r}, allowed on {preset}: only 1 (pulses)")
    if readout.adc_bits is None and (readout.sensing == "voltage" or readout.accumulation == "analog"):
        raise InputError(f"chip.adc_bits is None (lossless), allowed on {preset}: only a number of bits")


def _check(name: str, value: Any) -> None:
    """Refuse an option that does not exist or a value that it cannot have."""
    if name in CHOICES:
        if not any(value is choice or (value == choice and type(value) is type(choice)) for choice in CHOICES[name]):
            raise InputError(f"chip.{name} is {value!r}, allowed: {', '.join(map(str, CHOICES[name]))}")
        return
    if name not in RANGES:
        raise InputError(f"no chip option {name!r}, allowed: {', '.join([*RANGES, *CHOICES])}")
    least, most = RANGES[name]
    if value is None and name in ("adc_bits", "active_rows"):
        return
    whole = np.issubdtype(value.dtype, np.integer) if isinstance(value, np.ndarray) else type(value) is int
    if not whole or np.any(np.less(value, least)) or np.any(np.greater(value, most)):
        raise InputError(f"chip.{name} is {value!r}, allowed: whole numbers from {least} to {most}")
