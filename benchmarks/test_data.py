"""Rows a second: drawing synthetic rows, preparing a raw Criteo log, reading batches beside a whole epoch in order."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.raw_file import write_criteo
from nasrec.data import dataset, delimited
from nasrec.data.encoder import EncodingOptions
from nasrec.data.planted import planted_truth
from nasrec.data.prepare import prepare
from nasrec.data.prepared import Prepared
from nasrec.data.source import open_source
from nasrec.data.synthetic import SyntheticLog

ROWS = 200_000


def rate(benchmark: Any, rows: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["rows_per_s"] = round(rows / benchmark.stats.stats.median)


def test_draw_synthetic_rows(benchmark: Any) -> None:
    planted_truth(0)
    benchmark.pedantic(lambda: sum(frame.height for frame in SyntheticLog(ROWS).frames()), rounds=3)
    rate(benchmark, ROWS)


@pytest.mark.parametrize("categories", ["vocabulary", "hash"])
def test_prepare_criteo(benchmark: Any, tmp_path: Path, categories: Any) -> None:
    """Text to arrays, all passes. The official loader reads 23,500 rows a second; larger: `raw_file --prepare`."""
    write_criteo(tmp_path / "train.txt", ROWS)
    source = open_source(f"criteo:{tmp_path / 'train.txt'}")

    def once() -> None:
        prepare(source, tmp_path / "prepared", seed=0, options=EncodingOptions(categories))
        shutil.rmtree(tmp_path / "prepared")

    benchmark.pedantic(once, rounds=3)
    rate(benchmark, ROWS)


def test_read_whole_numbers(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw Criteo log to typed frames, in turns with the same reader left to polars; the ratio is of medians."""
    write_criteo(tmp_path / "train.txt", ROWS)
    source = open_source(f"criteo:{tmp_path / 'train.txt'}")
    seconds: dict[str, list[float]] = {"kernel": [], "polars": []}
    parse_digits = delimited.parse_digits
    for _ in range(5):
        for name, parse in (("kernel", parse_digits), ("polars", lambda *arguments: None)):
            monkeypatch.setattr(delimited, "parse_digits", parse)
            start = time.perf_counter()
            assert sum(frame.height for frame in source.frames()) == ROWS
            seconds[name].append(time.perf_counter() - start)
    benchmark.extra_info["ratio"] = statistics.median(seconds["polars"]) / statistics.median(seconds["kernel"])
    monkeypatch.undo()
    benchmark.pedantic(lambda: sum(frame.height for frame in source.frames()), rounds=1)
    rate(benchmark, ROWS)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(SyntheticLog(ROWS), tmp_path_factory.mktemp("data") / "prepared", seed=0)


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Eight columns, one of them a bag of two values on average, as MovieLens has them."""
    folder = tmp_path_factory.mktemp("bags")
    rng = np.random.default_rng(0)
    columns = {f"c{n}": pl.Series(rng.integers(0, 3000, ROWS)) for n in range(7)}
    tags = pl.Series(["|".join(map(str, range(n))) for n in range(5)]).gather(rng.integers(0, 5, ROWS))
    frame = pl.DataFrame({"y": rng.integers(0, 2, ROWS), "tags": tags, **columns})
    frame.write_parquet(folder / "log.parquet")
    kinds = "".join(f'{name} = "category"\n' for name in columns)
    (folder / "schema.toml").write_text(f'files = ["log.parquet"]\n[columns]\ny = "label"\ntags = "bag"\n{kinds}')
    return prepare(open_source(f"table:{folder / 'schema.toml'}"), folder / "prepared", seed=0)


@pytest.mark.parametrize("order", ["in_order", "shuffled", "by_blocks"])
@pytest.mark.parametrize("data", ["prepared", "bags"])
def test_read_batches_of_512(
    benchmark: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, data: str, order: str
) -> None:
    """More than 1 M rows a second, or training waits; `by_blocks` is how logs are read that memory may not hold."""
    train = request.getfixturevalue(data).split("train")
    if order == "by_blocks":
        monkeypatch.setattr(dataset, "SHUFFLED_ROWS", 0)
    seed = None if order == "in_order" else 1
    benchmark.pedantic(lambda: sum(len(batch) for batch in train.batches(512, seed=seed)), rounds=5, warmup_rounds=1)
    rate(benchmark, len(train))
