"""Counting ones and looking up sums: two ways of the same product, the same bits as the definition on every machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import _kernels
from pimsim.crossbar import Arithmetic, ProgrammedMatrix
from pimsim.crossbar_devices import Devices
from pimsim.errors import InputError

ISAS = ["portable", "avx2", "avx512"][: 1 + ["portable", "avx2", "avx512"].index(_kernels.best_isa())]


@st.composite
def products(draw) -> tuple[ProgrammedMatrix, np.ndarray, int, bool, int]:
    """A matrix with any of the errors of converters and cells, codes, their bits and sign, and the first's number."""
    encoding = draw(st.sampled_from(["offset", "differential"]))
    rows = draw(st.sampled_from([1, 5, 6, 13, 64, 128, 300, 1024]))
    arithmetic = Arithmetic(
        rows=rows,
        crossbar_rows=draw(st.sampled_from([None, rows, *(min(size, 4096) for size in (rows + 1, 2 * rows + 3))])),
        cell_bits=draw(st.integers(1, 4)),
        dac_bits=draw(st.sampled_from([1, 2, 4])),
        adc_bits=draw(st.sampled_from([3, 6, 7, 8, 9, 12])),
        adc_step=draw(st.sampled_from([1, 1, 2, 3, 7, 64])),
        flip=encoding == "offset" and draw(st.booleans()),
        encoding=encoding,
        adc_offset=draw(st.sampled_from([0, 0, 1, 20, -3])),
        noise=draw(st.sampled_from([0.0, 0.0, 0.3, 2.0, 40.0])),
    )
    devices = None
    if draw(st.booleans()):
        sigma = draw(st.sampled_from([0.0, 0.05, 0.4]))
        devices = Devices(sigma, draw(st.sampled_from([0.0, 0.1])), 0.05, draw(st.sampled_from([0, 3, 6])))
    weight_bits, input_bits, signed = draw(st.integers(2, 8)), draw(st.integers(1, 12)), draw(st.booleans())
    inputs, outputs = draw(st.integers(1, 200)), draw(st.integers(1, 40))
    vectors = draw(st.sampled_from([0, 1, 31, 65, 130]))
    seed = draw(st.integers(0, 2**64 - 1))
    rng = np.random.default_rng(seed)
    top = 1 << (weight_bits - 1)
    weights = rng.integers(-top + (encoding == "differential"), top, (inputs, outputs))
    low = -(1 << (input_bits - 1)) if signed else 0
    codes = rng.integers(low, low + (1 << input_bits), (vectors, inputs))
    matrix = ProgrammedMatrix(weights, weight_bits, arithmetic, devices=devices, seed=seed)
    return matrix, codes, input_bits, signed, draw(st.sampled_from([0, 1, 62, 64, 1000]))


@settings(max_examples=100, deadline=None)
@given(products())
def test_every_way_gives_the_same_bits(case) -> None:
    matrix, codes, input_bits, signed, first = case
    options = {"signed_inputs": signed, "seed": 7, "first_vector": first, "shortcut": False}
    expected = matrix.multiply(codes, input_bits, implementation="reference", **options)
    try:
        for name in ISAS:
            _kernels.set_isa(name)
            for threads in (1, 2, 4):
                _kernels.set_threads(threads)
                for way in ("count", "lookup", "kernel"):
                    try:
                        got = matrix.multiply(codes, input_bits, implementation=way, **options)
                    except InputError as error:
                        assert way == "lookup" and "15 bits" in str(error)
                        continue
                    np.testing.assert_array_equal(got, expected, f"{name}, {threads} threads, {way}")
    finally:
        _kernels.set_isa(_kernels.best_isa())
        _kernels.set_threads(0)


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest):
    _kernels.set_isa(request.param)
    yield request.param
    _kernels.set_isa(_kernels.best_isa())


@pytest.mark.parametrize("sum_of_cells", [254, 255, 256, 257])
@pytest.mark.parametrize("top", [127, 255, 511])
def test_both_sides_of_a_full_byte(sum_of_cells: int, top: int, isa: str) -> None:
    """Sums around 255, where a byte is full: clipped converters and wide ones, whatever the tables make of it."""
    levels = np.zeros((128, 1), np.int64)
    levels[: sum_of_cells // 3] = 3
    levels[sum_of_cells // 3] = sum_of_cells % 3
    way = Arithmetic(128, 2, 1, top.bit_length(), flip=False, encoding="differential")
    matrix = ProgrammedMatrix(levels, 3, way)
    codes = np.ones((70, 128), np.int64)
    for implementation in ("lookup", "count"):
        got = matrix.multiply(codes, 1, implementation=implementation)
        assert (got == min(sum_of_cells, top)).all()


@pytest.mark.parametrize(("fraction_bits", "dac_bits", "code"), [(6, 4, 8), (8, 2, 2), (8, 1, 1), (8, 4, 15)])
@pytest.mark.parametrize(("adc_bits", "adc_step"), [(1, 1), (2, 1), (1, 3)])
def test_levels_whose_sums_are_beyond_16_bits(
    fraction_bits: int, dac_bits: int, code: int, adc_bits: int, adc_step: int, isa: str
) -> None:
    """Cells of 8 bits at half their range, with fractions: two give a sum of 2^15 and more, which is clipped.

    A weight of 0 is a cell of 128, whose sum is taken off digitally; one digit of each code is not 0.
    """
    way = Arithmetic(16, 8, dac_bits, adc_bits, adc_step=adc_step, flip=False)
    matrix = ProgrammedMatrix(np.zeros((16, 8), np.int64), 8, way, devices=Devices(0.001, fraction_bits=fraction_bits))
    codes = np.zeros((70, 16), np.int64)
    codes[:, :2] = code
    clipped = ((1 << adc_bits) - 1) * adc_step
    for implementation in ("kernel", "count", "reference"):  # the kernel chooses look-ups where they hold these sums
        assert (matrix.multiply(codes, 8, implementation=implementation) == clipped - 2 * code * 128).all()


def test_offset_by_hand(isa: str) -> None:
    """Sums 0..8, offset 2, step 2, 2 bits: codes 0 0 0 1 1 2 2 3 3 (half up) count as 2 code + 2.

    The negative cells, which are empty, read 0 and so count as 2, which is subtracted.
    """
    way = Arithmetic(8, 1, 1, 2, adc_step=2, flip=False, encoding="differential", adc_offset=2)
    matrix = ProgrammedMatrix(np.ones((8, 1), np.int64), 2, way)
    codes = np.tril(np.ones((9, 8), np.int64), -1)  # vector v has v ones
    expected = [0, 0, 0, 2, 2, 4, 4, 6, 6]
    for implementation in ("reference", "count", "lookup"):
        assert matrix.multiply(codes, 1, implementation=implementation)[:, 0].tolist() == expected
    below = matrix.with_converter(adc_offset=-2)  # a converter whose range starts below zero
    assert below.multiply(codes, 1)[:, 0].tolist() == [0, 2, 2, 4, 4, 4, 4, 4, 4]


def test_what_look_ups_cannot_hold_is_refused_or_counted() -> None:
    rng = np.random.default_rng(2)
    weights, codes = rng.integers(-128, 128, (64, 8)), rng.integers(0, 256, (70, 64))
    three = ProgrammedMatrix(weights, 8, Arithmetic(64, 2, 3, 8))
    with pytest.raises(InputError, match="'lookup', allowed where sums have 15 bits"):
        three.multiply(codes, 8, shortcut=False, implementation="lookup")
    np.testing.assert_array_equal(three.multiply(codes, 8), three.multiply(codes, 8, implementation="reference"))


def test_lossless_columns_are_reported() -> None:
    """Column 0 reads 4 at most, column 1 reads 6: two bits hold neither, and the third holds both."""
    weights = np.array([[1, 3], [1, 3], [1, 0], [1, 0]])
    matrix = ProgrammedMatrix(weights, 3, Arithmetic(4, 2, 1, 2, flip=False, encoding="differential"))
    assert matrix.lossless_columns.tolist() == [False, False]
    assert matrix.with_converter(adc_bits=3).lossless_columns.tolist() == [True, True]
    weights[3, 0] = 0
    mixed = ProgrammedMatrix(weights, 3, Arithmetic(4, 2, 1, 2, flip=False, encoding="differential"))
    assert mixed.lossless_columns.tolist() == [True, False] and not mixed.lossless
    assert not mixed.with_converter(adc_bits=3, adc_offset=1).lossless
    assert not mixed.with_converter(adc_bits=3, noise=0.1).lossless
    assert mixed.with_converter(adc_bits=3, adc_offset=-1).lossless


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adc_offset": 1 << 31}, "arithmetic.adc_offset"),
        ({"noise": -1.0}, "arithmetic.noise: -1.0, allowed: a number from 0"),
        ({"noise": "loud"}, "arithmetic.noise: 'loud'"),
        ({"noise": float("nan")}, "arithmetic.noise: nan"),
    ],
)
def test_bad_converters_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Arithmetic(**({"rows": 8, "cell_bits": 1, "dac_bits": 1, "adc_bits": 8} | change))


@pytest.mark.parametrize("name", ["inputs", "outputs"])
@pytest.mark.parametrize("size", [2**31, 2**62, 2**63 - 1])
def test_sizes_whose_products_overflow_are_refused(name: str, size: int) -> None:
    nothing = {"signs": np.zeros((0, 0, 0, 8), np.int64), "gains": np.zeros((0, 0, 8), np.int64)}
    nothing |= {"shifts": np.zeros(0, np.int32), "codes": np.zeros((1, 0), np.uint16)}
    sizes = {"inputs": 1, "outputs": 1, "block_rows": 1} | {name: size}
    numbers = {"input_bits": 1, "signed_inputs": False, "dac_bits": 1, "adc_bits": 1, "adc_step": 1, "adc_offset": 0}
    layout = {"listed": 0, "index_bits": 4, "planes": 1, "low_bits": 0, "run": 0, "saturate": True}
    layout |= {"fraction_bits": 0, "noise": None}
    tables = {"tables": np.zeros(0, np.uint8), "numbers": np.zeros(0, np.uint16)}
    with pytest.raises(ValueError, match=f"^{name}: {size}, expected 1..2\\^31 - 1$"):
        _kernels.crossbar_lookup(**tables, **nothing, **sizes, **numbers, **layout)
    bits = np.zeros((0, 0, 0, 1, 1, 8), np.uint64)
    with pytest.raises(ValueError, match=f"^{name}: {size}, expected 1..2\\^31 - 1$"):
        _kernels.crossbar_mac(bits, **nothing, **sizes, **numbers)
