"""Numbers for 64-bit keys in the order of their first appearance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasrec import _kernels
from nasrec.kernels.implementation import Implementation, is_compiled

MISSING_KEY = 2**64 - 1  # the key that stands for a missing value


def intern_keys(
    keys: NDArray[np.uint64],
    slot_keys: NDArray[np.uint64],
    slot_ids: NDArray[np.int32],
    used: int,
    *,
    implementation: Implementation = "kernel",
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The number of each of `keys` (int32 [N], from 1; 0 for `MISSING_KEY`), and where each new one stands first.

    `slot_keys` and `slot_ids`, [slots] each and a power of two, are a hash table that holds `used` keys, with id 0 in
    an empty slot; it is changed in place: a key that is not there gets the next number from `used` + 1 on. Fast while
    at most three of four slots are taken. ValueError where the table is full, which is then as it was. The
    same on every instruction set; one thread, the GIL released: several tables may be filled at a time.
    """
    if is_compiled(implementation):
        return _kernels.intern_keys(keys, slot_keys, slot_ids, used)
    return _intern_keys(keys, slot_keys, slot_ids, used)


def _intern_keys(
    keys: NDArray[np.uint64], slot_keys: NDArray[np.uint64], slot_ids: NDArray[np.int32], used: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The same with a dictionary; a new key takes the next empty slot."""
    taken = np.flatnonzero(slot_ids)
    known = dict(zip(slot_keys[taken].tolist(), slot_ids[taken].tolist(), strict=True))
    empty = np.flatnonzero(slot_ids == 0)
    ids, first = [], []
    for position, key in enumerate(keys.tolist()):
        if key != MISSING_KEY and key not in known:
            first.append(position)
            known[key] = used + len(first)
        ids.append(0 if key == MISSING_KEY else known[key])
    if len(first) > len(empty):
        raise ValueError(f"slot_ids: all {len(slot_ids)} slots are taken")
    places = empty[: len(first)]
    slot_keys[places], slot_ids[places] = keys[first], np.arange(used + 1, used + 1 + len(first))
    return np.array(ids, np.int32), np.array(first, np.int64)
