"""What a matrix product computed by crossbars gives, number by number: the functional twin of the cost model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pimsim import _kernels
from pimsim.crossbar_cells import Cells, differential_cells, offset_cells, packed_cells
from pimsim.crossbar_reference import multiply_cells
from pimsim.errors import InputError
from pimsim.readout import Encoding, lossless_adc_bits

MAX_BITS = 16
_RANGES = {"rows": (1, 4096), "cell_bits": (1, 8), "dac_bits": (1, 8), "adc_bits": (1, 30), "adc_step": (1, 1 << 30)}


def _check_range(where: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise InputError(f"{where}: {value!r}, allowed: a whole number from {low} to {high}")


@dataclass(frozen=True)
class Arithmetic:
    """How a crossbar computes.

    `rows` are read at once; a cell holds `cell_bits`; `dac_bits` of the input are applied per phase. A conversion of a
    column sum s is `min(floor(s / adc_step + 1/2), 2^adc_bits - 1) * adc_step`: rounded half up, then clipped.
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

    def __post_init__(self) -> None:
        """Refuse what cannot be built; the message names the field, the value and what is allowed."""
        for name, (low, high) in _RANGES.items():
            _check_range(f"arithmetic.{name}", getattr(self, name), low, high)
            object.__setattr__(self, name, int(getattr(self, name)))
        if self.encoding not in get_args(Encoding):
            raise InputError(f"arithmetic.encoding: {self.encoding!r}, allowed: 'offset' or 'differential'")
        if not isinstance(self.flip, bool) or (self.flip and self.encoding == "differential"):
            raise InputError(f"arithmetic.flip: {self.flip!r}, allowed: True or False; False with 'differential'")

    @property
    def lossless_adc_bits(self) -> int:
        """The ADC bits with which no column of any matrix loses anything at `adc_step` 1."""
        bits = lossless_adc_bits(self.rows, self.cell_bits, self.dac_bits, flip=self.flip, encoding=self.encoding)
        return int(bits)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives an equal object back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any, where: str = "arithmetic") -> Arithmetic:
        """Rebuild from `to_json`; InputError names `where` and the key that is missing, unknown or bad."""
        names = [field.name for field in fields(cls)]
        if not isinstance(data, dict) or sorted(data) != sorted(names):
            found = ", ".join(map(str, data)) if isinstance(data, dict) else type(data).__name__
            raise InputError(f"{where}: {found}, expected exactly the keys {', '.join(names)}")
        try:
            return cls(**data)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


class ProgrammedMatrix:
    """A signed integer matrix `[inputs, outputs]` stored in crossbars, packed once and multiplied many times.

    Weights are whole numbers in -2^(weight_bits - 1) .. 2^(weight_bits - 1) - 1, `weight_bits` 2 to 16. Differential
    cells hold -2^(weight_bits - 1) only where the slices have a spare bit. Raises InputError for anything else.
    """

    def __init__(self, weights: NDArray[np.integer[Any]], weight_bits: int, arithmetic: Arithmetic) -> None:
        """Slice `weights` into cells and pack them."""
        _check_range("weight_bits", weight_bits, 2, MAX_BITS)
        values = _whole_numbers(weights, "weights", -(1 << (weight_bits - 1)), (1 << (weight_bits - 1)) - 1)
        if 0 in values.shape:
            raise InputError(f"weights: shape {values.shape}, allowed: one input and one output at least")
        self.weights: NDArray[np.int64] = values
        self.weight_bits = weight_bits
        self.arithmetic = arithmetic
        cells = self._cells()
        self._packed = packed_cells(cells, arithmetic.cell_bits)
        self._peak = cells.peak

    def _cells(self) -> Cells:
        way = self.arithmetic
        if way.encoding == "offset":
            return offset_cells(self.weights, self.weight_bits, way.cell_bits, way.rows, way.flip)
        slices = -(-(self.weight_bits - 1) // way.cell_bits)
        least = int(self.weights.min())
        if -least >= 1 << (slices * way.cell_bits):
            raise InputError(f"weights: {least}, allowed in {slices} differential cells of {way.cell_bits} bits: "
                             f"from {1 - (1 << (slices * way.cell_bits))}")
        return differential_cells(self.weights, self.weight_bits, way.cell_bits, way.rows)

    @property
    def largest_sum(self) -> int:
        """The largest column sum that any input can cause: what the converters must cope with."""
        return self._peak * ((1 << self.arithmetic.dac_bits) - 1)

    @property
    def lossless(self) -> bool:
        """Whether no input can make a conversion lose anything: the product is then the exact integer product."""
        return self.arithmetic.adc_step == 1 and self.largest_sum < 1 << self.arithmetic.adc_bits

    def with_converter(self, *, adc_bits: int | None = None, adc_step: int | None = None) -> ProgrammedMatrix:
        """The same cells read by another converter; shares the packed cells."""
        way = self.arithmetic
        other = object.__new__(ProgrammedMatrix)
        other.__dict__.update(self.__dict__)
        other.arithmetic = replace(
            way,
            adc_bits=way.adc_bits if adc_bits is None else adc_bits,
            adc_step=way.adc_step if adc_step is None else adc_step,
        )
        return other

    def multiply(
        self,
        codes: NDArray[np.integer[Any]],
        input_bits: int,
        *,
        signed_inputs: bool = False,
        shortcut: bool = True,
        implementation: Literal["kernel", "reference"] = "kernel",
    ) -> NDArray[np.int64]:
        """`codes @ weights` as the crossbars compute it: `[vectors, inputs]` to int64 `[vectors, outputs]`.

        Codes are whole numbers of `input_bits` (1 to 16): 0 .. 2^bits - 1, or two's complement with `signed_inputs`
        (the sign bit then takes a phase of its own). Equals the integer product where `lossless`, and then takes the
        short way of computing just that unless `shortcut` is False. "reference" is the definition in NumPy, slow.
        """
        _check_range("input_bits", input_bits, 1, MAX_BITS)
        low = -(1 << (input_bits - 1)) if signed_inputs else 0
        high = low + (1 << input_bits) - 1
        values = _whole_numbers(codes, "codes", low, high)
        if values.shape[1] != self.weights.shape[0]:
            raise InputError(f"codes: shape {values.shape}, allowed: [vectors, {self.weights.shape[0]}]")
        if implementation == "reference":
            return multiply_cells(self._cells(), self.arithmetic, values, input_bits, signed_inputs)
        if implementation != "kernel":
            raise InputError(f"implementation: {implementation!r}, allowed: 'kernel' or 'reference'")
        if shortcut and self.lossless:
            return self._exact_product(values, max(-low, high))
        way, packed = self.arithmetic, self._packed
        return _kernels.crossbar_mac(
            packed.bits, packed.signs, packed.gains, packed.shifts,
            self.weights.shape[0], self.weights.shape[1], way.rows,
            values.astype(np.int16).view(np.uint16) if signed_inputs else values.astype(np.uint16),
            input_bits, signed_inputs, way.dac_bits, way.adc_bits, way.adc_step,
        )  # fmt: skip

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
    exact = matrix.with_converter(adc_bits=30, adc_step=1).multiply(codes, input_bits, signed_inputs=signed_inputs)
    best, least = 1, np.inf
    step = 1
    while True:
        product = matrix.with_converter(adc_step=step).multiply(codes, input_bits, signed_inputs=signed_inputs)
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
