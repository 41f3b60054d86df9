"""What the embedding benchmarks look up: 26 tables of 100,000 rows in one pool, and ids as a log has them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TABLES, ROWS = 26, 100_000
ZIPF = 1.05  # exponent; in click logs a few values of a category make up most of its rows


@dataclass(frozen=True)
class Lookups:
    """Bags of `pooled` ids for every table and sample, in the layouts that the contestants want.

    `flat` holds all ids, table by table; `pool_rows` are the rows of the pool that they stand for.
    """

    flat: NDArray[np.int64]
    batch: int
    pooled: int

    @classmethod
    def draw(cls, ids: str, batch: int, pooled: int) -> Lookups:
        """Ids "uniform" over a table's rows, or "zipf" with the frequent rows scattered over the table."""
        rng, count = np.random.default_rng(0), TABLES * batch * pooled
        if ids == "uniform":
            return cls(rng.integers(0, ROWS, count), batch, pooled)
        shares = np.cumsum(np.arange(1, ROWS + 1, dtype=np.float64) ** -ZIPF)
        ranks = np.searchsorted(shares / shares[-1], rng.random(count))
        return cls(rng.permutation(ROWS)[ranks], batch, pooled)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each bag begins in `flat`, and its end."""
        return np.arange(0, len(self.flat) + 1, self.pooled)

    @cached_property
    def pool_rows(self) -> NDArray[np.int64]:
        """Rows of the pool."""
        return self.flat + np.repeat(np.arange(TABLES) * ROWS, self.batch * self.pooled)

    @property
    def one_each(self) -> NDArray[np.int64]:
        """`[batch, tables]`, where each bag is one id."""
        return np.ascontiguousarray(self.flat.reshape(TABLES, self.batch).T)

    @property
    def by_table(self) -> list[Tensor]:
        """The ids of each table."""
        return [torch.from_numpy(ids) for ids in np.split(self.flat, TABLES)]

    @property
    def starts(self) -> Tensor:
        """Where each bag begins in the ids of one table."""
        return torch.arange(0, self.batch * self.pooled, self.pooled)

    @property
    def touched(self) -> list[NDArray[np.int64]]:
        """The distinct rows of each table, ascending."""
        return [np.unique(ids) for ids in np.split(self.flat, TABLES)]


@lru_cache(maxsize=1)
def pool(dim: int) -> Tensor:
    """The tables one below the other: float32 `[tables * rows, dim]` from -0.5 to 0.5."""
    values = np.random.default_rng(1).random((TABLES * ROWS, dim), dtype=np.float32)
    values -= np.float32(0.5)
    return torch.from_numpy(values)


@lru_cache(maxsize=1)
def pool_in(dim: int, dtype: torch.dtype) -> Tensor:
    """The same in another kind of number."""
    return pool(dim).to(dtype)


def arrays(tables: Tensor) -> list[NDArray[np.generic]]:
    """The tables of a pool as NumPy sees them; bfloat16 as its bits."""
    numpy = tables.view(torch.uint16).numpy() if tables.dtype == torch.bfloat16 else tables.numpy()
    return list(np.split(numpy, TABLES))
