"""Numbers that know where they come from, and arithmetic that takes one design or a whole sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Number: TypeAlias = float | NDArray[Any]
"""A real figure of one design, or one value per design of a sweep."""
Count: TypeAlias = int | NDArray[Any]
"""A whole number of one design, or one value per design of a sweep."""

GIGA, MEGA, MILLI, MICRO, NANO, PICO, FEMTO = 1e9, 1e6, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15
UM2, MM2 = 1e-12, 1e-6  # square micrometre and square millimetre, in m²


@dataclass(frozen=True, slots=True)
class Quantity:
    """One figure of a component: its value in SI units, where it comes from, how sure it is.

    `uncertainty` is one relative standard deviation, and `stated_by` who states it; without the latter it is assumed,
    and None leaves it to the assumptions of `pimsim.figures`.
    """

    value: float
    unit: str
    source: str
    uncertainty: float | None = None
    stated_by: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A figure that depends on a whole number (the bits of a conversion): values for `first`, `first` + 1, …"""

    first: int
    values: tuple[float, ...]
    unit: str
    source: str
    uncertainty: float | None = None
    stated_by: str = ""

    def at(self, index: Count) -> Number:
        """The figure at `index`; a table gives one design and a sweep the same last bit, a power function would not."""
        if isinstance(index, np.ndarray):
            if index.size and (index.min() < self.first or index.max() >= self.first + len(self.values)):
                raise IndexError(f"index outside {self.first}..{self.first + len(self.values) - 1}")
            return np.asarray(self.values).take(index - self.first)
        if not self.first <= index < self.first + len(self.values):
            raise IndexError(f"index {index} outside {self.first}..{self.first + len(self.values) - 1}")
        return self.values[index - self.first]


def ceil_div(count: Count, size: Count) -> Count:
    """How many groups of `size` hold `count`."""
    return -(-count // size)


def larger(a: Any, b: Any) -> Any:
    """The larger of two figures, design by design."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.maximum(a, b)
    return a if a >= b else b


def largest(figures: Iterable[Any]) -> Any:
    """The largest of several figures, design by design; those that vary over the fewest designs are compared first."""
    several = list(figures)
    if not any(isinstance(figure, np.ndarray) for figure in several):
        return max(several)
    several.sort(key=np.size)
    most = several[0]
    for figure in several[1:]:
        if figure is not most:
            most = larger(most, figure)
    return most


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two figures, design by design."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.minimum(a, b)
    return min(a, b)


def whole(value: Number) -> Count:
    """A real figure that is a whole number, as one."""
    return value.astype(np.int64) if isinstance(value, np.ndarray) else int(value)


def bit_length(count: Count) -> Count:
    """Bits needed to write the whole number `count` (0 needs none); exact below 2**53."""
    if isinstance(count, np.ndarray):
        return np.frexp(count.astype(np.float64))[1].astype(np.int64)
    return int(count).bit_length()


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where `condition` holds, else `b`, design by design."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, a, b)
    return a if condition else b


def each(function: Callable[..., float], *arguments: Count | Number) -> Number:
    """`function` of plain numbers, design by design, called once for each combination of arguments that occurs.

    For what NumPy would not give to the same last bit for one design and for many (powers, sums of a series).
    """
    if not any(isinstance(value, np.ndarray) for value in arguments):
        return function(*arguments)
    arrays = np.broadcast_arrays(*arguments)
    rows, index = np.unique(np.stack([np.asarray(a, np.float64).ravel() for a in arrays]), axis=1, return_inverse=True)
    kinds = [int if np.issubdtype(array.dtype, np.integer) else float for array in arrays]
    values = [function(*(kind(x) for kind, x in zip(kinds, column, strict=True))) for column in rows.T]
    return np.asarray(values, np.float64)[index.reshape(-1)].reshape(arrays[0].shape)
