"""Small data and a reduced space for the model tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nasrec.data.features import Features, Table


@pytest.fixture(scope="session")
def features() -> Features:
    """Criteo's shape with small tables."""
    return Features(13, tuple(Table(f"c{index}", 20 + index) for index in range(26)))


@pytest.fixture(scope="session")
def batch_of() -> Callable[[Features, int], tuple[Tensor, Tensor, Tensor]]:
    """A function giving dense, ids and labels of a number of rows, always the same."""

    def draw(features: Features, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(rows)
        dense = torch.rand(rows, features.dense, generator=generator) * 3
        ids = torch.stack(
            [torch.randint(0, table.rows, (rows,), generator=generator) for table in features.tables], dim=1
        )
        return dense, ids, (torch.rand(rows, generator=generator) < 0.3).float()

    return draw
