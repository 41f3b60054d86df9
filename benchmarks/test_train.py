"""Training steps: the supernet's and a subnet's, beside DLRM of comparable size.

`pytest benchmarks/test_train.py`; rows per second in `extra_info`. `--benchmark-disable` runs each once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from nasrec.data.features import Features, Table
from nasrec.model.baselines import DLRM
from nasrec.model.subnet import Subnet
from nasrec.model.supernet import Supernet
from nasrec.space import Space
from nasrec.train import TrainOptions, predict, train_subnet, train_supernet

FEATURES = Features(13, tuple(Table(f"C{n}", 1000 * (n + 1)) for n in range(26)))
SPACE = Space(
    "bench",
    blocks=4,
    dense_widths=(16, 32, 64, 128, 256),
    sparse_widths=(16, 32),
    weight_bits=(4, 8),
    input_bits=(4, 8),
)
ROWS = 512 * 8


@dataclass
class _Rows:
    dense: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    offsets: None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int, *, seed: int | None, start: int = 0, drop_last: bool = False) -> Iterator[_Rows]:
        order = np.arange(len(self)) if seed is None else np.random.default_rng(seed).permutation(len(self))
        for first in range(start * size, len(self), size):
            rows = order[first : first + size]
            yield _Rows(self.dense[rows], self.ids[rows], self.labels[rows])


def _rows() -> _Rows:
    rng = np.random.default_rng(0)
    ids = np.stack([rng.zipf(1.05, ROWS) % table.rows for table in FEATURES.tables], axis=1)
    return _Rows(
        rng.standard_normal((ROWS, FEATURES.dense)).astype(np.float32),
        ids,
        rng.integers(2, size=ROWS).astype(np.float32),
    )


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _supernet() -> Callable[[], object]:
    model, rows = Supernet(SPACE, FEATURES, generator=_generator()), _rows()
    return lambda: train_supernet(model, rows, TrainOptions(batch_size=512))  # type: ignore[arg-type]


def _subnet() -> Callable[[], object]:
    model = Subnet(SPACE.sample(np.random.default_rng(1)), FEATURES, generator=_generator())
    rows = _rows()
    return lambda: train_subnet(model, rows, None, TrainOptions(batch_size=512))  # type: ignore[arg-type]


def _dlrm() -> Callable[[], object]:
    model, rows = DLRM(FEATURES, generator=_generator()), _rows()
    return lambda: train_subnet(model, rows, None, TrainOptions(batch_size=512))  # type: ignore[arg-type]


def _predict() -> Callable[[], object]:
    model, rows = DLRM(FEATURES, generator=_generator()), _rows()
    return lambda: predict(model, rows)  # type: ignore[arg-type]


@pytest.mark.parametrize("loop", [_supernet, _subnet, _dlrm, _predict], ids=lambda loop: loop.__name__.strip("_"))
def test_train(benchmark: Any, loop: Callable[[], Callable[[], object]]):
    benchmark.pedantic(loop(), rounds=3, iterations=1, warmup_rounds=1)
    if benchmark.stats is not None:
        benchmark.extra_info["rows_per_s"] = round(ROWS / benchmark.stats.stats.median)
