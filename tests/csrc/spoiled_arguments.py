"""What stands in the place of an argument, or spoils it: other kinds of things, layouts, shapes and numbers."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from hostile_arguments import SIZES

DTYPES = [np.float32, np.float64, np.float16, np.int64, np.int32, np.uint64, np.uint16, np.uint8, np.bool_, "<M8[s]"]
NUMBERS = [
    0, 1, 2, 3, 7, 8, 63, 64, 65, 1024, -1, -2, 2**31 - 1, 2**31, 2**32, 2**40, -(2**31), -(2**63), 2**63 - 1,
    2**62, 2**63 - 2, 2**64 - 1, 2**64, -(2**64), 10**30, 0.5, -0.0, float("nan"), float("inf"), 1e38, True, False,
]  # fmt: skip
THINGS = [None, "sum", b"", [], [[1.0]], (), {}, object(), 1j, np.float32(1), slice(1)]
WORDS = ["", "portable", "portable", "Portable", "portable\0", "avx2", "avx512", "sse9", "sum", "\u00e9" * 4096]
HOLLOW = [2**20, 2**31 - 1, 2**31, 2**32, 2**40, 2**61, 2**62]


def spoiled(r: random.Random, value: Any) -> Any:
    """The argument, or one that stands in its place."""
    if r.randrange(12) == 0:
        return r.choice([*THINGS, *NUMBERS])
    if isinstance(value, np.ndarray) and not is_vast(value):
        return r.choice([spoiled_layout, spoiled_shape, spoiled_numbers])(r, value)
    if isinstance(value, list):
        return spoiled_list(r, value)
    if isinstance(value, int | float):
        return r.choice(NUMBERS)
    if isinstance(value, str) and r.randrange(2):
        return r.choice(WORDS)
    return r.choice([*THINGS, *NUMBERS])


def is_vast(a: np.ndarray) -> bool:
    """Whether the array is or pretends to be so large that NumPy itself would fail to copy it."""
    return a.size > 10**6 or max(a.shape, default=0) > 10**6


def spoiled_list(r: random.Random, values: list[Any]) -> Any:
    kind = r.randrange(8)
    if not values or kind == 0:
        return r.choice([[], None, tuple(values), iter(values), [None], {}])
    i = r.randrange(len(values))
    if kind == 1:
        return values[:i]
    if kind == 2:
        return [*values, values[i]]  # the same memory twice
    if kind == 3:
        return [values[i]] * len(values)
    return [*values[:i], spoiled(r, values[i]), *values[i + 1 :]]


def spoiled_layout(r: random.Random, a: np.ndarray) -> np.ndarray:
    """The same numbers elsewhere in memory, or of another kind."""
    kind = r.randrange(9)
    if kind == 0 and a.ndim:  # every second one
        wide = np.repeat(a, 2, axis=-1)
        return wide[..., ::2]
    if kind == 1:
        return a[::-1] if a.ndim else a
    if kind == 2:
        return np.asfortranarray(a)
    if kind == 3:
        return a.T
    if kind == 4:
        a = a.copy()
        a.flags.writeable = False
        return a
    if kind == 5:  # not aligned
        shifted = np.ndarray(a.shape, a.dtype, np.zeros(a.nbytes + 2, np.uint8), offset=1)
        shifted[...] = a
        return shifted
    if kind == 6:
        return a.astype(a.dtype.newbyteorder())
    if kind == 7:
        dtype = np.dtype(r.choice(DTYPES))
        return np.zeros(a.shape, dtype) if a.dtype.kind == "M" or dtype.kind == "M" else np.nan_to_num(a).astype(dtype)
    return a.view(type("Subclass", (np.ndarray,), {}))


def spoiled_shape(r: random.Random, a: np.ndarray) -> np.ndarray:
    kind = r.randrange(8)
    if a.ndim == 0 or kind == 0:
        return a.reshape(-1)[: r.choice(SIZES)]
    axis = r.randrange(a.ndim)
    if kind == 1:
        return np.take(a, range(max(a.shape[axis] - 1, 0)), axis=axis)
    if kind == 2:
        return np.concatenate([a, np.zeros_like(np.take(a, [0], axis=axis) if a.shape[axis] else a)], axis=axis)
    if kind == 3:
        return a[None]
    if kind == 4:
        return a[0] if a.shape[0] else a.reshape(-1)
    if kind == 5:
        return np.array(1, a.dtype)
    shape = [r.choice(SIZES) for _ in a.shape]
    if kind == 6:  # no elements, but the numbers of rows of a very large array
        shape = [r.choice([size, r.choice(HOLLOW)]) for size in a.shape]
        shape[axis] = 0
    else:  # a very large array in no memory
        shape[axis] = r.choice(HOLLOW)
    try:
        return np.broadcast_to(np.zeros((), a.dtype), shape)
    except ValueError:  # larger than NumPy allows
        return a


def spoiled_numbers(r: random.Random, a: np.ndarray) -> np.ndarray:
    a = a.copy()
    if a.size == 0:
        return a
    for _ in range(r.choice([1, 1, 2, a.size])):
        place = r.randrange(a.size)
        if a.dtype.kind == "f":
            a.flat[place] = r.choice([np.nan, np.inf, -np.inf, 3e38 if a.itemsize > 2 else 6e4, 1e-40, 0.0])
        elif a.dtype.kind in "iu":
            limits = np.iinfo(a.dtype)
            near = int(a.flat[r.randrange(a.size)])
            number = r.choice([-1, near + 1, near - 1, 2**31, 2**32 - 1, 2**32, limits.min, limits.max, limits.max - 1])
            a.flat[place] = min(max(number, limits.min), limits.max)
    return a
