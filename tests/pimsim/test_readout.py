"""Phases, slices, reads, and the bits that lose nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pimsim.readout import Readout, lossless_adc_bits

ISAAC = Readout(cell_bits=2, dac_bits=1, adc_bits=None, columns_per_adc=128)


@given(st.integers(1, 2048), st.integers(1, 4), st.integers(1, 4))
def test_lossless_bits_just_hold_the_largest_sum(rows: int, cell_bits: int, dac_bits: int) -> None:
    bits = lossless_adc_bits(rows, cell_bits, dac_bits, flip=False)
    largest = rows * (2**cell_bits - 1) * (2**dac_bits - 1)
    assert 2 ** (bits - 1) - 1 < largest <= 2**bits - 1


@pytest.mark.parametrize("rows", [2, 64, 128, 1024])
@pytest.mark.parametrize(("v", "w"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 4)])
def test_lossless_bits_are_isaacs_rule_for_powers_of_two(rows: int, v: int, w: int) -> None:
    rule = rows.bit_length() - 1 + v + w - (0 if v > 1 and w > 1 else 1)
    assert lossless_adc_bits(rows, w, v, flip=False) == rule
    assert lossless_adc_bits(rows, w, v, flip=True) == rule - 1
    assert lossless_adc_bits(rows, w, v, flip=False, encoding="differential") == rule


def test_isaac_needs_9_bits_and_8_with_flip() -> None:
    assert lossless_adc_bits(128, 2, 1, flip=False) == 9
    assert lossless_adc_bits(128, 2, 1) == ISAAC.resolved_adc_bits(128) == 8


def test_active_rows_set_the_bits_not_the_physical_rows() -> None:
    nine = Readout(cell_bits=1, dac_bits=1, adc_bits=None, columns_per_adc=8, active_rows=9, flip=False)
    assert nine.resolved_adc_bits(512) == 4
    assert nine.reads(9, 512) == (1, 1)
    assert nine.reads(10, 512) == (2, 2)
    assert nine.reads(512 + 9, 512) == (57 + 1, 57)


def test_phases_count_the_sign_bit_apart() -> None:
    two = Readout(cell_bits=2, dac_bits=2, adc_bits=8, columns_per_adc=8)
    assert (ISAAC.phases(8, False), ISAAC.phases(8, True)) == (8, 8)
    assert (two.phases(8, False), two.phases(8, True), two.phases(7, False)) == (4, 5, 4)


def test_slices_and_polarities() -> None:
    assert [ISAAC.slices(bits) for bits in (1, 2, 3, 8)] == [1, 1, 2, 4]
    pair = Readout(cell_bits=2, dac_bits=1, adc_bits=8, columns_per_adc=8, encoding="differential", flip=False)
    assert (pair.slices(8), pair.slices(7), pair.polarities) == (4, 3, 2)


def test_driven_share_is_the_chance_of_a_digit_that_is_not_zero() -> None:
    assert ISAAC.driven_share(0.5) == 0.5
    two = Readout(cell_bits=2, dac_bits=2, adc_bits=8, columns_per_adc=8)
    assert two.driven_share(0.5) == 0.75
    assert (two.driven_share(0.0), two.driven_share(1.0)) == (0.0, 1.0)


def test_arrays_of_designs_give_what_single_designs_give() -> None:
    rows, cells, dacs = np.array([9, 64, 128, 100]), np.array([1, 2, 4, 3]), np.array([1, 2, 1, 4])
    together = lossless_adc_bits(rows, cells, dacs)
    alone = [lossless_adc_bits(int(r), int(c), int(d)) for r, c, d in zip(rows, cells, dacs, strict=True)]
    assert together.tolist() == alone
