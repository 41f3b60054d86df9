"""Some rows of prepared data, to be read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nasrec.data.arrays import Arrays
from nasrec.data.batch import Batch


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
        """The first `count` rows, all if there are fewer; a fair sample, as splits are stored shuffled."""
        return Dataset(self._arrays, self._rows[:count])

    def batch(self, rows: slice | NDArray[np.int64]) -> Batch:
        """The rows at these positions; raises InputError for an id beyond its table."""
        return self._arrays.batch(np.asarray(self._rows[rows], np.int64))

    def batches(self, size: int, *, seed: int | None, start: int = 0, drop_last: bool = False) -> Iterator[Batch]:
        """Batches of `size` rows from batch number `start` on: in order if `seed` is None, else shuffled.

        The order depends on `seed` alone, so that `start` continues where an earlier run stopped. The last batch may
        be smaller; `drop_last` leaves it out.
        """
        rows = len(self)
        order = None if seed is None else np.random.Generator(np.random.PCG64(seed)).permutation(rows)
        count = rows // size if drop_last else -(-rows // size)
        for number in range(start, count):
            span = slice(number * size, (number + 1) * size)
            yield self.batch(span if order is None else order[span])
