"""Numbers for the values of one column, given as they come: what lets a log be encoded in a single reading."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nasrec.kernels import MISSING_KEY, intern_keys

FEWEST_SLOTS = 1 << 10
CHUNK = 1 << 15  # keys numbered between two looks at how full the table is
FULL = 0.7


class Dictionary:
    """The distinct values of a column, numbered from 1 in the order in which they came; 0 is missing.

    It holds 64 bits of each value, the number that hexadecimal digits write or else a hash of the text, in 17 to 34
    bytes, not the text itself. Of ten million texts two share a number with a probability of 3 in a million.
    """

    def __init__(self) -> None:
        self.count = 0
        self._keys = np.zeros(FEWEST_SLOTS, np.uint64)
        self._ids = np.zeros(FEWEST_SLOTS, np.int32)

    def numbers(self, values: pl.Series) -> tuple[NDArray[np.int32], pl.Series]:
        """The number of each of `values` (String or UInt32, null = missing), int32 [N], and the new ones in order."""
        keys = _keys(values)
        ids, fresh = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        for begin in range(0, len(keys), CHUNK):
            part = keys[begin : begin + CHUNK]
            self._make_room(len(part))
            numbers, first = intern_keys(part, self._keys, self._ids, self.count)
            self.count += len(first)
            ids.append(numbers)
            fresh.append(first + begin)
        return np.concatenate(ids), values.gather(np.concatenate(fresh))

    def _make_room(self, more: int) -> None:
        slots = len(self._ids)
        while self.count + more > FULL * slots:
            slots *= 2
        if slots == len(self._ids):
            return
        taken = np.flatnonzero(self._ids)
        in_order = np.empty(self.count, np.uint64)
        in_order[self._ids[taken] - 1] = self._keys[taken]
        self._keys, self._ids = np.zeros(slots, np.uint64), np.zeros(slots, np.int32)
        intern_keys(in_order, self._keys, self._ids, 0)


def _keys(values: pl.Series) -> NDArray[np.uint64]:
    if values.dtype == pl.UInt32:
        return values.cast(pl.UInt64).fill_null(MISSING_KEY).to_numpy()
    keys = values.hash(0)
    return (keys.set(values.is_null(), MISSING_KEY) if values.null_count() else keys).to_numpy()
