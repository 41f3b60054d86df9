"""The attention kernel: its definition in float64, the same bits everywhere, edges, and its place in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from every_machine import on_every_machine, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec import kernels
from nasrec.model.interaction import attention

EPS = float(np.finfo(np.float32).eps)


@st.composite
def attention_case(draw) -> tuple[np.ndarray, np.ndarray, int]:
    """qkv, the gradient of the output, and heads: registers filled and not, numbers per head even and odd."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    batch, rows = draw(st.integers(0, 20)), draw(st.integers(1, 40))
    heads, dim = draw(st.sampled_from([(8, 2), (4, 2), (2, 2), (3, 2), (8, 1), (3, 3), (2, 5), (1, 64)]))
    size = draw(st.sampled_from([0.1, 1.0, 4.0]))
    qkv = (size * rng.standard_normal((batch, rows, 3 * heads * dim))).astype(np.float32)
    return qkv, rng.standard_normal((batch, rows, heads * dim)).astype(np.float32), heads


def attention_bound(qkv: np.ndarray, heads: int) -> float:
    """The relative error that a probability may have.

    A score is below `score`, a sum of dim products: it and the maximum have errors below (dim + 4) * score * eps / 2
    each, which the exponential passes on; the exponential has 2 eps, its sum of `rows` terms and the division the rest.
    """
    dim = qkv.shape[2] // 3 // heads
    q, k, _ = np.split(np.abs(qkv), 3, axis=2)
    score = dim**0.5 * float(q.max(initial=0.0)) * float(k.max(initial=0.0))
    return EPS * ((dim + 4) * score + qkv.shape[1] + 4)


@settings(max_examples=60, deadline=None)
@given(attention_case())
def test_attention(case) -> None:
    qkv, grad, heads = case
    exact = qkv.astype(np.float64)
    rows, bound = qkv.shape[1], 2 * attention_bound(qkv, heads)  # of a mean with such weights, its own sum included
    got = same_bits(on_every_machine(lambda: kernels.attention(qkv, heads)))
    q, k, v = (np.abs(part).max(initial=0.0) for part in np.split(exact, 3, axis=2))
    expected = kernels.attention(exact, heads, implementation="reference")
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound * v)
    expected = kernels.attention_backward(exact, grad.astype(np.float64), heads, implementation="reference")
    got = same_bits(on_every_machine(lambda: kernels.attention_backward(qkv, grad, heads)))
    # a gradient of a score is a probability times at most 2 dim g v, g the largest gradient of the output
    dim = qkv.shape[2] // 3 // heads
    slope = 2 * dim * np.abs(grad).max(initial=0.0) * v
    for part, size in enumerate((slope * k, rows * slope * q, rows * np.abs(grad).max(initial=0.0))):
        place = slice(part * heads * dim, (part + 1) * heads * dim)
        np.testing.assert_allclose(got[..., place], expected[..., place], rtol=0, atol=2 * bound * size)


def test_attention_by_hand() -> None:
    log3 = float(np.log(3.0))
    qkv = np.array([[[log3, 1, 2], [0, 0, 6]]], np.float32)  # one head of one number: scores log 3 and 0, then 0 and 0
    np.testing.assert_allclose(kernels.attention(qkv, 1), [[[0.75 * 2 + 0.25 * 6], [4]]], rtol=3e-7)
    # gradient 1 of the first output: d/d score = p0 p1 (v0 - v1) = -0.75 and 0.75
    grad = kernels.attention_backward(qkv, np.array([[[1], [0]]], np.float32), 1)
    expected = [[[-0.75 * 1 + 0.75 * 0, -0.75 * log3, 0.75], [0, 0.75 * log3, 0.25]]]
    np.testing.assert_allclose(grad, expected, rtol=1e-6, atol=1e-7)


def test_attention_of_one_row_is_its_value() -> None:
    qkv = np.random.default_rng(3).standard_normal((5, 1, 48)).astype(np.float32)
    grad = qkv[..., :16].copy()
    np.testing.assert_array_equal(kernels.attention(qkv, 8), qkv[..., 32:])
    np.testing.assert_array_equal(kernels.attention_backward(qkv, grad, 8)[..., 32:], grad)
    np.testing.assert_array_equal(kernels.attention_backward(qkv, grad, 8)[..., :32], 0)
    assert kernels.attention(qkv[:, :0], 8).shape == (5, 0, 16)
    assert kernels.attention_backward(qkv[:, :0], grad[:, :0], 8).shape == (5, 0, 48)


@pytest.mark.parametrize(("rows", "dim"), [(512, 2), (512, 64), (300, 3)])
def test_attention_over_many_rows(rows: int, dim: int) -> None:
    rng = np.random.default_rng(4)
    qkv = rng.standard_normal((1, rows, 3 * dim)).astype(np.float32)
    grad = rng.standard_normal((1, rows, dim)).astype(np.float32)
    exact = kernels.attention(qkv.astype(np.float64), 1, implementation="reference")
    np.testing.assert_allclose(kernels.attention(qkv, 1), exact, rtol=0, atol=2e-6)
    exact = kernels.attention_backward(qkv.astype(np.float64), grad.astype(np.float64), 1, implementation="reference")
    np.testing.assert_allclose(kernels.attention_backward(qkv, grad, 1), exact, rtol=0, atol=1e-5)


def test_attention_with_extreme_scores() -> None:
    """Scores of +-1e4 leave one key each, or several that tie; nothing overflows."""
    rng = np.random.default_rng(5)
    qkv = rng.standard_normal((6, 9, 48)).astype(np.float32)
    qkv[..., :32] = 84.0 * np.sign(qkv[..., :32])  # 84^2 * 2 / sqrt(2) = 1e4
    grad = rng.standard_normal((6, 9, 16)).astype(np.float32)
    exact, out = qkv.astype(np.float64), same_bits(on_every_machine(lambda: kernels.attention(qkv, 8)))
    np.testing.assert_allclose(out, kernels.attention(exact, 8, implementation="reference"), rtol=0, atol=1e-6)
    expected = kernels.attention_backward(exact, grad.astype(np.float64), 8, implementation="reference")
    got = same_bits(on_every_machine(lambda: kernels.attention_backward(qkv, grad, 8)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=84 * 1e-5)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7FC00001, 0xFFC001FF])  # NaNs differ
@pytest.mark.parametrize("place", [0, 16, 32])
def test_attention_does_not_hide_what_is_not_a_number(place: int, bits: int) -> None:
    qkv = np.ones((2, 3, 48), np.float32)
    qkv[1, 2, place] = np.array(bits, np.uint32).view(np.float32)
    for implementation in ("kernel", "reference"):
        out = kernels.attention(qkv, 8, implementation=implementation)
        assert np.isfinite(out[0]).all()
        assert np.isnan(out[1, 2 if place == 0 else slice(None), 0]).all(), implementation
    assert np.isnan(kernels.attention_backward(qkv, np.ones((2, 3, 16), np.float32), 8)).any()


def test_exponential_of_attention() -> None:
    """Seen through two keys with scores s and 0 and values 1 and 0: out = e / (1 + e), e = exp(s)."""
    s = -np.linspace(0, 60, 20_001, dtype=np.float32)
    qkv = np.zeros((len(s), 2, 3), np.float32)
    qkv[:, 0] = np.stack([np.ones_like(s), s, np.ones_like(s)], axis=1)
    got = kernels.attention(qkv, 1)[:, 0, 0].astype(np.float64)
    exact = np.exp(s.astype(np.float64))
    # 2 eps for the exponential; s * log2(e) is rounded twice (factor, product), the sum and the division once each
    bound = 2 * EPS + (np.abs(s) + 1) * EPS
    assert (np.abs(got * (1 + exact) / exact - 1) <= bound).all()


SHAPES = [(3, 1, 8, 2), (17, 24, 8, 2), (5, 7, 2, 3)]  # batch, rows, heads, numbers per head


@pytest.mark.parametrize(("batch", "rows", "heads", "dim"), SHAPES)
def test_in_torch_equals_float64(batch: int, rows: int, heads: int, dim: int) -> None:
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(rows, batch, 3 * heads * dim, generator=generator).transpose(0, 1).requires_grad_()  # strided
    exact = qkv.detach().double().requires_grad_()
    got, expected = attention(qkv, heads), attention(exact, heads)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.detach().double(), expected.detach(), rtol=0, atol=2e-6)
    factor = torch.randn(rows, batch, heads * dim, generator=generator).transpose(0, 1)
    (got_grad,) = torch.autograd.grad(got, qkv, factor)
    (expected_grad,) = torch.autograd.grad(expected, exact, factor.double())
    torch.testing.assert_close(got_grad.double(), expected_grad, rtol=0, atol=1e-5)


def test_gradcheck_of_the_float64_path() -> None:
    generator = torch.Generator().manual_seed(1)
    qkv = torch.randn(2, 4, 12, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: attention(x, 2), (qkv,))
    reference = kernels.attention(qkv.detach().numpy(), 2, implementation="reference")
    np.testing.assert_allclose(attention(qkv, 2).detach().numpy(), reference, rtol=0, atol=1e-14)


def test_strided_and_read_only_inputs() -> None:
    x = np.random.default_rng(2).standard_normal((6, 5, 6)).astype(np.float32)
    strided = np.repeat(x, 2, axis=2)[:, :, ::2]
    strided.flags.writeable = False
    np.testing.assert_array_equal(kernels.attention(strided, 1), kernels.attention(x, 1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: kernels.attention(np.ones((2, 3, 6)), 1), TypeError, "qkv: dtype float64, expected float32"),
        (lambda: kernels.attention(np.ones((2, 3, 6), np.float32), 0), ValueError, "heads: 0, expected 1 or more"),
        (
            lambda: kernels.attention(np.ones((2, 3, 18), np.float32), 4),
            ValueError,
            r"qkv: shape \(2, 3, 18\), expected a last dimension of 3 \* 4 heads",
        ),
        (lambda: kernels.attention(np.ones((2, 3, 0), np.float32), 1), ValueError, r"qkv: shape \(2, 3, 0\)"),
        (
            lambda: kernels.attention_backward(np.ones((2, 3, 6), np.float32), np.ones((2, 3, 6), np.float32), 1),
            ValueError,
            r"grad: shape \(2, 3, 6\), expected \(2, 3, 2\)",
        ),
    ],
)
def test_what_is_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
