"""The quantised linear layer: ranges, crossbar arithmetic, slices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nasrec.arch import Precision
from nasrec.model.linear import QuantLinear, calibrate, compute_as
from nasrec.model.subnet import Subnet
from nasrec.space import Space


class Exact:
    """Integer arithmetic without error; remembers what it was given."""

    def __init__(self) -> None:
        self.programmed: list[tuple[np.ndarray, int, np.ndarray, int]] = []

    def program(self, weight_codes, weight_bits, sample_codes, input_bits):
        self.programmed.append((weight_codes, weight_bits, sample_codes, input_bits))
        return ExactMatrix(weight_codes)


class ExactMatrix:
    """A stored integer matrix."""

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes.astype(np.int64)

    def multiply(self, codes: np.ndarray, input_bits: int) -> np.ndarray:
        assert codes.dtype == np.uint8
        assert codes.max() < 2**input_bits
        return codes.astype(np.int64) @ self.codes


def layer_of(precision: Precision, *, bias: bool = True) -> QuantLinear:
    layer = QuantLinear(9, 4, bias=bias, precision=precision, generator=torch.Generator().manual_seed(0))
    if bias:
        layer.get_parameter("bias").data.normal_(generator=torch.Generator().manual_seed(1))
    return layer


def test_float_precision_is_a_plain_linear_layer() -> None:
    layer, x = layer_of(Precision()), torch.randn(3, 9)
    assert torch.equal(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))
    assert torch.equal(layer.eval()(x), torch.nn.functional.linear(x, layer.weight, layer.bias))


def test_stored_range_in_evaluation_batch_range_in_training() -> None:
    layer = layer_of(Precision(8, 4))
    small, large = torch.rand(6, 9), 10 * torch.rand(6, 9)
    calibrate(layer, small)
    assert float(layer.input_low) == 0.0
    assert float(layer.input_high) == float(small.max())
    assert not layer.recording
    training = layer(large)
    evaluation = layer.eval()(large)  # clipped to the small range
    assert evaluation.abs().max() < training.abs().max()
    assert torch.equal(layer(small), layer.train()(small))
    fresh = layer_of(Precision(8, 4)).eval()
    assert torch.equal(fresh(large), fresh.train()(large))  # not calibrated: the batch's range
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh.eval()(large), evaluation)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bits", [(8, 8), (4, 8), (2, 3)])
def test_crossbar_arithmetic_without_error_equals_fake_quantisation(bits: tuple[int, int], bias: bool) -> None:
    layer, arithmetic = layer_of(Precision(*bits), bias=bias), Exact()
    x = torch.randn(5, 16, 9)
    calibrate(layer, x)
    fake = layer.eval()(x)
    layer.compute_as(arithmetic)
    assert torch.allclose(layer(x), fake, atol=2e-6)
    codes, weight_bits, sample, input_bits = arithmetic.programmed[0]
    assert (codes.shape, weight_bits, sample.shape, input_bits) == ((9, 4), bits[0], (80, 9), bits[1])
    layer(x)
    assert len(arithmetic.programmed) == 1  # programmed once
    with torch.no_grad():
        layer.get_parameter("weight").mul_(-1.0)
    layer(x)
    assert len(arithmetic.programmed) == 2  # other weights: programmed again
    layer.compute_as(None)
    assert len(arithmetic.programmed) == 2


def test_converters_see_the_vectors_of_the_calibration_batch() -> None:
    """Codes of a range from 0 to 1.75 at three bits: quarters. What is evaluated is another batch."""
    layer, arithmetic = layer_of(Precision(8, 3)), Exact()
    codes = np.random.default_rng(0).integers(0, 8, (40, 9))
    codes[0, :2] = 0, 7  # the whole range
    calibrate(layer, torch.from_numpy(codes / 4).float())
    layer.eval().compute_as(arithmetic)
    layer(torch.rand(7, 9))
    ((_, _, sample, _),) = arithmetic.programmed
    np.testing.assert_array_equal(sample, codes)


def test_what_a_crossbar_is_programmed_for_goes_where_the_weights_go() -> None:
    """Calibrated on one device and judged on another: meta stands for a GPU."""
    layer, arithmetic = layer_of(Precision(8, 8)), Exact()
    calibrate(layer, torch.randn(5, 9))
    assert not any("sample" in name for name in layer.state_dict())
    assert {buffer.device.type for buffer in layer.to("meta").buffers()} == {"meta"}
    layer = layer_of(Precision(8, 8))
    x = torch.randn(5, 9)
    calibrate(layer, x)
    layer.eval().compute_as(arithmetic)
    layer(x)
    stored = layer._stored
    assert stored.serves(layer.weight_version, layer.precision, x.device)
    assert not stored.serves(layer.weight_version, layer.precision, torch.device("meta"))


def test_arithmetic_is_left_out_in_training_and_where_not_quantised() -> None:
    x, arithmetic = torch.randn(3, 9), Exact()
    for precision, training in ((Precision(8, 8), True), (Precision(8, 32), False), (Precision(), False)):
        layer = layer_of(precision).train(training)
        layer.compute_as(arithmetic)
        layer(x).sum().backward()
    assert arithmetic.programmed == []


def test_subnet_on_exact_crossbars(features, batch_of) -> None:
    space = Space("q", blocks=4, dense_widths=(16, 24), sparse_widths=(6, 8), weight_bits=(4, 8), input_bits=(4, 8))
    rng = np.random.default_rng(0)
    dense, ids, _ = batch_of(features, 12)
    for _ in range(10):
        subnet = Subnet(space.sample(rng), features, generator=torch.Generator().manual_seed(0)).double()
        for name, parameter in subnet.named_parameters():
            if name.endswith("bias"):  # with biases of zero, sums of codes can lie exactly between two codes
                parameter.data.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(1))
        subnet.calibrate(dense, ids)
        assert subnet.training
        subnet.eval()
        expected = subnet(dense, ids)
        arithmetic = Exact()
        subnet.compute_as(arithmetic)
        assert torch.allclose(subnet(dense, ids), expected, rtol=0, atol=1e-9 * float(expected.detach().abs().max()))
        layers = [module for module in subnet.modules() if isinstance(module, QuantLinear)]
        assert len(arithmetic.programmed) == len(layers)
        compute_as(subnet, None)
        assert torch.equal(subnet(dense, ids), expected)


def test_shared_slices_are_views_of_the_parameter() -> None:
    layer = QuantLinear(10, 6, shared=True)
    x = torch.randn(3, 5)
    columns = (slice(1, 3), slice(6, 9))
    y = layer(x, 4, columns)
    weight = torch.cat([layer.weight[:4, cut] for cut in columns], dim=1)
    assert torch.equal(y, torch.nn.functional.linear(x, weight, layer.bias[:4]))
    y.sum().backward()
    assert layer.weight.grad is None
    for active in layer.active():
        assert active.weight.grad is not None
        active.weight.data.fill_(7.0)
        active.accumulator.fill_(3.0)
    for tensor, value in ((layer.weight, 7.0), (layer.adagrad_weight, 3.0)):
        assert torch.all(tensor[:4, 1:3] == value)
        assert torch.all(tensor[:4, 6:9] == value)
        assert int((tensor == value).sum()) == 4 * 5
