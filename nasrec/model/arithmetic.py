"""What a quantised layer needs of the chip it computes on: program a matrix once, then multiply integer vectors."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer[Any]]


class Programmed(Protocol):
    """An integer matrix stored on the chip."""

    def multiply(self, codes: IntArray, input_bits: int) -> NDArray[np.int64]:
        """Products of unsigned `codes` [vectors, inputs] below 2**input_bits with the matrix: [vectors, outputs]."""
        ...


class Arithmetic(Protocol):
    """How a chip multiplies: exactly, or with the errors of its converters."""

    def program(self, weight_codes: IntArray, weight_bits: int, sample_codes: IntArray, input_bits: int) -> Programmed:
        """Store signed `weight_codes` [inputs, outputs]; `sample_codes` [vectors, inputs] are typical inputs, from
        which a chip may choose the range of its converters."""
        ...
