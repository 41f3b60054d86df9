"""A small data set held in arrays, with the interface of nasrec.data.Dataset, for tests of training and scoring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nasrec.data.dataset import share_of
from nasrec.data.features import Features, Table

FEATURES = Features(3, (Table("colour", 12), Table("shape", 30), Table("place", 7)))


@dataclass
class Rows:
    """One batch, or a whole data set."""

    dense: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    offsets: None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self,
        size: int,
        *,
        seed: int | None,
        start: int = 0,
        drop_last: bool = False,
        share: tuple[int, int] = (0, 1),
    ) -> Iterator[Rows]:
        order = np.arange(len(self)) if seed is None else np.random.default_rng(seed).permutation(len(self))
        for first in range(start * size, len(self), size):
            batch = order[first : first + size]
            yield self.take(batch[share_of(len(batch), share)])

    def take(self, rows: np.ndarray) -> Rows:
        return Rows(self.dense[rows], self.ids[rows], self.labels[rows])


def first_order_rows(count: int, seed: int = 0) -> tuple[Rows, np.ndarray]:
    """Rows whose label follows a known first-order model, and the true log odds of each."""
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((count, FEATURES.dense)).astype(np.float32)
    ids = np.stack([rng.integers(table.rows, size=count) for table in FEATURES.tables], axis=1)
    truth = np.random.default_rng(99)
    logits = dense @ np.array([1.0, -0.5, 0.0])
    for column, table in enumerate(FEATURES.tables):
        logits = logits + truth.standard_normal(table.rows)[ids[:, column]]
    labels = (rng.random(count) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return Rows(dense, ids.astype(np.int64), labels), logits


class Heads(Rows):
    """Rows that know their first ones, as a data set does."""

    def head(self, count: int) -> Heads:
        return self.take(np.arange(min(count, len(self))))

    def without_head(self, count: int) -> Heads:
        return self.take(np.arange(count, len(self)))

    def batch(self, rows: slice) -> Heads:
        return self.take(np.arange(len(self))[rows])

    def take(self, rows: np.ndarray) -> Heads:
        return Heads(self.dense[rows], self.ids[rows], self.labels[rows])


def rows_of(count: int, seed: int = 0) -> Heads:
    """First-order rows that know their first ones."""
    rows, _ = first_order_rows(count, seed)
    return Heads(rows.dense, rows.ids, rows.labels)
