"""The one linear layer: sliced, fake-quantised, or computed as a chip computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasrec.arch import FLOAT, Precision
from nasrec.model.arithmetic import Arithmetic, Programmed
from nasrec.model.quantize import (
    FLOAT_BITS,
    fake_quantize_input,
    fake_quantize_weight,
    input_codes,
    range_of,
    weight_codes,
)
from nasrec.model.weights import Weights

SAMPLE_VECTORS = 1024  # input vectors kept from the calibration batch for the chip's converters


@dataclass(frozen=True)
class _Stored:
    """A weight matrix as programmed: valid for this version of the weights and these bits."""

    version: int
    precision: Precision
    matrix: Programmed
    scale: Tensor
    column_sums: Tensor

    def serves(self, version: int, precision: Precision, device: torch.device) -> bool:
        """Whether the weights are still these, at these bits and on that device."""
        return (self.version, self.precision, self.scale.device) == (version, precision, device)


class QuantLinear(Weights):
    """y = x Wᵀ + b over the last dimension of x, W [outputs, inputs], with weights and inputs of `precision`.

    The range of the inputs is that of the batch in training, and the calibrated one (`input_low`, `input_high`, saved
    with the weights; low > high means: not calibrated) in evaluation. `agree` widens a batch's range to that of other
    processes which compute other rows of it. With an `arithmetic` set, a layer in evaluation
    whose weights and inputs are both quantised lets that arithmetic form the integer products; without gradients.
    """

    input_low: Tensor
    input_high: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        precision: Precision = FLOAT,
        shared: bool = False,
        generator: torch.Generator | None = None,
        blank: bool = False,
    ) -> None:
        """Xavier-uniform weights and zero biases; `blank` leaves the weights unset, to be copied over."""
        super().__init__(shared=shared)
        self.precision = precision
        weight = torch.empty(outputs, inputs)
        if not blank:
            bound = math.sqrt(6.0 / max(1, inputs + outputs))  # Glorot & Bengio, AISTATS 2010, eq. 16
            weight.uniform_(-bound, bound, generator=generator)
        self.own("weight", weight)
        self.has_bias = bias
        if bias:
            self.own("bias", torch.zeros(outputs))
        self.register_buffer("input_low", torch.tensor(math.inf))
        self.register_buffer("input_high", torch.tensor(-math.inf))
        self.recording = False
        self.arithmetic: Arithmetic | None = None
        self.agree: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
        self.register_buffer("_sample", None, persistent=False)  # a buffer, so that it goes where the weights go
        self._sample: Tensor | None
        self._stored: _Stored | None = None

    @property
    def inputs(self) -> int:
        """Columns of the stored weights."""
        return self.get_parameter("weight").shape[1]

    @property
    def outputs(self) -> int:
        """Rows of the stored weights."""
        return self.get_parameter("weight").shape[0]

    def forward(
        self,
        x: Tensor,
        outputs: int | None = None,
        columns: Sequence[slice] | None = None,
        precision: Precision | None = None,
    ) -> Tensor:
        """Map x [..., inputs] to [..., outputs], with shared weights cut to the first `outputs` and the `columns`."""
        precision = precision or self.precision
        weight = self.take("weight", outputs, columns)
        bias = self.take("bias", outputs) if self.has_bias else None
        if self.recording:
            self._record(x)
        if precision == FLOAT or x.shape[-1] == 0:
            return functional.linear(x, weight, bias)
        low, high = self._range(x)
        if self.arithmetic is not None and not self.training and _integer(precision):
            return self._compute(self.arithmetic, x, low, high, precision)
        x = fake_quantize_input(x, low, high, precision.input_bits)
        return functional.linear(x, fake_quantize_weight(weight, precision.weight_bits), bias)

    def reads_corners(self, precision: Precision) -> bool:
        """Whether `corner` may stand for a product with padded inputs at this precision.

        Not where ranges of padded inputs count, nor where a shared layer shows what a subnet has to copy.
        """
        return precision == FLOAT and not self.recording and (not self.shared or torch.is_grad_enabled())

    def corner(self, x: Tensor, outputs: int, start: int) -> Tensor:
        """Map x [..., n] by the first `outputs` rows and n columns from `start` (an exact layer: from 0), in float."""
        if self.shared:
            weight = self.take("weight", outputs, (slice(start, start + x.shape[-1]),))
            bias = self.take("bias", outputs) if self.has_bias else None
        else:
            weight = self.get_parameter("weight")[:outputs, : x.shape[-1]]
            bias = self.get_parameter("bias")[:outputs] if self.has_bias else None
        return functional.linear(x, weight, bias)

    def compute_as(self, arithmetic: Arithmetic | None) -> None:
        """Let `arithmetic` form the integer products in evaluation; None goes back to float."""
        self.arithmetic = arithmetic
        self._stored = None

    def _range(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.training or self.shared or bool(self.input_low > self.input_high):
            low, high = range_of(x)
            return self.agree(low, high) if self.training and self.agree is not None else (low, high)
        return self.input_low, self.input_high

    def _record(self, x: Tensor) -> None:
        low, high = range_of(x)
        self.input_low.copy_(torch.minimum(self.input_low, low))
        self.input_high.copy_(torch.maximum(self.input_high, high))
        vectors = x.detach().reshape(-1, x.shape[-1])
        self._sample = vectors[:: max(1, math.ceil(len(vectors) / SAMPLE_VECTORS))].clone()
        self._stored = None

    @torch.no_grad()
    def _compute(self, arithmetic: Arithmetic, x: Tensor, low: Tensor, high: Tensor, precision: Precision) -> Tensor:
        """y = s_x s_w (sum of q_x q_w - z sum of q_w) + b: the chip gives the first sum, the rest is digital."""
        vectors = x.reshape(-1, x.shape[-1])
        bits = precision.input_bits
        encoded = input_codes(vectors, low, high, bits)
        if self._stored is None or not self._stored.serves(self.weight_version, precision, x.device):
            sample = encoded if self._sample is None else input_codes(self._sample, low, high, bits)
            self._stored = self._program(arithmetic, _unsigned(sample.codes), precision)
        stored = self._stored
        product = torch.from_numpy(stored.matrix.multiply(_unsigned(encoded.codes), bits)).to(x.device)
        centred = product.double() - encoded.zero.double() * stored.column_sums
        y = (centred * (encoded.scale.double() * stored.scale)).to(x.dtype)
        y = y + self.get_parameter("bias") if self.has_bias else y
        return y.reshape(*x.shape[:-1], -1)

    @property
    def weight_version(self) -> int:
        """Counts the changes of the weights in place."""
        return self.get_parameter("weight")._version

    def _program(self, arithmetic: Arithmetic, sample: np.ndarray, precision: Precision) -> _Stored:
        encoded = weight_codes(self.get_parameter("weight"), precision.weight_bits)
        codes = encoded.codes.to(torch.int32).cpu().numpy()
        matrix = arithmetic.program(np.ascontiguousarray(codes.T), precision.weight_bits, sample, precision.input_bits)
        return _Stored(
            self.weight_version, precision, matrix, encoded.scale[:, 0].double(), encoded.codes.double().sum(dim=1)
        )


@torch.no_grad()
def calibrate(model: nn.Module, *inputs: Tensor | None) -> None:
    """Run `model` on one batch in evaluation mode and store, in every layer, the range of its inputs."""
    layers = [module for module in model.modules() if isinstance(module, QuantLinear)]
    training = model.training
    model.eval()
    for layer in layers:
        layer.recording = True
        layer.input_low.fill_(math.inf)
        layer.input_high.fill_(-math.inf)
    arithmetics = [layer.arithmetic for layer in layers]
    try:
        for layer in layers:
            layer.arithmetic = None
        model(*inputs)
    finally:
        for layer, arithmetic in zip(layers, arithmetics, strict=True):
            layer.recording = False
            layer.arithmetic = arithmetic
        model.train(training)


def compute_as(model: nn.Module, arithmetic: Arithmetic | None) -> None:
    """Let every quantised layer of `model` compute as the chip does in evaluation; None goes back to float."""
    for module in model.modules():
        if isinstance(module, QuantLinear):
            module.compute_as(arithmetic)


def _integer(precision: Precision) -> bool:
    return precision.weight_bits < FLOAT_BITS and precision.input_bits < FLOAT_BITS


def _unsigned(codes: Tensor) -> np.ndarray:
    return codes.to(torch.uint8).cpu().numpy()
