"""What a matrix product computed by crossbars gives, number by number: the functional twin of the cost model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pimsim import _kernels
from pimsim.crossbar_cells import Cells, differential_cells, offset_cells, packed_cells
from pimsim.crossbar_devices import Devices
from pimsim.crossbar_noise import LARGEST_SIGMA, NoiseScale
from pimsim.crossbar_reference import multiply_cells
from pimsim.crossbar_tables import TablePlan, build_tables, plan_tables
from pimsim.errors import InputError
from pimsim.readout import Encoding, lossless_adc_bits

MAX_BITS = 16
_RANGES = {"rows": (1, 4096), "cell_bits": (1, 8), "dac_bits": (1, 8), "adc_bits": (1, 30), "adc_step": (1, 1 << 30),
           "adc_offset": (-(1 << 30), 1 << 30)}
_LARGEST = 1 << 30  # of column sums, steps and offsets in the units of the cells' levels
Implementation = Literal["kernel", "count", "lookup", "reference"]


def _check_range(where: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise InputError(f"{where}: {value!r}, allowed: a whole number from {low} to {high}")


@dataclass(frozen=True)
class Arithmetic:
    """How a crossbar computes.

    `rows` are read at once, of a crossbar of `crossbar_rows` (None: of as many), whose last read may have fewer. A cell
    holds `cell_bits`; `dac_bits` of the input are applied per phase. A conversion of a column sum s gives the code
    `clip(floor((s + n - adc_offset) / adc_step + 1/2), 0, 2^adc_bits - 1)`: rounded half up, then clipped; it counts as
    `code * adc_step + adc_offset`. n is Gaussian with standard deviation `noise`, in units of the column sum, drawn
    anew for each conversion (pimsim/crossbar_noise.py); 0 is none.
    `encoding` "offset" stores w + 2^(bits - 1) and `flip` then stores the complement of columns more than half full
    (ISAAC, ISCA'16, section 5); "differential" stores positive and negative parts apart and has no flip.
    """

    rows: int
    cell_bits: int
    dac_bits: int
    adc_bits: int
    adc_step: int = 1
    flip: bool = True
    encoding: Encoding = "offset"
    adc_offset: int = 0
    noise: float = 0.0
    crossbar_rows: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be built; the message names the field, the value and what is allowed."""
        for name, (low, high) in _RANGES.items():
            _check_range(f"arithmetic.{name}", getattr(self, name), low, high)
            object.__setattr__(self, name, int(getattr(self, name)))
        if self.encoding not in get_args(Encoding):
            raise InputError(f"arithmetic.encoding: {self.encoding!r}, allowed: 'offset' or 'differential'")
        if not isinstance(self.flip, bool) or (self.flip and self.encoding == "differential"):
            raise InputError(f"arithmetic.flip: {self.flip!r}, allowed: True or False; False with 'differential'")
        if isinstance(self.noise, bool) or not isinstance(self.noise, int | float | np.integer | np.floating) or not (
            0 <= self.noise <= LARGEST_SIGMA
        ):
            raise InputError(f"arithmetic.noise: {self.noise!r}, allowed: a number from 0 to {LARGEST_SIGMA:g}")
        object.__setattr__(self, "noise", float(self.noise))
        if self.crossbar_rows is not None:
            _check_range("arithmetic.crossbar_rows", self.crossbar_rows, self.rows, _RANGES["rows"][1])
            object.__setattr__(self, "crossbar_rows", int(self.crossbar_rows))

    @property
    def lossless_adc_bits(self) -> int:
        """The ADC bits with which no column of any matrix loses anything at `adc_step` 1."""
        bits = lossless_adc_bits(self.rows, self.cell_bits, self.dac_bits, flip=self.flip, encoding=self.encoding)
        return int(bits)

    def to_json(self) -> dict[str, Any]:
        """Plain values, `crossbar_rows` where they are given; `from_json` gives an equal object back."""
        plain = asdict(self)
        if self.crossbar_rows is None:
            del plain["crossbar_rows"]
        return plain

    @classmethod
    def from_json(cls, data: Any, where: str = "arithmetic") -> Arithmetic:
        """Rebuild from `to_json`; InputError names `where` and the key that is missing, unknown or bad."""
        names = [field.name for field in fields(cls)]
        if not isinstance(data, dict) or sorted({"crossbar_rows", *data}) != sorted(names):
            found = ", ".join(map(str, data)) if isinstance(data, dict) else type(data).__name__
            names.remove("crossbar_rows")
            raise InputError(f"{where}: {found}, expected exactly the keys {', '.join(names)}, and "
                             "optionally crossbar_rows")
        try:
            return cls(**data)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


class ProgrammedMatrix:
    """A signed integer matrix `[inputs, outputs]` stored in crossbars, packed once and multiplied many times.

    Weights are whole numbers in -2^(weight_bits - 1) .. 2^(weight_bits - 1) - 1, `weight_bits` 2 to 16. Differential
    cells hold -2^(weight_bits - 1) only where the slices have a spare bit. `devices` says how far cells are from what
    they were asked to hold, drawn from `seed`; `stuck`, `[slices, inputs, outputs]`, which are stuck beside those drawn
    (see `Devices.program`; slices from the lowest bits, with differential cells the positive ones first). Raises
    InputError for anything else.
    """

    def __init__(
        self,
        weights: NDArray[np.integer[Any]],
        weight_bits: int,
        arithmetic: Arithmetic,
        *,
        devices: Devices | None = None,
        seed: int = 0,
        stuck: NDArray[np.integer[Any]] | None = None,
    ) -> None:
        """Slice `weights` into cells, program them, and pack them."""
        _check_range("weight_bits", weight_bits, 2, MAX_BITS)
        _check_range("seed", seed, 0, (1 << 64) - 1)
        values = _whole_numbers(weights, "weights", -(1 << (weight_bits - 1)), (1 << (weight_bits - 1)) - 1)
        if 0 in values.shape:
            raise InputError(f"weights: shape {values.shape}, allowed: one input and one output at least")
        self.weights: NDArray[np.int64] = values
        self.weight_bits = weight_bits
        self.arithmetic = arithmetic
        self.cells = self._sliced()
        self._as_asked = devices is None and stuck is None
        if not self._as_asked:
            held, bits = (devices or Devices()).program(self.cells.levels, arithmetic.cell_bits, int(seed), stuck)
            self.cells = replace(self.cells, levels=held, fraction_bits=bits)
        self._peaks = self.cells.peaks()
        self._peak = int(self._peaks.max()) * ((1 << arithmetic.dac_bits) - 1)
        self._packed = packed_cells(self.cells)
        self._tables: dict[tuple[int, int, int], tuple[NDArray[np.uint8], NDArray[np.uint16]]] = {}
        self._check_units()

    def _sliced(self) -> Cells:
        way = self.arithmetic
        if way.encoding == "offset":
            return offset_cells(self.weights, self.weight_bits, way.cell_bits, way.rows, way.flip, way.crossbar_rows)
        slices = -(-(self.weight_bits - 1) // way.cell_bits)
        least = int(self.weights.min())
        if -least >= 1 << (slices * way.cell_bits):
            raise InputError(f"weights: {least}, allowed in {slices} differential cells of {way.cell_bits} bits: "
                             f"from {1 - (1 << (slices * way.cell_bits))}")
        return differential_cells(self.weights, self.weight_bits, way.cell_bits, way.rows, way.crossbar_rows)

    def _check_units(self) -> None:
        """Refuse what doesn't fit once sums, steps, offsets and noise are counted in fractions of a level."""
        way, bits = self.arithmetic, self.cells.fraction_bits
        largest = _LARGEST >> bits
        for name in ("adc_step", "adc_offset"):
            if abs(getattr(way, name)) > largest:
                raise InputError(f"arithmetic.{name}: {getattr(way, name)}, allowed with {bits} fraction bits: "
                                 f"to {largest}")
        if self.largest_sum > largest:
            raise InputError(f"devices: column sums up to {self.largest_sum}, allowed with {bits} fraction bits: "
                             f"to {largest}")
        if way.noise * (1 << bits) > LARGEST_SIGMA:
            raise InputError(f"arithmetic.noise: {way.noise}, allowed with {bits} fraction bits: "
                             f"to {LARGEST_SIGMA / (1 << bits):g}")

    @property
    def largest_sum(self) -> int:
        """The largest column sum that any input can cause: what the converters must cope with."""
        return -(-self._peak >> self.cells.fraction_bits)

    @property
    def lossless(self) -> bool:
        """Whether no input can make a conversion lose anything: the product is then the exact integer product.

        Never where cells don't hold what they were asked for, or where conversions are noisy.
        """
        return bool(self.lossless_columns.all())

    @property
    def lossless_columns(self) -> NDArray[np.bool_]:
        """For each output whether no input can make one of its conversions lose anything: bool `[outputs]`."""
        way = self.arithmetic
        if not self._as_asked or way.adc_step != 1 or way.adc_offset > 0 or way.noise > 0:
            return np.zeros(self.weights.shape[1], np.bool_)
        largest = self._peaks * ((1 << way.dac_bits) - 1) - way.adc_offset
        return np.asarray(largest < 1 << way.adc_bits)

    def with_converter(
        self,
        *,
        adc_bits: int | None = None,
        adc_step: int | None = None,
        adc_offset: int | None = None,
        noise: float | None = None,
    ) -> ProgrammedMatrix:
        """The same cells read by another converter; shares the packed cells."""
        asked = {"adc_bits": adc_bits, "adc_step": adc_step, "adc_offset": adc_offset, "noise": noise}
        other = object.__new__(ProgrammedMatrix)
        other.__dict__.update(self.__dict__)
        changes: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        other.arithmetic = replace(self.arithmetic, **changes)
        other._check_units()
        return other

    def multiply(
        self,
        codes: NDArray[np.integer[Any]],
        input_bits: int,
        *,
        signed_inputs: bool = False,
        shortcut: bool = True,
        implementation: Implementation = "kernel",
        seed: int | None = None,
        first_vector: int = 0,
    ) -> NDArray[np.int64]:
        """`codes @ weights` as the crossbars compute it: `[vectors, inputs]` to int64 `[vectors, outputs]`.

        Codes are whole numbers of `input_bits` (1 to 16): 0 .. 2^bits - 1, or two's complement with `signed_inputs`
        (the sign bit then takes a phase of its own). Equals the integer product where `lossless`, and then takes the
        short way of computing just that unless `shortcut` is False. Noisy conversions need a `seed`; what they get
        depends on it and on the vector's number, which is `first_vector` for the first: a batch in two calls gives the
        numbers of one. "reference" is the definition in NumPy, slow. "kernel" is the faster of "count" (csrc/
        crossbar_mac.h) and "lookup" (csrc/crossbar_lookup.h), which give the same bits; "lookup" is refused where it
        does not serve.
        """
        way = self.arithmetic
        _check_range("input_bits", input_bits, 1, MAX_BITS)
        if way.noise > 0 and seed is None:
            raise InputError("seed: None, allowed with arithmetic.noise: a whole number")
        _check_range("seed", seed or 0, 0, (1 << 64) - 1)
        _check_range("first_vector", first_vector, 0, 1 << 32)
        low = -(1 << (input_bits - 1)) if signed_inputs else 0
        high = low + (1 << input_bits) - 1
        values = _whole_numbers(codes, "codes", low, high)
        if values.shape[1] != self.weights.shape[0]:
            raise InputError(f"codes: shape {values.shape}, allowed: [vectors, {self.weights.shape[0]}]")
        if implementation not in get_args(Implementation):
            raise InputError(f"implementation: {implementation!r}, allowed: {', '.join(get_args(Implementation))}")
        if implementation == "reference":
            return multiply_cells(self.cells, way, values, input_bits, signed_inputs, int(seed or 0), first_vector)
        if shortcut and implementation == "kernel" and self.lossless:
            return self._exact_product(values, max(-low, high))
        bits = self.cells.fraction_bits
        scale = NoiseScale.of(way.noise * (1 << bits), way.adc_step << bits) if way.noise > 0 else None
        noise = None if scale is None else (int(seed or 0), first_vector, scale.factor, scale.half, scale.shift)
        packed = self._packed
        values = self.cells.in_groups(values, 1)
        shared = (
            packed.signs, packed.gains, packed.shifts, values.shape[1], self.weights.shape[1], way.rows,
            values.astype(np.int16).view(np.uint16) if signed_inputs else values.astype(np.uint16),
            input_bits, signed_inputs, way.dac_bits, way.adc_bits, way.adc_step, way.adc_offset, bits, noise,
        )  # fmt: skip
        if implementation != "count":
            plan = plan_tables(self.cells, way, self._peak, scale, input_bits, signed_inputs)
            if plan is not None and (implementation == "lookup" or plan.worth(len(values), scale is not None)):
                tables, numbers = self._tables_of(plan)
                return _kernels.crossbar_lookup(
                    tables, numbers, *shared, plan.listed, plan.index_bits, plan.planes, plan.low_bits, plan.run,
                    plan.saturate,
                )
            if implementation == "lookup":
                raise InputError("implementation: 'lookup', allowed where sums have 15 bits, results 31, and inputs 1, "
                                 "2 or 4 bits a phase")
        return _kernels.crossbar_mac(packed.bits, *shared)

    def _tables_of(self, plan: TablePlan) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """Tables are built when first needed, and then kept for all converters that use them."""
        key = (plan.index_bits, plan.planes, plan.low_bits)
        if key not in self._tables:
            self._tables[key] = build_tables(self.cells, plan, self.arithmetic.dac_bits)
        return self._tables[key]

    def _exact_product(self, codes: NDArray[np.integer[Any]], largest_code: int) -> NDArray[np.int64]:
        """The integer product, by floating point where every partial sum is a whole number that it holds exactly."""
        bound = self._largest_column * largest_code
        if bound < 1 << 24:
            return (codes.astype(np.float32) @ self._float32).astype(np.int64)
        if bound < 1 << 53:
            return (codes.astype(np.float64) @ self._float64).astype(np.int64)
        product: NDArray[np.int64] = codes.astype(np.int64) @ self.weights
        return product

    @cached_property
    def _largest_column(self) -> int:
        return int(np.abs(self.weights).sum(axis=0).max())

    @cached_property
    def _float32(self) -> NDArray[np.float32]:
        return self.weights.astype(np.float32)

    @cached_property
    def _float64(self) -> NDArray[np.float64]:
        return self.weights.astype(np.float64)


def calibrate_step(
    matrix: ProgrammedMatrix, codes: NDArray[np.integer[Any]], input_bits: int, *, signed_inputs: bool = False
) -> int:
    """The power-of-two ADC step with the least squared error on sample `codes` `[vectors, inputs]`.

    The least of equals. Steps from 1 to the first with which the converter's range holds the largest sum that can
    occur are tried, each by the full simulation. `matrix.with_converter(adc_step=...)` applies the answer.
    """
    ideal = matrix.with_converter(adc_bits=30, adc_step=1, adc_offset=0, noise=0.0)
    exact = ideal.multiply(codes, input_bits, signed_inputs=signed_inputs)
    best, least = 1, np.inf
    step = 1
    while True:
        product = matrix.with_converter(adc_step=step).multiply(codes, input_bits, signed_inputs=signed_inputs, seed=0)
        error = float(np.square((product - exact).astype(np.float64)).sum())
        if error < least:
            best, least = step, error
        if least == 0.0 or ((1 << matrix.arithmetic.adc_bits) - 1) * step >= matrix.largest_sum:
            return best
        step *= 2


def _whole_numbers(values: Any, name: str, low: int, high: int) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.ndim != 2:
        raise InputError(f"{name}: {array.dtype} of shape {array.shape}, allowed: a matrix of whole numbers")
    if array.size and (int(array.min()) < low or int(array.max()) > high):
        outside = array[(array < low) | (array > high)].flat[0]
        raise InputError(f"{name}: {outside}, allowed: {low} to {high}")
    return array if name == "codes" else array.astype(np.int64)
