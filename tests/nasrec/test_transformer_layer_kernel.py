"""The transformer layer as one kernel: its definition in float64, torch's layer, edges, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from every_machine import on_each_kind
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec.kernels import TransformerWeights, transformer_layer
from nasrec.model.norm import EPS

HEADS, WIDTH = 8, 16


def weights_of(rng: np.random.Generator, width: int, hidden: int, size: float = 1.0) -> TransformerWeights:
    """Normal weights, divided by the root of their number of inputs; normal biases."""

    def pair(outputs: int, inputs: int) -> list[np.ndarray]:
        return [size * rng.standard_normal((outputs, inputs)) / inputs**0.5, rng.standard_normal(outputs)]

    def norm() -> list[np.ndarray]:
        return [rng.standard_normal(width), rng.standard_normal(width)]

    parts = [*pair(3 * width, width), *pair(width, width), *norm(), *pair(hidden, width), *pair(width, hidden), *norm()]
    return TransformerWeights(*(part.astype(np.float32) for part in parts))


def in_float64(x: np.ndarray, weights: TransformerWeights, heads: int) -> np.ndarray:
    exact = TransformerWeights(*(part.astype(np.float64) for part in weights))
    return transformer_layer(x.astype(np.float64), exact, heads, EPS, implementation="reference")


def torch_layer(weights: TransformerWeights, heads: int) -> torch.nn.Module:
    """torch's layer with these weights, in float64, in training mode: its parts, no fused path, no dropout."""
    layer = torch.nn.TransformerEncoderLayer(
        weights.qkv_weight.shape[1], heads, len(weights.fc1_bias), dropout=0.0, layer_norm_eps=EPS, batch_first=True
    ).double()
    parts = [layer.self_attn.out_proj, layer.norm1, layer.linear1, layer.linear2, layer.norm2]
    with torch.no_grad():
        targets = [layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias]
        targets += [tensor for part in parts for tensor in (part.weight, part.bias)]
        for target, value in zip(targets, weights, strict=True):
            target.copy_(torch.from_numpy(value))
    return layer


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    batch=st.integers(0, 20),
    rows=st.integers(1, 70),
    shape=st.sampled_from([(8, 2, 16), (4, 2, 3), (2, 2, 1), (3, 1, 5), (3, 3, 9), (1, 5, 20)]),
    size=st.sampled_from([0.1, 1.0, 10.0]),  # with 10, scores need their maximum taken from them
)
def test_equals_its_definition(seed: int, batch: int, rows: int, shape: tuple[int, int, int], size: float) -> None:
    rng, (heads, dim, hidden) = np.random.default_rng(seed), shape
    weights = weights_of(rng, heads * dim, hidden)
    weights = weights._replace(qkv_weight=weights.qkv_weight * np.float32(size))
    x = rng.standard_normal((batch, heads * dim, rows), np.float32)
    expected = in_float64(x, weights, heads)
    results = on_each_kind(lambda: transformer_layer(x, weights, heads, EPS))
    # A score is a sum of products of numbers up to about 4 size; what it is off by, the exponential passes on, and two
    # LayerNorms enlarge where a row's numbers are close to each other. Against a wrong term, which is of size 1.
    bound = 1e-4 * (1 + size**2) * (1 + np.abs(expected).max(initial=0))
    for got in results:
        np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


def test_as_precise_as_float32_allows() -> None:
    """On numbers as the search space has them: a few units in the last place of the result."""
    rng = np.random.default_rng(0)
    weights, x = weights_of(rng, WIDTH, WIDTH), rng.standard_normal((64, WIDTH, 48), np.float32)
    expected = in_float64(x, weights, HEADS)
    error = np.abs(transformer_layer(x, weights, HEADS, EPS) - expected)
    assert error.max() < 2e-5
    assert error.mean() < 5e-7


@pytest.mark.parametrize(("heads", "dim", "hidden"), [(8, 2, 16), (2, 3, 5)])
def test_the_definition_is_torchs_layer(heads: int, dim: int, hidden: int) -> None:
    rng = np.random.default_rng(1)
    weights, x = weights_of(rng, heads * dim, hidden), rng.standard_normal((5, heads * dim, 9), np.float32)
    layer = torch_layer(weights, heads)
    theirs = layer(torch.from_numpy(x.swapaxes(1, 2).astype(np.float64))).detach().numpy().swapaxes(1, 2)
    np.testing.assert_allclose(in_float64(x, weights, heads), theirs, rtol=0, atol=1e-12)


def test_large_scores_leave_one_key() -> None:
    """Scores of 1e6 and beyond do not overflow, whatever their sign."""
    rng = np.random.default_rng(2)
    weights = weights_of(rng, WIDTH, WIDTH)
    weights = weights._replace(qkv_weight=weights.qkv_weight * np.float32(1000), qkv_bias=np.zeros(48, np.float32))
    weights.qkv_weight[32:] /= 1000
    x = rng.standard_normal((4, WIDTH, 20), np.float32)
    for got in on_each_kind(lambda: transformer_layer(x, weights, HEADS, EPS)):
        np.testing.assert_allclose(got, in_float64(x, weights, HEADS), rtol=0, atol=1e-3)


@pytest.mark.parametrize("bound", [49.0, 51.0])
def test_on_both_sides_of_the_bound_up_to_which_no_maximum_is_taken(bound: float) -> None:
    """Scores up to `bound` in units of log 2: queries, keys and values are the rows themselves, queries enlarged."""
    x = np.array([[[1, -1, 0.5, 0], [1, -1, -0.25, 1]]], np.float32)  # rows (1, 1), (-1, -1), (0.5, -0.25), (0, 1)
    weights = TransformerWeights(*(np.zeros_like(part) for part in weights_of(np.random.default_rng(0), 2, 2)))
    unit, one = np.eye(2, dtype=np.float32), np.ones(2, np.float32)
    enlarged = np.float32(bound * np.log(2) * 2**0.5 / 2)  # (1, 1) with itself: 2 enlarged / root 2 = bound log 2
    weights = weights._replace(qkv_weight=np.concatenate([enlarged * unit, unit, unit]), out_weight=unit)
    weights = weights._replace(norm1_weight=one, norm2_weight=one)
    for got in on_each_kind(lambda: transformer_layer(x, weights, 1, 0.5)):
        exact = TransformerWeights(*(part.astype(np.float64) for part in weights))
        expected = transformer_layer(x.astype(np.float64), exact, 1, 0.5, implementation="reference")
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [1e20, 1e22, 1e25, 1e30])
def test_values_that_the_powers_of_scores_would_make_infinite(size: float) -> None:
    """Heads of two numbers, scores up to 40 log 2, values of any size that the output's weights undo."""
    x = np.array([[[5, 5, 5], [1, 2, 3]]], np.float32)
    weights = TransformerWeights(*(np.zeros_like(part) for part in weights_of(np.random.default_rng(0), 2, 2)))
    unit, one = np.eye(2, dtype=np.float32), np.ones(2, np.float32)
    qkv = np.concatenate([unit * np.float32(1.1), unit * np.float32(1.1), unit * np.float32(size)])
    weights = weights._replace(qkv_weight=qkv, out_weight=unit / np.float32(size), norm1_weight=one, norm2_weight=one)
    for got in on_each_kind(lambda: transformer_layer(x, weights, 1, EPS)):
        np.testing.assert_allclose(got, in_float64(x, weights, 1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7FC00001, 0xFFC001FF])
@pytest.mark.parametrize("size", [0.1, 1000.0])
def test_does_not_hide_what_is_not_a_number(bits: int, size: float) -> None:
    """A NaN of any payload reaches every row of its own sample and no other."""
    rng = np.random.default_rng(3)
    weights, x = weights_of(rng, WIDTH, WIDTH, size), rng.standard_normal((3, WIDTH, 11), np.float32)
    x[1, 5, 7] = np.array(bits, np.uint32).view(np.float32)
    for got in on_each_kind(lambda: transformer_layer(x, weights, HEADS, EPS)):
        assert np.isfinite(got[[0, 2]]).all()
        assert np.isnan(got[1]).all()


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7FC00001, 0xFFC001FF])
@pytest.mark.parametrize("rows", [8, 11, 16])
@pytest.mark.parametrize("place", [3, WIDTH + 3])
def test_a_query_or_key_that_is_not_a_number(bits: int, rows: int, place: int) -> None:
    """By its bias alone, values being numbers: the softmax itself must not lose it."""
    rng = np.random.default_rng(7)
    weights, x = weights_of(rng, WIDTH, WIDTH, 0.1), rng.standard_normal((2, WIDTH, rows), np.float32)
    weights.qkv_bias[place] = np.array(bits, np.uint32).view(np.float32)
    for got in on_each_kind(lambda: transformer_layer(x, weights, HEADS, EPS)):
        assert np.isnan(got).all()


def test_strided_inputs_and_no_rows() -> None:
    rng = np.random.default_rng(4)
    weights, x = weights_of(rng, WIDTH, WIDTH), rng.standard_normal((6, 5, WIDTH), np.float32).swapaxes(1, 2)
    expected = transformer_layer(np.ascontiguousarray(x), weights, HEADS, EPS)
    np.testing.assert_array_equal(transformer_layer(x, weights, HEADS, EPS), expected)
    assert transformer_layer(x[:, :, :0], weights, HEADS, EPS).shape == (6, WIDTH, 0)
    assert transformer_layer(x[:0], weights, HEADS, EPS).shape == (0, WIDTH, 5)


@pytest.mark.parametrize(
    ("change", "heads", "eps", "message"),
    [
        ({}, 0, EPS, "heads: 0, expected a divisor of x's 16 coordinates"),
        ({}, 3, EPS, "heads: 3, expected a divisor of x's 16 coordinates"),
        ({}, 8, 0.0, "eps: 0.000000, expected a positive number"),
        ({"qkv_weight": (16, 48)}, 8, EPS, r"qkv_weight: shape \(16, 48\), expected \(48, 16\)"),
        ({"out_bias": (15,)}, 8, EPS, r"out_bias: shape \(15\), expected \(16\)"),
        ({"fc1_bias": (7,)}, 8, EPS, r"fc1_weight: shape \(16, 16\), expected \(7, 16\)"),
        ({"fc2_weight": (16, 15)}, 8, EPS, r"fc2_weight: shape \(16, 15\), expected \(16, 16\)"),
        ({"norm2_weight": (1, 16)}, 8, EPS, r"norm2_weight: shape \(1, 16\), expected 1 dimensions"),
    ],
)
def test_what_is_refused(change: dict[str, tuple[int, ...]], heads: int, eps: float, message: str) -> None:
    weights = weights_of(np.random.default_rng(5), WIDTH, WIDTH)
    weights = weights._replace(**{name: np.zeros(shape, np.float32) for name, shape in change.items()})
    with pytest.raises(ValueError, match=message):
        transformer_layer(np.zeros((2, WIDTH, 3), np.float32), weights, heads, eps)


def test_other_kinds_of_numbers_are_refused() -> None:
    weights = weights_of(np.random.default_rng(6), WIDTH, WIDTH)
    with pytest.raises(TypeError, match="x: dtype float64, expected float32"):
        transformer_layer(np.zeros((2, WIDTH, 3)), weights, HEADS, EPS)
