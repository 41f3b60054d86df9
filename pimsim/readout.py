"""How a crossbar is read: it decides the conversions, the cycles and the bits of the ADC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pimsim.quantity import Count, Number, Table, bit_length, ceil_div, larger, smaller

Encoding = Literal["offset", "differential"]


def lossless_adc_bits(active_rows: Count, cell_bits: Count, dac_bits: Count, *, flip: bool = True,
                      encoding: Encoding = "offset") -> Count:
    """ADC bits that lose nothing when `active_rows` cells add up in a column.

    The largest sum is rows · (2^dac_bits − 1) · (2^cell_bits − 1); its bits equal ISAAC's rule (ISCA'16, section 5)
    log2(R) + v + w, less one where v or w is 1. Flip encoding of offset weights stores the complement of a column
    that is more than half full and so saves one bit. At least 1.
    """
    largest = active_rows * ((1 << dac_bits) - 1) * ((1 << cell_bits) - 1)
    bits = bit_length(largest)
    if flip and encoding == "offset":
        bits = bits - 1
    return larger(bits, 1)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Readout:
    """The way a crossbar is used.

    `active_rows`: rows driven in one read (None: all). `adc_bits`: None means lossless. `encoding`: signed weights as
    an offset subtracted digitally (ISAAC) or as a differential pair of cells. `flip`: ISAAC's flip encoding.
    """

    cell_bits: Count
    dac_bits: Count
    adc_bits: Count | None
    columns_per_adc: Count
    active_rows: Count | None = None
    encoding: Encoding = "offset"
    flip: bool = True

    @property
    def polarities(self) -> int:
        """Cells that hold one slice of a signed weight: two in a differential pair."""
        return 2 if self.encoding == "differential" else 1

    def slices(self, weight_bits: int) -> Count:
        """Cells (of each polarity) that a weight is cut into; a differential magnitude has no sign bit."""
        magnitude = weight_bits if self.encoding == "offset" else max(weight_bits - 1, 1)
        return ceil_div(magnitude, self.cell_bits)

    def phases(self, input_bits: int, signed: bool) -> Count:
        """Input phases of one vector: `dac_bits` at a time; the sign bit of two's complement comes alone."""
        if not signed:
            return ceil_div(input_bits, self.dac_bits)
        return ceil_div(input_bits - 1, self.dac_bits) + 1

    def rows_at_once(self, rows: Count) -> Count:
        """Rows driven in one read of a crossbar that has `rows`."""
        return rows if self.active_rows is None else smaller(self.active_rows, rows)

    def reads(self, inputs: int, rows: Count) -> tuple[Count, Count]:
        """Reads per phase of a matrix with `inputs` rows on crossbars of `rows`: (of all row blocks, of the fullest).

        Row blocks are read side by side; the active-row groups inside a block one after the other.
        """
        blocks = ceil_div(inputs, rows)
        if self.active_rows is None:
            return blocks, 1
        at_once = self.rows_at_once(rows)
        last = inputs - (blocks - 1) * rows
        total = (blocks - 1) * ceil_div(rows, at_once) + ceil_div(last, at_once)
        return total, ceil_div(smaller(inputs, rows), at_once)

    def resolved_adc_bits(self, rows: Count) -> Count:
        """Bits of the ADC on a crossbar of `rows`: as chosen, or lossless."""
        if self.adc_bits is not None:
            return self.adc_bits
        return lossless_adc_bits(self.rows_at_once(rows), self.cell_bits, self.dac_bits, flip=self.flip,
                                 encoding=self.encoding)

    def driven_share(self, input_density: float) -> Number:
        """Share of rows whose input digit is not zero, its `dac_bits` bits independent of each other (assumption)."""
        shares, zero = [], 1.0
        for _ in range(9):
            shares.append(1.0 - zero)
            zero *= 1.0 - input_density
        return Table(0, tuple(shares), "1", "1 - (1 - density)^bits").at(self.dac_bits)
