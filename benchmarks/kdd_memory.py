"""Peak memory of a training with the tables of KDD Cup 2012 track 2, stage by stage.

`python -m benchmarks.kdd_memory [--rows N] [--share F] [--row-wise] [--folder DIR] [--json FILE]`: a network of the
full space, 50.7 million rows of 16 numbers (`--share` of them), on a made-up log of that shape. Needs 16 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasrec.data.arrays import Arrays
from nasrec.data.dataset import Dataset
from nasrec.data.features import Features, Table
from nasrec.memory import peak_memory
from nasrec.model.subnet import Subnet
from nasrec.predict import predict
from nasrec.space import SPACES
from nasrec.train import TrainOptions, train_subnet

# Rows of the tables and dense inputs of facebookresearch/NasRec at 79bf6f9.
TABLE_ROWS = (26_274, 641_708, 14_848, 22_122_011, 1_188_090, 3_735_797, 2_934_102, 20_004_011, 4, 8)
DENSE = 3
LIMIT_MIB = 12 << 10
LOG_ROWS = 5_000_000  # beyond what is shuffled in memory: read as the 149.6 million rows of the real log are
BATCH = 1024


def features_of(share: float) -> Features:
    """KDD's inputs, each table with `share` of its rows."""
    return Features(DENSE, tuple(Table(f"T{n}", max(2, round(rows * share))) for n, rows in enumerate(TABLE_ROWS)))


def make_log(folder: Path, features: Features, rows: int) -> Arrays:
    """Write `rows` rows with random labels, whose ids reach all over a table, at its beginning more often."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "labels.npy": ("uint8", (rows,)),
        "dense.npy": ("float32", (rows, features.dense)),
        "ids.npy": ("int32", (rows, len(features.tables))),
    }
    files = {
        name: np.lib.format.open_memmap(folder / name, "w+", dtype=kind, shape=shape)
        for name, (kind, shape) in shapes.items()
    }
    for begin in range(0, rows, 1 << 18):
        part = slice(begin, min(begin + (1 << 18), rows))
        count = part.stop - part.start
        files["labels.npy"][part] = rng.random(count) < 0.05
        files["dense.npy"][part] = rng.random((count, features.dense), np.float32)
        for column, table in enumerate(features.tables):
            files["ids.npy"][part, column] = table.rows * rng.random(count) ** 3
    for file in files.values():
        file.flush()
    return Arrays(folder, features, shapes)


def measure(folder: Path, rows: int, share: float, row_wise: bool) -> list[dict[str, Any]]:
    """Build, train and read back such a model; what each stage took."""
    stages: list[dict[str, Any]] = []

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        started = time.monotonic()
        with peak_memory() as peak:
            yield
        stages.append({"stage": name, "peak_mib": peak.mib, "wall_s": round(time.monotonic() - started, 1)})
        print(f"{name}: peak {peak.mib:,} MiB, {stages[-1]['wall_s']:,} s", flush=True)  # noqa: T201

    features = features_of(share)
    arch = SPACES["full"].sample(np.random.default_rng(0))

    def model() -> Subnet:
        built = Subnet(arch, features, generator=torch.Generator().manual_seed(0))
        if row_wise:
            built.embeddings.start_optimizer("row_wise_adagrad")
        for sums in built.embeddings.adagrad.buffers():
            sums.fill_(0)  # the system gives memory once it is written: as if every row had been trained
        return built

    with stage("before anything"):
        pass
    with stage("the log is written"):
        arrays = make_log(folder, features, LOG_ROWS)
    order = np.random.default_rng(1).permutation(LOG_ROWS)
    train, validation = (Dataset(arrays, np.sort(order[part])) for part in (slice(rows), slice(rows, rows + rows // 8)))
    options = TrainOptions(epochs=3, batch_size=BATCH, learning_rate=0.1, patience=1)
    checkpoint = folder / "checkpoint.safetensors"
    with stage("tables are drawn"):
        trained = model()
    with stage("steps, nothing saved"):
        train_subnet(model=trained, train=train, validation=None, options=TrainOptions(batch_size=BATCH))
    del trained
    trained = model()
    with stage("epochs until validation gets worse, checkpoints, the best epoch given back"):
        log = train_subnet(trained, train, validation, options, checkpoint=checkpoint, save_every_s=20.0)
    stages[-1]["best_epoch"], stages[-1]["epochs"] = log.best_epoch, len(log.scores)
    with stage("validation rows are scored"):
        predict(trained, validation)
    del trained
    again = model()
    with stage("the checkpoint is read back"):
        train_subnet(again, train, validation, options, checkpoint=checkpoint)
    return stages


def main() -> None:
    """Measure and print; with `--json`, keep the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000, help="training rows of an epoch")
    parser.add_argument("--share", type=float, default=1.0, help="of the tables' rows")
    parser.add_argument("--row-wise", action="store_true")
    parser.add_argument("--folder", type=Path, help="where 16 GB are free")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="kdd-memory-") as folder:
        stages = measure(Path(folder), given.rows, given.share, given.row_wise)
    rows = sum(table.rows for table in features_of(given.share).tables)
    peak = max(stage["peak_mib"] for stage in stages)
    print(f"{rows:,} rows of tables: peak {peak:,} MiB of {LIMIT_MIB:,}")  # noqa: T201
    if given.json is not None:
        command = f"python -m benchmarks.kdd_memory --rows {given.rows}" + (" --row-wise" if given.row_wise else "")
        found = {"command": command, "table_rows": rows, "training_rows": given.rows, "peak_mib": peak}
        given.json.write_text(json.dumps({**found, "limit_mib": LIMIT_MIB, "stages": stages}, indent=1) + "\n")


if __name__ == "__main__":
    main()
