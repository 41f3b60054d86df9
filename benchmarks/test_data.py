"""Rows a second: drawing synthetic rows, preparing a raw Criteo log, reading batches beside a whole epoch in order."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from nasrec.data.planted import planted_truth
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared
from nasrec.data.source import open_source
from nasrec.data.synthetic import SyntheticLog, write_criteo

ROWS = 200_000


def rate(benchmark: Any, rows: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["rows_per_s"] = round(rows / benchmark.stats.stats.median)


def test_draw_synthetic_rows(benchmark: Any) -> None:
    planted_truth(0)
    benchmark.pedantic(lambda: sum(frame.height for frame in SyntheticLog(ROWS).frames()), rounds=3)
    rate(benchmark, ROWS)


def test_prepare_criteo(benchmark: Any, tmp_path: Path) -> None:
    """Text to Parquet, vocabulary and arrays: all three passes. The official loader reads 23,500 rows a second."""
    write_criteo(tmp_path / "train.txt", ROWS)
    source = open_source(f"criteo:{tmp_path / 'train.txt'}")

    def once() -> None:
        prepare(source, tmp_path / "prepared", seed=0)
        shutil.rmtree(tmp_path / "prepared")

    benchmark.pedantic(once, rounds=3)
    rate(benchmark, ROWS)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(SyntheticLog(ROWS), tmp_path_factory.mktemp("data") / "prepared", seed=0)


@pytest.mark.parametrize("seed", [None, 1], ids=["in_order", "shuffled"])
def test_read_batches_of_512(benchmark: Any, prepared: Prepared, seed: int | None) -> None:
    train = prepared.split("train")
    benchmark.pedantic(lambda: sum(len(batch) for batch in train.batches(512, seed=seed)), rounds=5, warmup_rounds=1)
    rate(benchmark, len(train))
