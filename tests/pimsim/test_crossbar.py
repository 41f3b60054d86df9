"""The functional crossbar: exact where nothing is lost, wrong where something is, kernel equal to its definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pimsim import _kernels, presets
from pimsim.crossbar import Arithmetic, ProgrammedMatrix, calibrate_step
from pimsim.errors import InputError

ISAS = ["portable", "avx2", "avx512"][: 1 + ["portable", "avx2", "avx512"].index(_kernels.best_isa())]
CODES = {"unsigned": False, "signed": True}


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest):
    _kernels.set_isa(request.param)
    yield request.param
    _kernels.set_isa(_kernels.best_isa())


@st.composite
def products(draw) -> tuple[ProgrammedMatrix, np.ndarray, int, bool]:
    """A matrix in some arithmetic, codes for it, their bits, and whether they are signed."""
    encoding = draw(st.sampled_from(["offset", "differential"]))
    rows = draw(st.sampled_from([1, 2, 9, 16, 63, 64, 65, 128, 130, 256, 500, 1024, 4096]))
    arithmetic = Arithmetic(
        rows=rows,
        crossbar_rows=draw(st.sampled_from([None, rows, *(min(size, 4096) for size in (rows + 1, 2 * rows + 3))])),
        cell_bits=draw(st.integers(1, 5)),
        dac_bits=draw(st.integers(1, 4)),
        adc_bits=draw(st.integers(1, 12)),
        adc_step=draw(st.sampled_from([1, 1, 2, 3, 4, 7, 100])),
        flip=encoding == "offset" and draw(st.booleans()),
        encoding=encoding,
    )
    weight_bits, input_bits, signed = draw(st.integers(2, 10)), draw(st.integers(1, 10)), draw(st.booleans())
    inputs, outputs, vectors = draw(st.integers(1, 300)), draw(st.integers(1, 20)), draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    top = 1 << (weight_bits - 1)
    weights = rng.integers(-top + (encoding == "differential"), top, (inputs, outputs))
    low = -(1 << (input_bits - 1)) if signed else 0
    codes = rng.integers(low, low + (1 << input_bits), (vectors, inputs))
    return ProgrammedMatrix(weights, weight_bits, arithmetic), codes, input_bits, signed


@settings(max_examples=120, deadline=None)
@given(products())
def test_kernel_equals_its_definition(case) -> None:
    matrix, codes, input_bits, signed = case
    expected = matrix.multiply(codes, input_bits, signed_inputs=signed, implementation="reference")
    try:
        for name in ISAS:
            _kernels.set_isa(name)
            for threads in (1, 2, 4):
                _kernels.set_threads(threads)
                got = matrix.multiply(codes, input_bits, signed_inputs=signed, shortcut=False)
                np.testing.assert_array_equal(got, expected, f"{name}, {threads} threads")
    finally:
        _kernels.set_isa(_kernels.best_isa())
        _kernels.set_threads(0)


@settings(max_examples=120, deadline=None)
@given(products())
def test_enough_bits_are_exact(case) -> None:
    matrix, codes, input_bits, signed = case
    matrix = matrix.with_converter(adc_bits=matrix.arithmetic.lossless_adc_bits, adc_step=1)
    assert matrix.lossless
    exact = codes @ matrix.weights
    for options in ({}, {"shortcut": False}, {"implementation": "reference"}):
        got = matrix.multiply(codes, input_bits, signed_inputs=signed, **options)
        np.testing.assert_array_equal(got, exact)
        assert got.dtype == np.int64


@pytest.mark.parametrize(
    ("arithmetic", "weight", "lossless"),
    [  # a column of equal cells as full as it gets, and the bits of its sum
        (Arithmetic(128, 2, 1, 8), None, 8),  # ISAAC: 9 bits, 8 with flip encoding (ISCA'16, section 5)
        (Arithmetic(128, 2, 1, 8, flip=False), 127, 9),
        (Arithmetic(128, 1, 1, 8, flip=False), 127, 8),
        (Arithmetic(128, 2, 2, 8, flip=False), 127, 11),
        (Arithmetic(9, 1, 1, 8, flip=False), 127, 4),
        (Arithmetic(128, 2, 1, 8, flip=False, encoding="differential"), 127, 9),
    ],
)
def test_one_bit_below_loses(arithmetic: Arithmetic, weight: int | None, lossless: int, isa: str) -> None:
    assert arithmetic.lossless_adc_bits == lossless
    rows = arithmetic.rows
    weights = np.full((rows, 1), 127 if weight is None else weight)
    if weight is None:  # half the rows full, half empty: flip encoding finds nothing better
        weights[: rows // 2] = -128
    codes = np.full((1, rows), 255)
    for bits in (lossless, lossless - 1):
        matrix = ProgrammedMatrix(weights, 8, Arithmetic.from_json(arithmetic.to_json() | {"adc_bits": bits}))
        equal = matrix.multiply(codes, 8, shortcut=False) == codes @ weights
        assert equal.all() == (bits == lossless)
        assert matrix.lossless == (bits == lossless)


def test_lossless_is_a_bound_of_the_stored_matrix() -> None:
    """A sparse matrix may be read by fewer bits than the worst one: 10 cells of 3 make 30 < 31."""
    weights = np.zeros((100, 1), np.int64)
    weights[:10] = 3
    way = Arithmetic(128, 2, 1, 5, flip=False, encoding="differential")
    assert ProgrammedMatrix(weights, 8, way).lossless
    weights[10:12] = 1
    assert not ProgrammedMatrix(weights, 8, way).lossless
    assert not ProgrammedMatrix(weights, 8, Arithmetic(128, 2, 1, 12, adc_step=2)).lossless


def test_conversion_by_hand(isa: str) -> None:
    """Sums 0..7 of a one-bit column, step 2, 2 bits: 0, 2 (0.5 rounds up), 2, 4, 4, 6, 6, and 7 -> 8 clipped to 6."""
    way = Arithmetic(8, 1, 1, 2, adc_step=2, flip=False, encoding="differential")
    matrix = ProgrammedMatrix(np.ones((8, 1), np.int64), 2, way)
    codes = np.tril(np.ones((9, 8), np.int64), -1)  # vector v has v ones
    expected = [0, 2, 2, 4, 4, 6, 6, 6, 6]
    assert matrix.multiply(codes, 1)[:, 0].tolist() == expected
    assert matrix.multiply(codes, 1, implementation="reference")[:, 0].tolist() == expected


def test_offset_and_bit_weights_by_hand(isa: str) -> None:
    """w = -3 in 4 bits is stored as 5 = (1, 1) in 2-bit cells; x = 5 is phases 1, 0, 1."""
    matrix = ProgrammedMatrix(np.array([[-3]]), 4, Arithmetic(1, 2, 1, 2, flip=False))
    assert matrix.multiply(np.array([[5]]), 3, shortcut=False).item() == -15
    clipped = matrix.with_converter(adc_bits=1, adc_step=1)
    assert clipped.multiply(np.array([[5]]), 3, shortcut=False).item() == -15  # cells of 1 don't need the second bit
    weights = np.array([[2]])  # stored as 10 = (2, 2): a 1-bit ADC reads 1 for each, 1 + 4 = 5 in place of 10
    lossy = ProgrammedMatrix(weights, 4, Arithmetic(1, 2, 1, 1, flip=False))
    assert lossy.multiply(np.array([[5]]), 3).item() == 5 * 5 - 8 * 5


def test_signed_inputs_by_hand(isa: str) -> None:
    matrix = ProgrammedMatrix(np.array([[3], [-1]]), 3, Arithmetic(2, 1, 2, 8))
    codes = np.array([[-4, 3], [2, -1]])
    assert matrix.multiply(codes, 3, signed_inputs=True, shortcut=False).tolist() == [[-15], [7]]


@pytest.mark.parametrize(("weight_bits", "input_bits"), [(4, 4), (8, 8), (16, 16)])
def test_shortcut_is_exact_at_every_precision(weight_bits: int, input_bits: int) -> None:
    """Products beyond 2^24 and codes up to the ends of their ranges: whatever number format the shortcut picks."""
    rng = np.random.default_rng(3)
    top = 1 << (weight_bits - 1)
    weights = rng.choice([-top, top - 1, top - 2], (700, 5))
    codes = rng.choice([0, (1 << input_bits) - 1, (1 << input_bits) - 2], (6, 700))
    matrix = ProgrammedMatrix(weights, weight_bits, Arithmetic(128, 2, 1, 9))
    assert matrix.lossless
    np.testing.assert_array_equal(matrix.multiply(codes, input_bits), codes @ weights)
    np.testing.assert_array_equal(matrix.multiply(codes, input_bits, shortcut=False), codes @ weights)


def test_calibrated_step_has_the_least_error() -> None:
    rng = np.random.default_rng(5)
    weights, codes = rng.integers(-128, 128, (256, 16)), rng.integers(0, 256, (64, 256))
    matrix = ProgrammedMatrix(weights, 8, Arithmetic(128, 2, 1, 5))
    step = calibrate_step(matrix, codes, 8)
    exact = codes @ weights
    errors = {}
    for other in (1, 2, 4, 8, 16, 32):
        way = Arithmetic(128, 2, 1, 5, adc_step=other)
        product = ProgrammedMatrix(weights, 8, way).multiply(codes, 8, implementation="reference")
        errors[other] = int(((product - exact) ** 2).sum())
    assert errors[step] == min(errors.values())
    assert 1 < step < 32
    assert calibrate_step(matrix.with_converter(adc_bits=9), codes, 8) == 1


def test_any_integer_array_will_do(isa: str) -> None:
    rng = np.random.default_rng(6)
    weights, codes = rng.integers(-8, 8, (70, 9)), rng.integers(0, 256, (10, 70))
    way = Arithmetic(32, 2, 1, 5)
    expected = ProgrammedMatrix(weights, 4, way).multiply(codes, 8)
    strided = np.repeat(codes.astype(np.uint8), 2, axis=1)[:, ::2]
    strided.flags.writeable = False
    matrix = ProgrammedMatrix(np.asfortranarray(weights.astype(np.int8)), 4, way)
    np.testing.assert_array_equal(matrix.multiply(strided, 8), expected)
    np.testing.assert_array_equal(matrix.multiply(codes[:1], 8), expected[:1])
    assert matrix.multiply(codes[:0], 8).shape == (0, 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 0}, "arithmetic.rows: 0, allowed: a whole number from 1 to 4096"),
        ({"rows": 4097}, "arithmetic.rows: 4097"),
        ({"cell_bits": 9}, "arithmetic.cell_bits: 9, allowed: a whole number from 1 to 8"),
        ({"dac_bits": 1.5}, "arithmetic.dac_bits: 1.5"),
        ({"adc_bits": True}, "arithmetic.adc_bits: True"),
        ({"encoding": "twos"}, "arithmetic.encoding: 'twos', allowed: 'offset' or 'differential'"),
        ({"encoding": "differential"}, "arithmetic.flip: True"),
        ({"flip": 1}, "arithmetic.flip: 1"),
        ({"colour": 1}, "chip.toml: .*colour, expected exactly the keys rows"),
    ],
)
def test_bad_arithmetic_is_refused(change: dict, message: str) -> None:
    good = Arithmetic(128, 2, 1, 8).to_json()
    with pytest.raises(InputError, match=message):
        Arithmetic.from_json(good | change, "chip.toml")


@pytest.mark.parametrize(("rows", "active_rows", "inputs", "groups"), [
    (128, 96, 256, 4),  # 96 and 32 of each crossbar: not 96, 96 and 64 across the border
    (128, 96, 224, 3), (128, 96, 225, 4), (128, 96, 97, 2), (128, 96, 96, 1), (128, 64, 256, 4), (100, 9, 207, 25),
    (128, None, 300, 3), (7, 5, 29, 9)])
@pytest.mark.parametrize("implementation", ["count", "lookup", "reference"])
def test_every_read_that_is_costed_is_converted(rows: int, active_rows: int | None, inputs: int, groups: int,
                                                implementation: Any) -> None:
    """An ADC that gives 1 for a sum of 0 counts the conversions of one slice and one input bit."""
    if implementation == "lookup" and _kernels.best_isa() == "portable":
        pytest.skip("no look-ups here")
    chip = presets.isaac().with_options(rows=rows, active_rows=active_rows, flip=False)
    way = replace(Arithmetic(**chip.arithmetic_options()), adc_offset=1)
    matrix = ProgrammedMatrix(np.zeros((inputs, 3), np.int64), 2, way)
    counted = matrix.multiply(np.zeros((70, inputs), np.int64), 1, implementation=implementation)
    assert (counted == groups).all()
    assert chip.crossbar.readout.reads(inputs, rows)[0] == groups


def test_a_flipped_column_is_one_of_a_crossbar() -> None:
    """Crossbars of 3 rows, two read at once; 2-bit weights as w + 2 in one cell: rows 2 and 5 are read alone."""
    weights = np.array([[-2], [-2], [1], [1], [-2], [-2]])  # cells 0, 0 | 3 || 3, 0 | 0
    matrix = ProgrammedMatrix(weights, 2, Arithmetic(2, 2, 1, 8, crossbar_rows=3))
    assert matrix.cells.signs[0, :, 0].tolist() == [1, -1, 1, 1]
    assert matrix.cells.levels[0, :, 0].tolist() == [0, 0, 0, 3, 0, 0]
    assert matrix.largest_sum == 3


def test_arithmetic_round_trips() -> None:
    cut = Arithmetic(64, 1, 2, 6, crossbar_rows=100)
    assert Arithmetic.from_json(cut.to_json(), "here") == cut
    assert "crossbar_rows" not in Arithmetic(64, 1, 2, 6).to_json()  # as it was written before there were any
    with pytest.raises(InputError, match=r"arithmetic\.crossbar_rows: 63, allowed: a whole number from 64 to 4096"):
        Arithmetic(64, 1, 2, 6, crossbar_rows=63)
    way = Arithmetic(np.int64(64), 1, 2, 6, adc_step=4, flip=False, encoding="differential")
    assert Arithmetic.from_json(way.to_json(), "here") == way
    assert type(way.rows) is int
    with pytest.raises(InputError, match="here: rows, expected exactly") as caught:
        Arithmetic.from_json({"rows": 3}, "here")
    required, optional = str(caught.value).partition("the keys ")[2].split(", and optionally ")
    assert set(required.split(", ")) == set(way.to_json())
    assert {*required.split(", "), optional} == set(cut.to_json())


def test_bad_matrices_and_codes_are_refused() -> None:
    way = Arithmetic(128, 2, 1, 8)
    with pytest.raises(InputError, match=r"weights: 8, allowed: -8 to 7"):
        ProgrammedMatrix(np.array([[8]]), 4, way)
    with pytest.raises(InputError, match=r"weights: float64 of shape \(1, 1\)"):
        ProgrammedMatrix(np.array([[1.0]]), 4, way)
    with pytest.raises(InputError, match="weight_bits: 17, allowed: a whole number from 2 to 16"):
        ProgrammedMatrix(np.array([[1]]), 17, way)
    with pytest.raises(InputError, match=r"shape \(0, 3\)"):
        ProgrammedMatrix(np.zeros((0, 3), int), 4, way)
    matrix = ProgrammedMatrix(np.array([[-8]]), 4, way)
    with pytest.raises(InputError, match="codes: 16, allowed: 0 to 15"):
        matrix.multiply(np.array([[16]]), 4)
    with pytest.raises(InputError, match="codes: -9, allowed: -8 to 7"):
        matrix.multiply(np.array([[-9]]), 4, signed_inputs=True)
    with pytest.raises(InputError, match=r"codes: shape \(1, 2\), allowed: \[vectors, 1\]"):
        matrix.multiply(np.array([[1, 1]]), 4)
    with pytest.raises(InputError, match="implementation: 'fast'"):
        matrix.multiply(np.array([[1]]), 4, implementation="fast")


def test_the_lowest_weight_of_differential_cells() -> None:
    """-8 has four magnitude bits: three 1-bit slices cannot hold it, two 2-bit slices can."""
    with pytest.raises(InputError, match="weights: -8, allowed in 3 differential cells of 1 bits: from -7"):
        ProgrammedMatrix(np.array([[-8]]), 4, Arithmetic(4, 1, 1, 8, flip=False, encoding="differential"))
    held = ProgrammedMatrix(np.array([[-8]]), 4, Arithmetic(4, 2, 1, 8, flip=False, encoding="differential"))
    assert held.multiply(np.array([[3]]), 2, shortcut=False).item() == -24
