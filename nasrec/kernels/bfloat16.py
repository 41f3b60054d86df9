"""bfloat16 in NumPy, which has no such type: the upper 16 bits of a float32, as uint16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasrec.kernels.implementation import Floats

Bits: TypeAlias = NDArray[np.uint16]
FloatsOrBits = TypeVar("FloatsOrBits", NDArray[np.floating[Any]], NDArray[np.uint16])


def widen(bits: Bits) -> NDArray[np.float32]:
    """The float32 numbers that `bits` stand for; the same shape."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def narrow(values: Floats) -> Bits:
    """The bits of the nearest bfloat16, halfway cases to even; NaN stays NaN, too large becomes infinite."""
    single = np.asarray(values, np.float32)
    bits = np.ascontiguousarray(single).view(np.uint32).reshape(single.shape)
    # unsigned arithmetic wraps for NaN only, and those are replaced
    rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(single), bits >> 16 | 0x40, rounded).astype(np.uint16)


def in_float32(definition: Callable[..., Floats], *arrays: Any) -> Any:
    """`definition` of the arrays; bits of bfloat16 are widened before it, and then its result is narrowed after it."""
    if arrays[0].dtype == np.uint16:
        return narrow(definition(*map(widen, arrays)))
    return definition(*arrays)
