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


@settings(max_examples=60, deadline=None)
@given(lookups(), st.sampled_from(["sum", "mean"]))
def test_embedding_bag(case, pooling: str) -> None:
    tables, ids, offsets, _ = case
    got = same_bits(on_every_machine(lambda: kernels.embedding_bag(tables, ids, offsets, pooling=pooling)))
    exact = [table.astype(np.float64) for table in tables]
    expected = kernels.embedding_bag(exact, ids, offsets, pooling=pooling, implementation="reference")
    # a sum of n terms below 6 in size: n roundings of at most n * 6 * eps / 2
    longest = 1 if offsets is None else int(np.diff(offsets).max(initial=1))
    np.testing.assert_allclose(got, expected, rtol=0, atol=3 * EPS * longest**2)
    assert got.dtype == np.float32
    assert got.shape == expected.shape


@pytest.mark.parametrize("bad", [-1, 3, 2**63 - 1, -(2**63)])
def test_id_out_of_range_names_the_place(bad: int) -> None:
    tables = [np.ones((5, 2), np.float32), np.ones((3, 2), np.float32)]
    ids = np.zeros((4, 2), np.int64)
    ids[2, 1] = bad
    message = rf"table 1, position 2: id {bad} is not in 0\.\.2"
    with pytest.raises(IndexError, match=message):
        kernels.embedding_bag(tables, ids)
    flat, offsets = np.array([0, 4, 0, bad]), np.array([0, 1, 2, 4, 4])
    with pytest.raises(IndexError, match=rf"table 1, position 3: id {bad}"):
        kernels.embedding_bag(tables, flat, offsets)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([1, 2, 3], r"offsets\[0\]: 1, expected 0"),
        ([0, 2, 1], r"offsets\[2\]: 1, expected 2..3"),
        ([0, 4, 3], r"offsets\[1\]: 4, expected 0..3"),
        ([0, 1, 2], r"offsets\[2\]: 2, expected the number of ids, 3"),
        ([0, 3], r"offsets: 2 numbers, expected tables \* batch \+ 1 with 2 tables"),
        ([], r"offsets: 0 numbers"),
    ],
)
def test_bad_offsets(offsets: list[int], message: str) -> None:
    tables = [np.ones((5, 2), np.float32)] * 2
    with pytest.raises(ValueError, match=message):
        kernels.embedding_bag(tables, np.zeros(3, np.int64), np.array(offsets, np.int64))




def test_strided_and_read_only_inputs() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((6, 5, 8)).astype(np.float32)
    strided = np.repeat(x, 2, axis=2)[:, :, ::2]
    strided.flags.writeable = False
    np.testing.assert_array_equal(kernels.attention(strided[..., :6], 1), kernels.attention(x[..., :6].copy(), 1))
    table, ids = rng.standard_normal((9, 4)).astype(np.float32), rng.integers(0, 9, (7, 1))
    expected = kernels.embedding_bag([table], ids)
    other = np.asfortranarray(table)
    other.flags.writeable = False
    np.testing.assert_array_equal(kernels.embedding_bag([other], np.repeat(ids, 2, 0)[::2]), expected)


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
        (lambda: kernels.embedding_bag([], np.ones(1), pooling="max"), ValueError, "pooling: 'max', allowed"),
    ],
)
def test_what_is_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
