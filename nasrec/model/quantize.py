"""Quantisation: real numbers to integer codes and back, with a gradient that passes straight through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

FLOAT_BITS = 32  # this many bits mean: not quantised


@dataclass(frozen=True)
class InputCodes:
    """Unsigned affine codes of a tensor: value = scale (code - zero), codes 0 to 2**bits - 1, `codes` held as floats.

    One scale and zero point for the whole tensor, as Jacob et al., "Quantization and Training of Neural Networks for
    Efficient Integer-Arithmetic-Only Inference" (CVPR 2018), eq. 1.
    """

    codes: Tensor
    scale: Tensor
    zero: Tensor

    def values(self) -> Tensor:
        """The real numbers that the codes stand for."""
        return (self.codes - self.zero) * self.scale


@dataclass(frozen=True)
class WeightCodes:
    """Signed symmetric codes of a matrix [out, in]: value = scale[out] code, |code| <= 2**(bits - 1) - 1."""

    codes: Tensor
    scale: Tensor

    def values(self) -> Tensor:
        """The real numbers that the codes stand for."""
        return self.codes * self.scale


def range_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of `x`, widened to include 0 (so that 0 has an exact code)."""
    if x.numel() == 0:
        return x.new_zeros(()), x.new_zeros(())
    low, high = torch.aminmax(x.detach())
    return low.clamp(max=0), high.clamp(min=0)


@torch.no_grad()
def input_codes(x: Tensor, low: Tensor, high: Tensor, bits: int) -> InputCodes:
    """Encode `x` with the range `low` <= 0 <= `high`; values outside are clipped to the last code."""
    top = 2**bits - 1
    scale = (high - low) / top
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zero = torch.round(-low / scale).clamp_(0, top)
    return InputCodes((x / scale).round_().add_(zero).clamp_(0, top), scale, zero)


@torch.no_grad()
def weight_codes(weight: Tensor, bits: int) -> WeightCodes:
    """Encode `weight` [out, in], each output channel on its own scale; a row of zeros has scale 1."""
    top = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(dim=1, keepdim=True) / top if weight.shape[1] else weight.new_zeros(len(weight), 1)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return WeightCodes((weight / scale).round_().clamp_(-top, top), scale)


def fake_quantize_input(x: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
    """The values that codes of `bits` bits can express, nearest to `x`; the gradient is that of the identity."""
    return x if bits == FLOAT_BITS else _straight_through(x, input_codes(x, low, high, bits).values())


def fake_quantize_weight(weight: Tensor, bits: int) -> Tensor:
    """The values that `bits`-bit weights can express, nearest to `weight` [out, in]; the gradient is the identity's."""
    return weight if bits == FLOAT_BITS else _straight_through(weight, weight_codes(weight, bits).values())


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rounded: Tensor) -> Tensor:
        """Give `rounded`."""
        return rounded

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Give the gradient to `x` as it is."""
        return grads[0], None


def _straight_through(x: Tensor, rounded: Tensor) -> Tensor:
    result: Tensor = _StraightThrough.apply(x, rounded)  # type: ignore[no-untyped-call]
    return result
