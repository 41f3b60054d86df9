"""Quantisers: what codes can express, and how gradients pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec.model.quantize import (
    fake_quantize_input,
    fake_quantize_weight,
    input_codes,
    range_of,
    weight_codes,
)

bits_of = st.integers(2, 8)


@settings(max_examples=60, deadline=None)
@given(bits_of, st.integers(0, 2**32 - 1), st.floats(-3, 3), st.floats(1e-3, 1e3))
def test_input_codes(bits: int, seed: int, shift: float, size: float) -> None:
    x = torch.from_numpy((np.random.default_rng(seed).standard_normal((7, 5)) + shift) * size)
    low, high = range_of(x)
    assert low <= 0 <= high
    encoded = input_codes(x, low, high, bits)
    assert encoded.codes.min() >= 0
    assert encoded.codes.max() <= 2**bits - 1
    assert torch.equal(encoded.codes, encoded.codes.round())
    assert (encoded.values() - x).abs().max() <= encoded.scale * 1.0000001  # half a step, and half for the zero point
    zero = input_codes(torch.zeros(1, dtype=x.dtype), low, high, bits)
    assert zero.values() == 0.0


@settings(max_examples=60, deadline=None)
@given(bits_of, st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_weight_codes(bits: int, seed: int, size: float) -> None:
    weight = torch.from_numpy(np.random.default_rng(seed).standard_normal((6, 9)) * size)
    weight[2] = 0.0
    encoded = weight_codes(weight, bits)
    top = 2 ** (bits - 1) - 1
    assert encoded.codes.abs().max() == top
    assert torch.equal(encoded.codes, encoded.codes.round())
    assert torch.all((encoded.values() - weight).abs() <= encoded.scale * 0.5000001)
    assert torch.all(encoded.values()[2] == 0.0)
    rows = [row for row in range(6) if row != 2]
    assert torch.all(encoded.codes[rows].abs().amax(dim=1) == top)  # each output channel uses its whole range


def test_codes_by_hand() -> None:
    encoded = input_codes(torch.tensor([-1.0, 0.0, 0.4, 2.0, 9.0]), torch.tensor(-1.0), torch.tensor(2.0), 2)
    assert encoded.codes.tolist() == [0.0, 1.0, 1.0, 3.0, 3.0]  # a step is 1, zero has code 1, 9 is clipped
    assert encoded.values().tolist() == [-1.0, 0.0, 0.0, 2.0, 2.0]
    weights = weight_codes(torch.tensor([[3.0, -1.0, 0.4], [0.1, 0.2, -0.3]]), 3)
    assert weights.codes.tolist() == [[3.0, -1.0, 0.0], [1.0, 2.0, -3.0]]


def test_constant_and_empty_inputs() -> None:
    for x in (torch.zeros(3, 2), torch.zeros(3, 0)):
        low, high = range_of(x)
        assert torch.equal(input_codes(x, low, high, 4).values(), x)
    x = torch.full((3, 2), 5.0)
    assert torch.allclose(input_codes(x, *range_of(x), 4).values(), x)


@pytest.mark.parametrize("bits", [2, 4, 8, 32])
def test_gradients_pass_straight_through(bits: int) -> None:
    x = torch.randn(4, 3, requires_grad=True)
    w = torch.randn(5, 3, requires_grad=True)
    upstream = torch.randn(4, 3)
    fake_quantize_input(x, *range_of(x), bits).backward(upstream)
    fake_quantize_weight(w, bits).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, upstream)
    assert w.grad is not None
    assert torch.all(w.grad == 1.0)


def test_32_bits_change_nothing() -> None:
    x = torch.randn(4, 3)
    assert fake_quantize_input(x, *range_of(x), 32) is x
    assert fake_quantize_weight(x, 32) is x
