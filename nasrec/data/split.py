"""Which rows are for training, validation and test."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasrec.errors import InputError

SPLITS = ("train", "validation", "test")
SHUFFLED_ROWS = 1 << 22  # up to here splits are stored shuffled: some 700 MB of a Criteo log, which memory keeps
SplitMethod = Literal["random", "stratified", "time", "own"]


def split_rows(rows: int, seed: int, shares: tuple[int, int, int]) -> dict[str, NDArray[np.int64]]:
    """The row numbers of each split, int64, drawn at random; sizes are in the ratio of `shares` to within one row.

    Shuffled, so that the first rows of a split are a fair sample of it whatever the order of the log. Logs of more than
    `SHUFFLED_ROWS` rows are left in order, to be read block by block (see `nasrec.data.dataset`).

    Raises InputError if a split that has a share would get no row.
    """
    cuts = _cuts(rows, shares)
    if rows > SHUFFLED_ROWS:
        splits = np.repeat(np.arange(3, dtype=np.uint8), np.diff(cuts))
        np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, rows]))).shuffle(splits)
        return rows_of(splits, seed)
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, rows]))).permutation(rows)
    return {name: order[begin:end] for name, begin, end in zip(SPLITS, cuts[:-1], cuts[1:], strict=True)}


def split_stratified(labels: NDArray[np.uint8], seed: int, shares: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The split of each row as its place in `SPLITS`, uint8 [N], with the labels in the same proportion in each.

    NASRec's split (nasrec/tools at 79bf6f9, seed 2018): as many folds as the shares add up to, filled as scikit-learn's
    StratifiedKFold with shuffling fills them, the first of them for training, then validation, then test. Raises
    InputError if a label has fewer rows than there are folds.
    """
    _cuts(len(labels), shares)
    folds = sum(shares)
    # Classes count in the order in which they first appear, and rows of one class are dealt out from where the sorted
    # labels place them: so that folds differ by one row at most.
    classes = [1, 0] if len(labels) and labels[0] else [0, 1]
    counts = [int(np.count_nonzero(labels == label)) for label in classes]
    if min((count for count in counts if count), default=0) < folds:
        raise InputError(f"a stratified split into {folds} folds: a label has fewer rows")
    rng = np.random.RandomState(seed)
    split_of_fold = np.repeat(np.arange(3, dtype=np.uint8), shares)
    splits = np.empty(len(labels), np.uint8)
    begin = 0
    for label, count in zip(classes, counts, strict=True):
        # Of places begin to begin + count, fold f gets those whose number leaves the rest f.
        sizes = [len(range(begin + (fold - begin) % folds, begin + count, folds)) for fold in range(folds)]
        dealt = np.repeat(np.arange(folds, dtype=np.int16), sizes)
        rng.shuffle(dealt)
        splits[labels == label] = split_of_fold[dealt]
        begin += count
    return splits


def split_by_time(times: NDArray[np.float64] | None, rows: int, shares: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The split of each row as its place in `SPLITS`, uint8 [N]: the earliest for training, the latest for test.

    Without `times`, rows are in order of time as they are. Rows of one time stay together, where the cut falls before
    the first of them; raises InputError if a split that has a share is left without rows.
    """
    cuts = _cuts(rows, shares)
    if times is None:
        return np.repeat(np.arange(3, dtype=np.uint8), np.diff(cuts))
    # Where a cut falls among rows of one time, they all come after it.
    parted = np.partition(times, [cut for cut in cuts[1:3] if cut < rows])
    splits = np.zeros(rows, np.uint8)
    for cut in cuts[1:3]:
        if cut < rows:
            splits += times >= parted[cut]
    for place, name in enumerate(SPLITS):
        if shares[place] and not (splits == place).any():
            raise InputError(f"a split by time: none of {rows} rows is left for {name}, too many are of one time")
    return splits


def rows_of(splits: NDArray[np.uint8], seed: int) -> dict[str, NDArray[np.int64]]:
    """The row numbers of each split of `splits` (uint8 [N], places in `SPLITS`), int64: shuffled, as `split_rows` gives
    them, up to `SHUFFLED_ROWS` rows in all; in the order of the log where there are more."""
    parts = {name: np.flatnonzero(splits == place) for place, name in enumerate(SPLITS)}
    if len(splits) > SHUFFLED_ROWS:
        return parts
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, len(splits)])))
    return {name: rng.permutation(part) for name, part in parts.items()}


def _cuts(rows: int, shares: tuple[int, int, int]) -> list[int]:
    """Where the splits begin and end; InputError if one that has a share would get no row."""
    if min(shares) < 0 or sum(shares) == 0:
        raise InputError(f"split {':'.join(map(str, shares))}: expected three whole numbers from 0, not all 0")
    cuts = [rows * sum(shares[:count]) // sum(shares) for count in (0, 1, 2, 3)]
    for name, share, begin, end in zip(SPLITS, shares, cuts[:-1], cuts[1:], strict=True):
        if share and begin == end:
            raise InputError(f"{rows} rows are too few to split {':'.join(map(str, shares))}: none is left for {name}")
    return cuts
