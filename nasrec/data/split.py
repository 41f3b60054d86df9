"""Which rows are for training, validation and test: a shuffle of all rows, cut in three, from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasrec.errors import InputError

SPLITS = ("train", "validation", "test")


def split_rows(rows: int, seed: int, shares: tuple[int, int, int]) -> dict[str, NDArray[np.int64]]:
    """The row numbers of each split in shuffled order, int64; sizes are in the ratio of `shares` to within one row.

    Shuffled, so that the first rows of a split are a fair sample of it whatever the order of the log.

    Raises InputError if a split that has a share would get no row.
    """
    if min(shares) < 0 or sum(shares) == 0:
        raise InputError(f"split {':'.join(map(str, shares))}: expected three whole numbers from 0, not all 0")
    cuts = [rows * sum(shares[:count]) // sum(shares) for count in (0, 1, 2, 3)]
    for name, share, begin, end in zip(SPLITS, shares, cuts[:-1], cuts[1:], strict=True):
        if share and begin == end:
            raise InputError(f"{rows} rows are too few to split {':'.join(map(str, shares))}: none is left for {name}")
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, rows]))).permutation(rows)
    return {name: order[begin:end] for name, begin, end in zip(SPLITS, cuts[:-1], cuts[1:], strict=True)}
