"""The compiled kernels against their definitions in float64, and the same bits for every thread count and machine."""

from __future__ import annotations

import numpy as np
import pytest
from every_machine import on_every_machine, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec import kernels

EPS = float(np.finfo(np.float32).eps)


@st.composite
def lookups(draw) -> tuple[list[np.ndarray], np.ndarray, np.ndarray | None, np.random.Generator]:
    """Tables, ids and offsets: few rows (many repeats) or many, bags empty or long."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.lists(st.sampled_from([1, 2, 7, 3000]), min_size=1, max_size=4))
    dim, batch = draw(st.sampled_from([1, 3, 8, 16, 20])), draw(st.integers(0, 150))
    tables = [rng.standard_normal((count, dim)).astype(np.float32) for count in rows]
    if draw(st.booleans()):
        return tables, np.stack([rng.integers(0, count, batch) for count in rows], 1), None, rng
    sizes = rng.integers(0, draw(st.integers(1, 60)), len(rows) * batch)
    per_table = sizes.reshape(len(rows), batch).sum(1)
    ids = np.concatenate([rng.integers(0, count, size) for count, size in zip(rows, per_table, strict=True)])
    return tables, ids, np.concatenate([[0], np.cumsum(sizes)]), rng


def table_ids(ids: np.ndarray, offsets: np.ndarray, table: int, tables: int) -> np.ndarray:
    batch = (len(offsets) - 1) // tables
    return ids[offsets[table * batch] : offsets[(table + 1) * batch]]


@settings(max_examples=60, deadline=None)
@given(lookups(), st.sampled_from(["sum", "mean"]))
def test_coalesce(case, pooling: str) -> None:
    tables, ids, offsets, rng = case
    rows = [len(table) for table in tables]
    batch = len(ids) if offsets is None else (len(offsets) - 1) // len(tables)
    grad = rng.standard_normal((batch, len(tables), tables[0].shape[1])).astype(np.float32)
    exact = kernels.embedding_bag_coalesce(
        rows, ids, offsets, grad.astype(np.float64), pooling=pooling, implementation="reference"
    )
    results = on_every_machine(lambda: kernels.embedding_bag_coalesce(rows, ids, offsets, grad, pooling=pooling))
    assert len({result.square for result in results}) == 1
    error, square = 0.0, 0.0
    for table in range(len(tables)):
        touched, values = exact.of_table(table)
        same_bits([result.of_table(table)[1] for result in results])
        np.testing.assert_array_equal(results[0].of_table(table)[0], touched)
        # a row's sum of n terms below 6 in size has an error below n * n * 6 * eps / 2
        per_row = np.bincount(ids[:, table] if offsets is None else table_ids(ids, offsets, table, len(tables)))
        bound = 3 * EPS * int(per_row.max(initial=1)) ** 2
        np.testing.assert_allclose(results[0].of_table(table)[1], values, rtol=0, atol=bound)
        error += 2 * bound * np.abs(values).sum() + bound**2 * values.size
        square += float(np.square(values).sum())
    assert abs(results[0].square - square) <= error
    assert exact.square == pytest.approx(square)


@settings(max_examples=40, deadline=None)
@given(lookups())
def test_adagrad(case) -> None:
    tables, ids, offsets, rng = case
    rows = [len(table) for table in tables]
    batch = len(ids) if offsets is None else (len(offsets) - 1) // len(tables)
    grad = rng.standard_normal((batch, len(tables), tables[0].shape[1])).astype(np.float32)
    gradients = kernels.embedding_bag_coalesce(rows, ids, offsets, grad)

    def two_steps(precision=np.float32, implementation="kernel") -> np.ndarray:
        data = [table.astype(precision) for table in tables]
        state = [np.full_like(table, 0.25) for table in data]
        for scale in (1.0, 0.5):
            kernels.embedding_bag_adagrad(
                data, state, gradients, lr=0.1, eps=0.01, scale=scale, implementation=implementation
            )
        return np.concatenate([array.ravel() for array in data + state])

    got = same_bits(on_every_machine(two_steps))
    np.testing.assert_allclose(got, two_steps(np.float64, "reference"), rtol=2e-5, atol=1e-6)


def test_ids_far_beyond_the_radix_digits() -> None:
    """Rows up to 2^31 and more lookups than the wide digit's threshold; the tables themselves are not needed."""
    rng = np.random.default_rng(1)
    ids = rng.choice([0, 5, 2**11, 2**22 - 1, 2**31, 2**32 - 1], (5000, 1))
    grad = np.ones((5000, 1, 1), np.float32)
    result = kernels.embedding_bag_coalesce([2**32], ids, None, grad, pooling="sum")
    rows, counts = np.unique(ids, return_counts=True)
    np.testing.assert_array_equal(result.of_table(0)[0], rows)
    np.testing.assert_array_equal(result.of_table(0)[1][:, 0], counts)


@pytest.mark.parametrize("bad", [-1, 3, 2**63 - 1, -(2**63)])
def test_id_out_of_range_names_the_place(bad: int) -> None:
    tables = [np.ones((5, 2), np.float32), np.ones((3, 2), np.float32)]
    ids = np.zeros((4, 2), np.int64)
    ids[2, 1] = bad
    message = rf"table 1, position 2: id {bad} is not in 0\.\.2"
    with pytest.raises(IndexError, match=message):
        kernels.embedding_bag(tables, ids)
    with pytest.raises(IndexError, match=message):
        kernels.embedding_bag_coalesce([5, 3], ids, None, np.ones((4, 2, 2), np.float32))
    flat, offsets = np.array([0, 4, 0, bad]), np.array([0, 1, 2, 4, 4])
    with pytest.raises(IndexError, match=rf"table 1, position 3: id {bad}"):
        kernels.embedding_bag(tables, flat, offsets)


def test_a_step_that_is_refused_changes_nothing() -> None:
    tables, state = [np.ones((3, 2), np.float32)], [np.zeros((3, 2), np.float32)]
    good = kernels.embedding_bag_coalesce([3], np.array([[0], [2]]), None, np.ones((2, 1, 2), np.float32))
    bad = kernels.RowGradients(good.starts, good.counts, np.array([0, 3]), good.values, 1.0)
    with pytest.raises(IndexError, match=r"table 0, position 1: id 3 is not in 0\.\.2"):
        kernels.embedding_bag_adagrad(tables, state, bad, lr=1, eps=0)
    with pytest.raises(ValueError, match="same memory"):
        kernels.embedding_bag_adagrad(tables, tables, good, lr=1, eps=0)
    assert (tables[0] == 1).all()
    assert (state[0] == 0).all()
    tables[0].flags.writeable = False
    with pytest.raises(ValueError, match=r"tables\[0\]: read-only"):
        kernels.embedding_bag_adagrad(tables, state, good, lr=1, eps=0)
    with pytest.raises(TypeError, match="changed in place"):
        kernels.embedding_bag_adagrad([np.ones((2, 3), np.float32).T], state, good, lr=1, eps=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_interactions(batch: int, features: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, features, dim)).astype(np.float32)
    exact = x.astype(np.float64)
    size = np.abs(exact).max(initial=0.0)
    for name, terms in (("dot_interaction", dim), ("fm_interaction", 2 * features**2)):
        forward, backward = getattr(kernels, name), getattr(kernels, f"{name}_backward")
        got = same_bits(on_every_machine(lambda forward=forward: forward(x)))
        bound = EPS * terms * (dim if name == "dot_interaction" else features) * size**2
        np.testing.assert_allclose(got, forward(exact, implementation="reference"), rtol=0, atol=bound)
        grad = rng.standard_normal(got.shape).astype(np.float32)
        expected = backward(exact, grad.astype(np.float64), implementation="reference")
        got = same_bits(on_every_machine(lambda backward=backward, grad=grad: backward(x, grad)))
        bound = 2 * EPS * (features + 1) ** 2 * size * np.abs(grad).max(initial=0.0)
        np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


def test_interactions_by_hand() -> None:
    x = np.array([[[1, 2], [3, 4], [5, 6]]], np.float32)
    assert kernels.dot_interaction(x).tolist() == [[11, 17, 39]]  # (1,0), (2,0), (2,1)
    assert kernels.fm_interaction(x).tolist() == [[9**2 - 35, 12**2 - 56]]
    assert kernels.dot_interaction(x[:, :1]).shape == (1, 0)
    assert kernels.fm_interaction(x[:, :1]).tolist() == [[0, 0]]


def test_strided_and_read_only_inputs() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((6, 5, 8)).astype(np.float32)
    strided = np.repeat(x, 2, axis=2)[:, :, ::2]
    strided.flags.writeable = False
    for name in ("dot_interaction", "fm_interaction"):
        np.testing.assert_array_equal(getattr(kernels, name)(strided), getattr(kernels, name)(x))
    np.testing.assert_array_equal(kernels.attention(strided[..., :6], 1), kernels.attention(x[..., :6].copy(), 1))
    table, ids = rng.standard_normal((9, 4)).astype(np.float32), rng.integers(0, 9, (7, 1))
    expected = kernels.embedding_bag([table], ids)
    other = np.asfortranarray(table)
    other.flags.writeable = False
    np.testing.assert_array_equal(kernels.embedding_bag([other], np.repeat(ids, 2, 0)[::2]), expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: kernels.dot_interaction(np.ones((2, 3, 4))), TypeError, "x: dtype float64, expected float32"),
        (lambda: kernels.dot_interaction([[1.0]]), TypeError, "x: a list, expected a NumPy array"),
        (lambda: kernels.fm_interaction(np.ones((2, 3), np.float32)), ValueError, r"x: shape \(2, 3\), expected 3 dim"),
        (
            lambda: kernels.fm_interaction_backward(np.ones((2, 3, 4), np.float32), np.ones((2, 3), np.float32)),
            ValueError,
            r"grad: shape \(2, 3\), expected \(2, 4\)",
        ),
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
        (
            lambda: kernels.embedding_bag([np.ones((2, 3), np.float32)], np.zeros((2, 1), np.int32)),
            TypeError,
            "ids: dtype int32, expected int64",
        ),
        (lambda: kernels.embedding_bag([], np.zeros((2, 0), np.int64)), ValueError, "an empty list"),
        (
            lambda: kernels.embedding_bag([np.ones((2, d), np.float32) for d in (3, 4)], np.zeros((2, 2), np.int64)),
            ValueError,
            r"tables\[1\]: shape \(2, 4\), expected \(2, 3\)",
        ),
        (lambda: kernels.fm_interaction(np.ones((1, 1, 1)), implementation="slow"), ValueError, "'slow', allowed"),
        (lambda: kernels.embedding_bag([], np.ones(1), pooling="max"), ValueError, "pooling: 'max', allowed"),
    ],
)
def test_what_is_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
