"""The lookup of many tables against float64 definitions, in every format, on every instruction set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from every_machine import on_every_machine, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec import kernels
from nasrec.kernels.quantized_rows import LINE_BYTES

EPS = float(np.finfo(np.float32).eps)
FORMATS = ["float32", "float16", "bfloat16", 8, 4]


def stored(table: np.ndarray, form: str | int) -> tuple[kernels.Table, np.ndarray]:
    """A table in a format, and the values that it then holds, in float64."""
    if isinstance(form, int):
        quantized = kernels.quantize_rows(table, form)
        codes = quantized.codes if form == 8 else np.stack([quantized.codes % 16, quantized.codes // 16], 2)
        codes = codes.reshape(len(table), -1)[:, : table.shape[1]].astype(np.float64)
        return quantized, codes * quantized.scale[:, None].astype(np.float64) + quantized.bias[:, None]
    if form == "bfloat16":
        bits = (table.view(np.uint32) >> 16).astype(np.uint16)
        return bits, (table.view(np.uint32) & 0xFFFF0000).view(np.float32).astype(np.float64)
    return table.astype(form), table.astype(form).astype(np.float64)


@st.composite
def cases(draw) -> tuple[list[np.ndarray], np.ndarray, np.ndarray | None, np.ndarray]:
    """Tables, ids, offsets and weights: any dim, few rows or many, bags empty or long."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.lists(st.sampled_from([1, 2, 7, 700]), min_size=1, max_size=4))
    dim = draw(st.one_of(st.integers(1, 40), st.sampled_from([64, 96, 127, 128, 130, 200, 256])))
    batch = draw(st.one_of(st.integers(0, 5), st.integers(60, 140)))
    tables = [rng.standard_normal((count, dim)).astype(np.float32) for count in rows]
    if draw(st.booleans()):
        ids = np.stack([rng.integers(0, count, batch) for count in rows], 1)
        return tables, ids, None, rng.standard_normal(ids.shape).astype(np.float32)
    sizes = rng.integers(0, draw(st.integers(1, 40)), len(rows) * batch)
    per_table = sizes.reshape(len(rows), batch).sum(1)
    ids = np.concatenate([rng.integers(0, count, size) for count, size in zip(rows, per_table, strict=True)])
    weights = rng.standard_normal(ids.shape).astype(np.float32)
    return tables, ids, np.concatenate([[0], np.cumsum(sizes)]), weights


def by_definition(values: list[np.ndarray], ids, offsets, weights, pooling: str) -> np.ndarray:
    """Bag by bag in float64."""
    if offsets is None:
        factors = np.ones(ids.shape) if weights is None else weights.astype(np.float64)
        return np.stack([table[ids[:, t]] * factors[:, t, None] for t, table in enumerate(values)], 1)
    batch = (len(offsets) - 1) // len(values)
    out = np.zeros((batch, len(values), values[0].shape[1]))
    for t, table in enumerate(values):
        for b in range(batch):
            bag = slice(offsets[t * batch + b], offsets[t * batch + b + 1])
            for place in range(bag.start, bag.stop):
                out[b, t] += table[ids[place]] * (1 if weights is None else float(weights[place]))
            if pooling == "mean" and bag.stop > bag.start:
                out[b, t] /= bag.stop - bag.start
    return out


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=25, deadline=None)
@given(cases(), st.sampled_from(["sum", "mean", "weighted"]))
def test_equals_the_definition(form, case, pooling: str) -> None:
    """Within a bound, and bit for bit where the header promises it."""
    tables, ids, offsets, weights = case
    how = {"weights": weights} if pooling == "weighted" else {}
    pooling = "mean" if pooling == "mean" else "sum"
    pairs = [stored(table, form) for table in tables]
    inputs, values = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    results = on_every_machine(lambda: kernels.embedding_bag(inputs, ids, offsets, pooling=pooling, **how))
    expected = by_definition(values, ids, offsets, how.get("weights"), pooling)
    # of n terms below 6 * 6 in size (codes: and biases as large): n roundings of at most n * 36 * eps each
    longest = 1 if offsets is None else int(np.diff(offsets).max(initial=1))
    same_bits(results[:3])  # for 1, 2 and 4 threads
    got = same_bits(results[3:] or results)
    for result in results:  # codes: plain C++ rounds products that the others don't
        np.testing.assert_allclose(result, expected, rtol=0, atol=72 * EPS * (longest + 1) ** 2)
    if not isinstance(form, int):
        same_bits(results)
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    assert got.ctypes.data % 64 == 0
    reference = kernels.embedding_bag(inputs, ids, offsets, pooling=pooling, implementation="reference", **how)
    np.testing.assert_allclose(reference, expected, rtol=0, atol=72 * EPS * (longest + 1) ** 2)


def test_by_hand() -> None:
    table = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    ids, offsets = np.array([2, 0, 0, 1]), np.array([0, 2, 2, 4])
    assert kernels.embedding_bag([table], ids, offsets, pooling="sum").tolist() == [[[6, 8]], [[0, 0]], [[4, 6]]]
    assert kernels.embedding_bag([table], ids, offsets).tolist() == [[[3, 4]], [[0, 0]], [[2, 3]]]
    weights = np.array([2, -1, 0.5, 1], np.float32)
    weighted = kernels.embedding_bag([table], ids, offsets, pooling="sum", weights=weights)
    assert weighted.tolist() == [[[9, 10]], [[0, 0]], [[3.5, 5]]]


def test_every_float16_and_bfloat16() -> None:
    """All 65,536 bit patterns, subnormals, infinities and NaNs included."""
    bits = np.arange(2**16, dtype=np.uint16).reshape(-1, 32)
    ids = np.arange(len(bits))[:, None]
    for table in (bits.view(np.float16), bits):
        got = same_bits(on_every_machine(lambda table=table: np.nan_to_num(kernels.embedding_bag([table], ids), nan=7)))
        exact = table.astype(np.float32) if table is not bits else (bits.astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_array_equal(got[:, 0], np.nan_to_num(exact, nan=7))


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("dim", [1, 16, 17, 56, 57, 64, 112, 113])
def test_quantized_rows(bits: int, dim: int) -> None:
    rng = np.random.default_rng(dim)
    table = (rng.standard_normal((5000, dim)) * 10.0 ** rng.integers(-30, 30, (5000, 1))).astype(np.float32)
    table[3] = -2.5
    rows = kernels.quantize_rows(table, bits)
    error = np.abs(rows.dequantize().astype(np.float64) - table)
    assert (error <= rows.scale[:, None] * 0.5001 + 2 * EPS * np.abs(table).max(1, keepdims=True)).all()
    assert (rows.dequantize()[3] == -2.5).all()
    np.testing.assert_array_equal(rows.bias, table.min(1))
    assert len(rows) == 5000
    # no row of codes begins in one cache line and ends in another, where it could fit into one
    begin, width = rows.codes.ctypes.data + np.arange(5000) * rows.codes.strides[0], rows.codes.shape[1]
    assert begin[0] % LINE_BYTES == 0
    assert width % (16 * bits // 8) == 0
    if LINE_BYTES % width == 0:
        assert (begin // LINE_BYTES == (begin + width - 1) // LINE_BYTES).all()


def test_quantize_rows_refuses() -> None:
    with pytest.raises(ValueError, match="bits: 2, allowed: 8 or 4"):
        kernels.quantize_rows(np.ones((2, 2), np.float32), 2)
    with pytest.raises(ValueError, match="row 4097 has a value that is not finite"):
        kernels.quantize_rows(np.where(np.arange(5000)[:, None] == 4097, np.nan, 1).astype(np.float32), 8)
    for row in ([-3e38, 3e38], [1e39, 1e39], [-1e39, 0.0]):
        with pytest.raises(ValueError, match=r"row 1 has a value, or a difference of two, of 3\.4e\+38 or more"):
            kernels.quantize_rows(np.array([[0.0, 1.0], row]), 8)
    widest = np.array([[-1.6e38, 0, 1.6e38]], np.float32)
    for bits in (4, 8):
        found = kernels.quantize_rows(widest, bits).dequantize()
        assert np.abs(found - widest).max() <= 3.2e38 / (2**bits - 1) / 2 * 1.001
    assert kernels.quantize_rows(np.ones((0, 3), np.float32), 4).dequantize().shape == (0, 3)


@pytest.mark.parametrize("batch", [2047, 2048, 2049, 9000])
@pytest.mark.parametrize("dim", [16, 20, 64])
def test_one_id_each_of_long_batches(dim: int, batch: int) -> None:
    """Long batches and rows of one cache line are read table by table: no sample is left out or read twice."""
    rng = np.random.default_rng(batch)
    tables = [rng.random((rows, dim), np.float32) for rows in (70, 50, 60)]
    ids = np.stack([rng.integers(len(table), size=batch) for table in tables], 1)
    expected = np.stack([table[column] for table, column in zip(tables, ids.T, strict=True)], 1)
    got = same_bits(on_every_machine(lambda: kernels.embedding_bag(tables, ids)))
    np.testing.assert_array_equal(got, expected)
    ids[-1, 1] = 50
    with pytest.raises(IndexError, match=f"table 1, position {batch - 1}: id 50"):
        kernels.embedding_bag(tables, ids)


@pytest.mark.parametrize("size", [1, 40])
def test_results_past_the_caches(size: int) -> None:
    """Results of more than 4 MiB are written by other instructions; also into an array that is not aligned."""
    rng = np.random.default_rng(0)
    tables = [rng.standard_normal((50, 64)).astype(np.float32) for _ in range(size)]
    ids = rng.integers(0, 50, (70_000 // size, size))
    offsets = np.arange(ids.size + 1)
    out = np.empty(ids.size * 64 + 1, np.float32)[1:].reshape(*ids.shape, 64)
    expected = np.stack([table[ids[:, t]] for t, table in enumerate(tables)], 1)
    for place in (None, out):
        np.testing.assert_array_equal(kernels.embedding_bag(tables, ids, out=place), expected)
        flat = np.ascontiguousarray(ids.T).ravel()
        np.testing.assert_array_equal(kernels.embedding_bag(tables, flat, offsets, out=place), expected)


@pytest.mark.parametrize("bad", [-1, 3, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("form", FORMATS)
def test_a_lookup_that_is_refused_writes_nothing(form, bad: int) -> None:
    tables = [stored(np.ones((rows, 2), np.float32), form)[0] for rows in (5, 3)]
    ids = np.zeros((300, 2), np.int64)
    ids[299, 1] = bad
    flat, offsets = np.ascontiguousarray(ids.T).ravel(), np.arange(601)
    out = np.full((300, 2, 2), 7, np.float32)
    for place in (None, out):
        message = rf"table 1, position 299: id {bad} is not in 0\.\.2"
        with pytest.raises(IndexError, match=message):
            kernels.embedding_bag(tables, ids, out=place)
        with pytest.raises(IndexError, match=rf"table 1, position 599: id {bad} is not in 0\.\.2"):
            kernels.embedding_bag(tables, flat, offsets, out=place)
    assert (out == 7).all()


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([1, 2, 3], r"offsets\[0\]: 1, expected 0"),
        ([0, 2, 1], r"offsets\[2\]: 1, expected 2..3"),
        ([0, 4, 3], r"offsets\[1\]: 4, expected 0..3"),
        ([0, 2**63 - 1, -5], r"offsets\[1\]: 9223372036854775807, expected 0..3"),
        ([0, -(2**63), 3], r"offsets\[1\]: -9223372036854775808, expected 0..3"),
        ([0, 1, 2], r"offsets\[2\]: 2, expected the number of ids, 3"),
        ([0, 3], r"offsets: 2 numbers, expected tables \* batch \+ 1 with 2 tables"),
        ([], r"offsets: 0 numbers"),
    ],
)
def test_bad_offsets(offsets: list[int], message: str) -> None:
    tables = [np.ones((5, 2), np.float32)] * 2
    with pytest.raises(ValueError, match=message):
        kernels.embedding_bag(tables, np.zeros(3, np.int64), np.array(offsets, np.int64))


@pytest.mark.parametrize("form", ["float32", "float16", "bfloat16"])
def test_strided_read_only_and_empty(form: str) -> None:
    rng = np.random.default_rng(2)
    table = stored(rng.standard_normal((9, 20)).astype(np.float32), form)[0]
    ids = rng.integers(0, 9, (7, 1))
    expected = kernels.embedding_bag([table], ids)
    other = np.repeat(table, 2, axis=1)[:, ::2]
    other.flags.writeable = False
    np.testing.assert_array_equal(kernels.embedding_bag([other], np.repeat(ids, 2, 0)[::2]), expected)
    assert kernels.embedding_bag([table], ids[:0]).shape == (0, 1, 20)
    assert kernels.embedding_bag([table[:, :0]], ids).shape == (7, 1, 0)
    assert kernels.embedding_bag([table[:0]], ids[:0, 0], np.array([0, 0, 0])).tolist() == [[[0.0] * 20]] * 2


ONE = np.zeros((2, 1), np.int64)
PLAIN = np.ones((2, 3), np.float32)
CODES = kernels.quantize_rows(PLAIN, 8)


@pytest.mark.parametrize(
    ("tables", "ids", "how", "error", "message"),
    [
        ([PLAIN], ONE.astype(np.int32), {}, TypeError, "ids: dtype int32, expected int64"),
        ([], ONE[:, :0], {}, ValueError, "an empty list"),
        ([PLAIN, np.ones((2, 4), np.float32)], ONE, {}, ValueError, r"tables\[1\]: shape \(2, 4\), expected \(2, 3\)"),
        ([PLAIN.astype(np.float64)], ONE, {}, TypeError, "dtype float64, expected float32, float16 or uint16"),
        ([PLAIN.astype(">f2")], ONE, {}, TypeError, r"tables\[0\]: dtype >f2, expected"),
        ([PLAIN, PLAIN.astype(np.float16)], ONE, {}, TypeError, r"tables\[1\]: dtype float16, expected float32"),
        ([PLAIN.astype(np.float16), PLAIN], ONE, {}, TypeError, r"tables\[1\]: expected a NumPy array of float16"),
        ([PLAIN[0]], ONE, {}, ValueError, r"tables\[0\]: shape \(3\), expected 2 dim"),
        ([PLAIN.tolist()], ONE, {}, TypeError, r"tables\[0\]: a list, expected a NumPy array or QuantizedRows"),
        ([CODES, PLAIN], ONE, {}, ValueError, r"tables\[1\]: expected QuantizedRows with 8 bits and dim 3"),
        ([replace(CODES, dim=17)], ONE, {}, ValueError, r"tables\[0\].codes: shape \(2, 16\), expected \(2, 32\)"),
        ([replace(CODES, bits=5)], ONE, {}, ValueError, "bits: 5, allowed: 8 or 4"),
        ([replace(CODES, codes=CODES.codes[:, ::-1])], ONE, {}, ValueError, "rows that do not lie"),
        ([PLAIN], ONE, {"pooling": "max"}, ValueError, "pooling: 'max', allowed"),
        ([PLAIN], ONE, {"weights": np.ones((2, 1), np.float32)}, ValueError, "weights: only with pooling 'sum'"),
        (
            [PLAIN], ONE, {"weights": np.ones(2, np.float32), "pooling": "sum"}, ValueError,
            r"weights: shape \(2\), expected 2 dimensions",
        ),
        (
            [PLAIN], ONE, {"weights": np.ones((1, 2), np.float32), "pooling": "sum"}, ValueError,
            r"weights: shape \(1, 2\), expected \(2, 1\)",
        ),
        ([PLAIN], ONE, {"out": np.ones((2, 3), np.float32)}, ValueError, r"out: shape \(2, 3\), expected \(2, 1, 3\)"),
        ([PLAIN], ONE, {"out": np.ones((2, 1, 6), np.float32)[..., ::2]}, TypeError, "out: expected a contiguous"),
    ],
)  # fmt: skip
def test_what_is_refused(tables, ids, how, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        kernels.embedding_bag(tables, ids, **how)
