"""Some rows of prepared data, to be read batch by batch.

Rows are shuffled wholly where the log has at most `SHUFFLED_ROWS` rows. A longer one, which memory may not hold, is
shuffled by blocks: `BLOCK_ROWS` neighbouring rows are a block, blocks come in random order, and `GROUP_BLOCKS` of them
at a time are read from the disk in order and shuffled among each other. Of such a log no more than `GROUP_ROWS` rows
stay in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nasrec.data.arrays import Arrays, release
from nasrec.data.batch import Batch
from nasrec.data.split import SHUFFLED_ROWS

BLOCK_ROWS = 1 << 14
GROUP_BLOCKS = 16
GROUP_ROWS = GROUP_BLOCKS * BLOCK_ROWS


def share_of(rows: int, share: tuple[int, int]) -> slice:
    """Which of `rows` rows are part k of n for `share` (k, n): neighbours, all parts within one row of equal size."""
    number, count = share
    return slice(rows * number // count, rows * (number + 1) // count)


class Dataset:
    """The rows numbered `rows` (int64 [N]) of `arrays`, in that order; positions 0..N-1 are its own."""

    def __init__(self, arrays: Arrays, rows: NDArray[np.int64]) -> None:
        self._arrays = arrays
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def labels(self) -> NDArray[np.float32]:
        """All labels, float32 [N], 0 or 1."""
        return self._arrays.labels[self._rows].astype(np.float32)

    @property
    def planted(self) -> NDArray[np.float64] | None:
        """The true probability of each row, float64 [N], where it is known."""
        return None if self._arrays.planted is None else self._arrays.planted[self._rows]

    def optimum(self) -> float | None:
        """The mean log loss of the planted probabilities on these very rows (nats), None where they are unknown.

        No model can expect to do better; one with luck on few rows may.
        """
        planted = self.planted
        if planted is None or len(planted) == 0:
            return None
        return float(-np.mean(np.where(self.labels > 0, np.log(planted), np.log1p(-planted))))

    def head(self, count: int) -> Dataset:
        """`count` rows, all if there are fewer: always the same, and among those of any larger count.

        A fair sample: the first rows of a split that is stored shuffled, else rows spread evenly over the log, whose
        places are multiples of the golden ratio (modulo 1, times the number of rows).
        """
        if not self._in_order or count >= len(self):
            return Dataset(self._arrays, self._rows[:count])
        step = next(step for step in range(int(len(self) * 0.6180339887), 0, -1) if math.gcd(step, len(self)) == 1)
        return Dataset(self._arrays, self._rows[np.arange(count) * step % len(self)])

    def without_head(self, count: int) -> Dataset:
        """The rows that are not among those of `head(count)`, in the order they have here."""
        if not self._in_order or count >= len(self):
            return Dataset(self._arrays, self._rows[count:])
        return Dataset(self._arrays, np.setdiff1d(self._rows, self.head(count)._rows, assume_unique=True))

    def with_rows_of(self, other: Dataset) -> Dataset:
        """These rows and then those of `other`, another part of the same log; in the log's order where it is long."""
        if other._arrays is not self._arrays:
            raise ValueError("the rows are of different logs")
        rows = np.concatenate([self._rows, other._rows])
        return Dataset(self._arrays, np.sort(rows) if self._in_order else rows)

    @property
    def _in_order(self) -> bool:
        """Whether the rows are too many to be shuffled wholly, and so are in the order of the log."""
        return len(self._arrays.labels) > SHUFFLED_ROWS

    def batch(self, rows: slice | NDArray[np.int64]) -> Batch:
        """The rows at these positions; raises InputError for an id beyond its table."""
        return self._arrays.batch(np.asarray(self._rows[rows], np.int64))

    def batches(
        self,
        size: int,
        *,
        seed: int | None,
        start: int = 0,
        drop_last: bool = False,
        share: tuple[int, int] = (0, 1),
    ) -> Iterator[Batch]:
        """Batches of `size` rows from batch number `start` on: in order if `seed` is None, else shuffled.

        The order depends on `seed` alone, so that `start` continues where an earlier run stopped. The last batch may
        be smaller; `drop_last` leaves it out. With `share` (k, n) each is cut to part k of n, by `share_of`.
        """
        rows = len(self)
        if seed is not None and self._in_order:
            end = rows // size * size if drop_last else rows
            yield from self._by_blocks(size, seed, start * size, end, share)
            return
        order = None if seed is None else np.random.Generator(np.random.PCG64(seed)).permutation(rows)
        count = rows // size if drop_last else -(-rows // size)
        for number in range(start, count):
            first = number * size
            if self._in_order and first // GROUP_ROWS != (first - size) // GROUP_ROWS:
                self._release()
            part = share_of(min(size, rows - first), share)
            span = slice(first + part.start, first + part.stop)
            yield self.batch(span if order is None else order[span])

    def _by_blocks(self, size: int, seed: int, begin: int, end: int, share: tuple[int, int]) -> Iterator[Batch]:
        """Batches of `size` rows, from place `begin` to place `end` of the order that `seed` gives."""
        rows = len(self)
        first = np.random.Generator(np.random.PCG64(seed)).permutation(-(-rows // BLOCK_ROWS)) * BLOCK_ROWS
        waiting, place = np.zeros(0, np.int64), 0  # rows that make no whole batch yet; rows of the groups so far
        for group in range(0, len(first), GROUP_BLOCKS):
            blocks = np.sort(first[group : group + GROUP_BLOCKS])
            positions = np.concatenate([np.arange(at, min(at + BLOCK_ROWS, rows)) for at in blocks])
            skipped = max(0, begin - place)
            place += len(positions)
            if skipped >= len(positions):
                continue
            numbers = self._rows[positions]
            self._arrays.fetch(numbers)
            order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, group]))).permutation(numbers)
            waiting = np.concatenate([waiting, order[skipped : max(0, len(order) - max(0, place - end))]])
            whole = len(waiting) // size * size
            for at in range(0, whole, size):
                yield self._arrays.batch(waiting[at : at + size][share_of(size, share)])
            waiting = waiting[whole:]
            self._release()
        if len(waiting):
            yield self._arrays.batch(waiting[share_of(len(waiting), share)])

    def _release(self) -> None:
        self._arrays.release()
        release(self._rows)
