"""What a model gets at once: some rows as plain NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Batch:
    """B rows for a model with `dense` numbers and T tables.

    `dense` float32 [B, dense]; `labels` float32 [B], 0 or 1. Where every table takes one id per row, `ids` is int64
    [B, T] and `offsets` None. Where some table is multi-hot, `ids` is int64 and flat and `offsets` int64 [T*B + 1],
    table-major: the bag of row b in table t is `ids[offsets[t*B + b]:offsets[t*B + b + 1]]`.
    """

    dense: NDArray[np.float32]
    ids: NDArray[np.int64]
    offsets: NDArray[np.int64] | None
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)
