"""Feature interactions against their definitions in float64, on every instruction set and for every kind of number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from every_machine import on_each_kind, on_every_machine, same_bits
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nasrec import kernels
from nasrec.kernels.bfloat16 import narrow, widen

EPS = float(np.finfo(np.float32).eps)
SIZES = st.tuples(st.integers(0, 40), st.integers(0, 70), st.integers(0, 70))  # batch, features, dim
SEEDS = st.integers(0, 2**32)


def assert_within(results: list[np.ndarray], exact: np.ndarray, bound: np.ndarray) -> None:
    for result in results:
        assert result.dtype == np.float32
        assert result.shape == exact.shape
        assert (np.abs(result - exact) <= bound).all()


@settings(max_examples=60, deadline=None)
@given(SIZES, st.booleans(), SEEDS)
@example((2, 1, 5), False, 0)
@example((2, 1, 5), True, 0)
@example((17, 27, 16), False, 0)
@example((3, 27, 128), True, 0)
@example((1, 512, 4), False, 0)
@example((1, 3, 513), False, 0)
@example((2, 65, 16), True, 0)
def test_dot_interaction(size: tuple[int, int, int], diagonal: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(size).astype(np.float32)
    exact, sizes = x.astype(np.float64), np.abs(x.astype(np.float64))
    definition = {"diagonal": diagonal, "implementation": "reference"}
    expected = kernels.dot_interaction(exact, **definition)
    # a sum of n products has an error below n roundings of products and n of sums, each of the sum of the sizes
    results = on_each_kind(lambda: kernels.dot_interaction(x, diagonal=diagonal))
    assert_within(results, expected, (size[2] + 1) * EPS * kernels.dot_interaction(sizes, **definition))
    grad = rng.standard_normal(expected.shape).astype(np.float32)
    expected = kernels.dot_interaction_backward(exact, grad.astype(np.float64), **definition)
    bound = (size[1] + 1) * EPS * kernels.dot_interaction_backward(sizes, np.abs(grad.astype(np.float64)), **definition)
    results = on_each_kind(lambda: kernels.dot_interaction_backward(x, grad, diagonal=diagonal))
    assert_within(results, expected, bound)


@settings(max_examples=60, deadline=None)
@given(SIZES, SEEDS)
@example((2, 1, 5), 0)
@example((33, 27, 16), 0)
@example((1, 512, 129), 0)
def test_fm_interaction(size: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(size).astype(np.float32)
    exact, sizes = x.astype(np.float64), np.abs(x.astype(np.float64))
    got = same_bits(on_every_machine(lambda: kernels.fm_interaction(x)))
    bound = (2 * size[1] + 3) * EPS * kernels.fm_interaction(sizes, implementation="reference")
    # the definition subtracts two squares, which in float64 leaves an error of its own where nothing remains
    bound = bound + 1e-15 * (size[1] + 1) * np.square(sizes.sum(1))
    assert_within([got], kernels.fm_interaction(exact, implementation="reference"), bound)
    grad = rng.standard_normal(got.shape).astype(np.float32)
    expected = kernels.fm_interaction_backward(exact, grad.astype(np.float64), implementation="reference")
    got = same_bits(on_every_machine(lambda: kernels.fm_interaction_backward(x, grad)))
    bound = 2 * (size[1] + 3) * EPS * np.abs(grad[:, None, :]) * sizes.sum(1, keepdims=True)
    assert_within([got], expected, np.broadcast_to(bound, size))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(0, 90), st.integers(0, 90), SEEDS)
@example(1, 1, 1, 0)
@example(300, 65, 64, 0)
@example(0, 5, 3, 0)
@example(5, 0, 3, 0)
@example(49, 130, 0, 0)
def test_low_rank_cross(batch: int, dim: int, rank: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = ((batch, dim), (batch, dim), (rank, dim), (dim, rank), (dim,), (batch, dim))
    *inputs, grad = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    exact, sizes = [v.astype(np.float64) for v in inputs], [np.abs(v.astype(np.float64)) for v in inputs]
    rounding = (dim + rank + 4) * EPS
    expected = kernels.low_rank_cross(*exact, implementation="reference")
    results = on_each_kind(lambda: kernels.low_rank_cross(*inputs))
    assert_within(results, expected, rounding * kernels.low_rank_cross(*sizes, implementation="reference"))
    expected_all = kernels.low_rank_cross_backward(*exact, grad.astype(np.float64), implementation="reference")
    bounds = kernels.low_rank_cross_backward(*sizes, np.abs(grad.astype(np.float64)), implementation="reference")
    got = on_every_machine(lambda: kernels.low_rank_cross_backward(*inputs, grad))
    for place, (expected, bound) in enumerate(zip(expected_all, bounds, strict=True)):
        of_input = iter([result[place] for result in got])
        results = on_each_kind(lambda of_input=of_input: next(of_input))
        assert_within(results, expected, (rounding + (batch + dim) * EPS) * bound)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 70), st.integers(1, 90), st.sampled_from([1e-5, 1e-2, 1.0]), SEEDS)
@example(1, 1, 1e-5, 0)
@example(700, 16, 1e-5, 0)
@example(5, 1024, 1e-5, 0)
def test_layer_norm(rows: int, dim: int, eps: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, grad = (rng.standard_normal((rows, dim)).astype(np.float32) for _ in range(2))
    weight, bias = (rng.standard_normal(dim).astype(np.float32) for _ in range(2))
    exact = [torch.from_numpy(v.astype(np.float64)).requires_grad_() for v in (x, weight, bias)]
    expected = torch.nn.functional.layer_norm(exact[0], (dim,), exact[1], exact[2], float(np.float32(eps)))
    slopes = torch.autograd.grad(expected, exact, torch.from_numpy(grad.astype(np.float64)))
    # The mean is off by dim + 2 roundings of the largest number; the scale enlarges that, for a number and for all.
    deviation = x.astype(np.float64).std(axis=1, keepdims=True)
    scale, root = 1 / np.sqrt(np.square(deviation) + np.float32(eps)), dim**0.5
    largest = np.abs(x).max(axis=1, keepdims=True, initial=0)
    moved = 2 * scale * largest * (1 + root) + root
    got = same_bits(on_every_machine(lambda: kernels.layer_norm(x, weight, bias, eps)))
    assert_within([got], expected.detach().numpy(), (dim + 12) * EPS * (np.abs(weight) * moved + np.abs(bias)))
    steepest = np.abs(grad * weight).max(axis=1, keepdims=True, initial=0)
    of_x = scale * steepest * ((1 + 2 * scale * largest) * (2 + root) + (1 + root) * (1 + moved))
    bounds = (of_x, (np.abs(grad) * (moved + root)).sum(axis=0), np.abs(grad).sum(axis=0))
    found = on_every_machine(lambda: kernels.layer_norm_backward(x, weight, grad, eps))
    for place, (slope, bound) in enumerate(zip(slopes, bounds, strict=True)):
        got = same_bits([result[place] for result in found])
        assert_within([got], slope.numpy(), (dim + rows + 12) * EPS * bound)


def test_by_hand() -> None:
    x = np.array([[[1, 2], [3, 4], [5, 6]]], np.float32)
    assert kernels.dot_interaction(x).tolist() == [[11, 17, 39]]  # (1,0), (2,0), (2,1)
    assert kernels.dot_interaction(x, diagonal=True).tolist() == [[5, 11, 25, 17, 39, 61]]
    grad = np.array([[1, 10, 100]], np.float32)
    assert kernels.dot_interaction_backward(x, grad).tolist() == [[[53, 64], [501, 602], [310, 420]]]
    assert kernels.fm_interaction(x).tolist() == [[9**2 - 35, 12**2 - 56]]
    assert kernels.dot_interaction(x[:, :1]).shape == (1, 0)
    assert kernels.fm_interaction(x[:, :1]).tolist() == [[0, 0]]
    two = np.ones(2, np.float32)
    assert kernels.layer_norm(np.array([[1, 5]], np.float32), 2 * two, two, 12.0).tolist() == [[0, 2]]  # +-2 / 4
    row, bias = np.array([[2, 3]], np.float32), np.array([1, -1], np.float32)
    down, up = np.array([[1, 10]], np.float32), np.array([[1], [2]], np.float32)
    assert kernels.low_rank_cross(row, row, down, up, bias).tolist() == [[2 * 33 + 2, 3 * 63 + 3]]


@pytest.mark.parametrize("batch", [2047, 2048, 4095, 4096])
def test_large_gradients_are_those_of_their_samples(batch: int) -> None:
    """From a certain size on they are stored past the caches: both sides of the two sizes, 2^20 and 2^21 numbers."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, 32, 16)).astype(np.float32)
    for name, width in (("dot_interaction_backward", 496), ("fm_interaction_backward", 16)):
        grad = rng.standard_normal((batch, width)).astype(np.float32)
        backward = getattr(kernels, name)
        whole = on_every_machine(lambda backward=backward, grad=grad: backward(x, grad)[[0, 5, -1]])
        part = on_every_machine(lambda backward=backward, grad=grad: backward(x[[0, 5, -1]], grad[[0, 5, -1]]))
        for one, other in zip(whole, part, strict=True):
            assert one.tobytes() == other.tobytes()


def test_a_number_that_is_not_finite_stays_where_it_belongs() -> None:
    x = np.ones((3, 27, 20), np.float32)
    x[1, 20] = np.inf
    i, j = np.tril_indices(27, -1)
    for result in on_every_machine(lambda: kernels.dot_interaction(x)):
        assert (np.isfinite(result[1]) == ((i != 20) & (j != 20))).all()
        assert (result[[0, 2]] == 20).all()
    for result in on_every_machine(lambda: kernels.dot_interaction_backward(x, np.ones((3, 351), np.float32))):
        assert np.isfinite(result[1, 20]).all()
        assert np.isinf(np.delete(result[1], 20, 0)).all()
        assert (result[[0, 2]] == 26).all()


@settings(max_examples=30, deadline=None)
@given(SIZES, SEEDS)
@example((2, 27, 16), 0)
def test_bfloat16_is_float32_rounded_once(size: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits = narrow(rng.standard_normal(size))
    for name in ("dot_interaction", "fm_interaction"):
        forward, backward = getattr(kernels, name), getattr(kernels, f"{name}_backward")
        grad = narrow(rng.standard_normal(forward(widen(bits)).shape))
        calls = {
            forward: ((bits,), (widen(bits),)),
            backward: ((bits, grad), (widen(bits), widen(grad))),
        }
        for call, (short, wide) in calls.items():
            got = on_every_machine(lambda call=call, short=short: call(*short))
            expected = on_every_machine(lambda call=call, wide=wide: narrow(call(*wide)))
            for one, other in zip(got, expected, strict=True):
                np.testing.assert_array_equal(one, other)
            reference = widen(call(*short, implementation="reference"))
            assert np.allclose(widen(got[0]), reference, rtol=2**-7, atol=1e-3)


def test_rounding_to_bfloat16() -> None:
    ends = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    heads = np.array([0, 1, 0x3F80, 0x3F81, 0x7F7F, 0x7F80, 0x8000, 0xBF80, 0xFF7F, 0xFF80], np.uint32) << 16
    values = (heads[:, None] + ends).ravel().view(np.float32)
    expected = torch.from_numpy(values.copy()).bfloat16()
    got = narrow(values)
    assert (np.isnan(widen(got)) == np.isnan(values)).all()
    finite = ~np.isnan(values)
    np.testing.assert_array_equal(got[finite], expected.view(torch.uint16).numpy()[finite])
    nan = np.full((1, 2, 40), 0x7F81, np.uint16)
    for result in on_every_machine(lambda: kernels.dot_interaction(nan)):
        assert np.isnan(widen(result)).all()


def test_strided_and_read_only_inputs() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((6, 5, 8)).astype(np.float32)
    strided = np.repeat(x, 2, axis=2)[:, :, ::2]
    strided.flags.writeable = False
    for name in ("dot_interaction", "fm_interaction"):
        np.testing.assert_array_equal(getattr(kernels, name)(strided), getattr(kernels, name)(x))
    row, other = strided[:, 0], x[:, 0].copy()
    np.testing.assert_array_equal(
        kernels.low_rank_cross(row, row, row[:2], row[:2].T, row[0]),
        kernels.low_rank_cross(other, other, other[:2].copy(), other[:2].T.copy(), other[0].copy()),
    )


ONES = np.ones((2, 3, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: kernels.dot_interaction(np.ones((2, 3, 4))), TypeError, "x: dtype float64, expected float32"),
        (lambda: kernels.dot_interaction([[1.0]]), TypeError, "x: a list, expected a NumPy array"),
        (
            lambda: kernels.dot_interaction_backward(ONES.astype(np.uint16), ONES[:, 0, :3].copy()),
            TypeError,
            "grad: dtype float32, expected uint16",
        ),
        (
            lambda: kernels.dot_interaction_backward(ONES, ONES[:, :, 0].copy(), diagonal=True),
            ValueError,
            r"grad: shape \(2, 3\), expected \(2, 6\)",
        ),
        (lambda: kernels.fm_interaction(np.ones((2, 3), np.float32)), ValueError, r"x: shape \(2, 3\), expected 3 dim"),
        (
            lambda: kernels.fm_interaction_backward(ONES, np.ones((2, 3), np.float32)),
            ValueError,
            r"grad: shape \(2, 3\), expected \(2, 4\)",
        ),
        (lambda: kernels.fm_interaction(np.ones((1, 1, 1)), implementation="slow"), ValueError, "'slow', allowed"),
        (
            lambda: kernels.low_rank_cross(ONES[0], ONES[0], ONES[0], ONES[0], ONES[0, 0]),
            ValueError,
            r"up: shape \(3, 4\), expected \(4, 3\)",
        ),
        (
            lambda: kernels.layer_norm(ONES[0], ONES[0, 0], ONES[0, :, 0].copy(), 1e-5),
            ValueError,
            r"bias: shape \(3\), expected \(4\)",
        ),
        (lambda: kernels.layer_norm(ONES[0], ONES[0, 0], ONES[0, 0], 0.0), ValueError, "eps: 0.0.*, expected a pos"),
        (
            lambda: kernels.layer_norm_backward(ONES[0], ONES[0, 0], ONES[0, :2], 1e-5),
            ValueError,
            r"grad: shape \(2, 4\), expected \(3, 4\)",
        ),
        (
            lambda: kernels.low_rank_cross_backward(
                ONES[0], ONES[0], ONES[0], np.ascontiguousarray(ONES[0].T), ONES[0, 0], ONES[0, :2]
            ),
            ValueError,
            r"grad: shape \(2, 4\), expected \(3, 4\)",
        ),
    ],
)
def test_what_is_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
