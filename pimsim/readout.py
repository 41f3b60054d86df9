"""How a crossbar is read: it decides the conversions, the cycles and the bits of the ADC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np

from pimsim.errors import InputError
from pimsim.quantity import Count, Number, Table, bit_length, ceil_div, each, larger, smaller

Encoding = Literal["offset", "differential"]
Pairs = Literal["converted", "subtracted", "rows"]
"""Differential pairs: two columns converted one by one, two columns subtracted before one conversion, or two rows
driven with opposite signs, so that a column's own signal is the difference."""


@lru_cache(maxsize=65536)
def mean_groups(rows: int, at_once: int, driven: float) -> float:
    """Mean groups of at most `at_once` rows that the driven ones of `rows` make, one where none is driven.

    Each row is driven with probability `driven`; the mean of ceil(n / at_once) is the sum over j of P(n > j·at_once).
    At least one: a phase is sensed whatever its inputs are.
    """
    from scipy.special import bdtrc  # takes long to import, and most chips skip nothing

    return 1.0 + math.fsum(float(bdtrc(start, rows, driven)) for start in range(at_once, rows, at_once))


def mean_most_groups(full: int, rows: int, last: int, at_once: int, driven: float) -> float:
    """Mean of the most groups that any of `full` blocks of `rows` rows and one of `last` needs (see `mean_groups`).

    By counting: the sum over j of 1 - P(no block has more than j·at_once driven rows); blocks are independent.
    """
    from scipy.special import bdtrc

    def within(start: int, held: int) -> float:
        return 1.0 - float(bdtrc(start, held, driven)) if start < held else 1.0

    most = max(rows if full else 0, last)
    return 1.0 + math.fsum(1.0 - within(start, rows) ** full * within(start, last)
                           for start in range(at_once, most, at_once))


def lossless_adc_bits(active_rows: Count, cell_bits: Count, dac_bits: Count, *, flip: bool = True,
                      encoding: Encoding = "offset", signed_columns: bool = False) -> Count:
    """ADC bits that lose nothing when `active_rows` cells add up in a column.

    The largest sum is rows · (2^dac_bits − 1) · (2^cell_bits − 1); its bits equal ISAAC's rule (ISCA'16, section 5)
    log2(R) + v + w, less one where v or w is 1. Flip encoding of offset weights stores the complement of a column
    that is more than half full and so saves one bit. Signed columns (a difference is converted) need one more.
    At least 1.
    """
    largest = active_rows * ((1 << dac_bits) - 1) * ((1 << cell_bits) - 1)
    bits = bit_length(largest)
    if flip and encoding == "offset":
        bits = bits - 1
    if signed_columns:
        bits = bits + 1
    return larger(bits, 1)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Phase:
    """`count` equal parts of reading one vector, each of which ends with a conversion.

    In one part `pulses` input digits are applied and sampled one after the other, then integrated over `integrations`
    steps; `known_bits` of the result are known from earlier parts and need not be converted.
    """

    count: Count
    pulses: int = 1
    integrations: int = 0
    known_bits: int = 0


def _integrated(digits: int, digit_bits: int, known_bits: int) -> Phase:
    """One phase of `digits` digits, digit j integrated over 2^(j · digit_bits) steps."""
    return Phase(1, digits, ((1 << digits * digit_bits) - 1) // ((1 << digit_bits) - 1), known_bits)


@dataclass(frozen=True)
class Readout:
    """The way a crossbar is used.

    `active_rows`: rows driven in one read (None: all). `adc_bits`: None means lossless. `encoding`: signed weights as
    an offset subtracted digitally (ISAAC) or as a differential pair of cells, read as `pairs` says. `flip`: ISAAC's
    flip encoding.

    `sensing`: the column's current, which is the sum, or its voltage, which is the mean weighted by conductance
    (NeuRRAM), so that no number of ADC bits is lossless. `accumulation` of the input digits: by shift-and-add after a
    conversion each, or in analog: a digit is integrated over as many steps as it weighs, and one conversion ends a
    phase. More than `phase_bits` digits are then cut into two phases, the second of which converts only the bits that
    the first left open (None: one phase always). `inputs`: binary digits, or ternary pulses that carry the sign.
    `pipelined`: the array reads on while the ADCs convert what the sample-and-holds keep. `zero_skipping`: rows whose
    input digit is zero are left out, so that the others need fewer groups of active rows.
    """

    cell_bits: Count
    dac_bits: Count
    adc_bits: Count | None
    columns_per_adc: Count
    active_rows: Count | None = None
    encoding: Encoding = "offset"
    flip: bool = True
    pairs: Pairs = "converted"
    sensing: Literal["current", "voltage"] = "current"
    accumulation: Literal["digital", "analog"] = "digital"
    inputs: Literal["binary", "ternary"] = "binary"
    phase_bits: int | None = 3
    pipelined: bool = True
    zero_skipping: bool = False

    @cached_property
    def polarities(self) -> int:
        """Cells that hold one slice of a signed weight: two in a differential pair."""
        return 2 if self.encoding == "differential" else 1

    @cached_property
    def rows_per_input(self) -> int:
        """Rows that one input drives: two where a differential pair lies along a column."""
        return 2 if self.encoding == "differential" and self.pairs == "rows" else 1

    @cached_property
    def columns_per_slice(self) -> int:
        """Columns that hold one slice of a weight."""
        return self.polarities // self.rows_per_input

    @cached_property
    def conversions_per_slice(self) -> int:
        """Conversions of one slice in one read: one of each polarity, or one of their difference."""
        return 1 if self.signed_columns else self.polarities

    @cached_property
    def signed_columns(self) -> bool:
        """Whether what is converted is a difference."""
        return self.encoding == "differential" and self.pairs != "converted"

    def slices(self, weight_bits: int) -> Count:
        """Cells (of each polarity) that a weight is cut into; a differential magnitude has no sign bit."""
        magnitude = weight_bits if self.encoding == "offset" else max(weight_bits - 1, 1)
        return ceil_div(magnitude, self.cell_bits)

    def schedule(self, input_bits: int, signed: bool) -> tuple[Phase, ...]:
        """What reading one vector takes; the sign bit of two's complement is a phase (or digit) of its own."""
        ternary = signed and self.inputs == "ternary"
        if self.accumulation == "digital":
            if not signed or ternary:
                return (Phase(ceil_div(max(input_bits - ternary, 1), self.dac_bits)),)
            return (Phase(ceil_div(input_bits - 1, self.dac_bits) + 1),)
        digit_bits = int(np.max(self.dac_bits))  # one value in all designs: a chip's options allow no other
        digits = int(ceil_div(max(input_bits - ternary, 1), digit_bits))
        if self.phase_bits is None or digits <= self.phase_bits:
            return (_integrated(digits, digit_bits, 0),)
        first = -(-digits // 2)
        return (_integrated(first, digit_bits, 0), _integrated(digits - first, digit_bits, first * digit_bits))

    def phases(self, input_bits: int, signed: bool) -> Count:
        """Phases of one vector, each of which ends with a conversion."""
        total: Count = 0
        for phase in self.schedule(input_bits, signed):
            total = total + phase.count
        return total

    @property
    def shortest_phase(self) -> Phase:
        """The phase of a single input digit: what a crossbar does at its highest rate."""
        return Phase(1, 1, 0 if self.accumulation == "digital" else 1)

    def rows_at_once(self, rows: Count) -> Count:
        """Rows driven in one read of a crossbar that has `rows`."""
        return rows if self.active_rows is None else smaller(self.active_rows, rows)

    def reads(self, inputs: int, rows: Count, input_density: float = 1.0) -> tuple[Number, Number]:
        """Reads per phase of a matrix with `inputs` inputs on crossbars of `rows`: (of all row blocks, of the slowest).

        Row blocks are read side by side; the active-row groups inside a block one after the other. With zero skipping
        both are means over inputs whose digits are zero independently of each other (assumption), never below one read.
        """
        held = rows // self.rows_per_input
        blocks = ceil_div(inputs, held)
        if self.active_rows is None:
            return blocks, 1
        at_once = larger(self.rows_at_once(rows) // self.rows_per_input, 1)
        last = inputs - (blocks - 1) * held
        if self.zero_skipping:
            driven = self.driven_share(input_density)
            full = each(mean_groups, held, at_once, driven)
            deepest = each(mean_most_groups, blocks - 1, held, last, at_once, driven)
            return (blocks - 1) * full + each(mean_groups, last, at_once, driven), deepest
        total = (blocks - 1) * ceil_div(held, at_once) + ceil_div(last, at_once)
        return total, ceil_div(smaller(inputs, held), at_once)

    def resolved_adc_bits(self, rows: Count) -> Count:
        """Bits of the ADC on a crossbar of `rows`: as chosen, or lossless (InputError where nothing can be)."""
        if self.adc_bits is not None:
            return self.adc_bits
        if self.sensing == "voltage" or self.accumulation == "analog":
            raise InputError("adc_bits is None (lossless), allowed with voltage sensing or analog accumulation: only "
                             "a number of bits")
        inputs = larger(self.rows_at_once(rows) // self.rows_per_input, 1)  # a pair of rows is never parted
        return lossless_adc_bits(inputs, self.cell_bits, self.dac_bits, flip=self.flip, encoding=self.encoding,
                                 signed_columns=self.signed_columns)

    def driven_share(self, input_density: float) -> Number:
        """Share of rows whose input digit is not zero, its `dac_bits` bits independent of each other (assumption)."""
        return _driven_shares(input_density).at(self.dac_bits)


@lru_cache(maxsize=4096)
def _driven_shares(input_density: float) -> Table:
    shares, zero = [], 1.0
    for _ in range(9):
        shares.append(1.0 - zero)
        zero *= 1.0 - input_density
    return Table(0, tuple(shares), "1", "1 - (1 - density)^bits")
