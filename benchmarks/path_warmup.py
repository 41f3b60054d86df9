"""What each path warm-up costs and gives: `python -m benchmarks.path_warmup PREPARED --out FILE` (some minutes).

Trains one supernet for each `path_warmup` and one without, at equal steps, on one thread, the warm-up over the share of
steps that it has on Criteo (15,000 of 71,600). What it gives is the mean validation log loss of random subnets with the
weights that they inherit. The space is the Full one, with widths that a sample of data can train.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from nasrec.data.dataset import Dataset
from nasrec.data.prepared import Prepared
from nasrec.metrics import log_loss
from nasrec.model.supernet import Supernet
from nasrec.predict import predict
from nasrec.space import Space
from nasrec.train import train_supernet
from nasrec.train_options import PATH_WARMUPS, TrainOptions

SPACE = Space("full", blocks=5, dense_widths=(16, 32, 64, 128), sparse_widths=(16, 32))
SHARE = 15_000 / 71_600  # of the steps, on Criteo


def train(data: Prepared, warmup: str | None, seed: int) -> tuple[Supernet, float, int]:
    """A trained supernet, the CPU seconds that it took, and its steps."""
    rows = data.split("train")
    options = TrainOptions(seed=seed)
    steps = -(-len(rows) // options.batch_size)
    if warmup is not None:
        options = TrainOptions(seed=seed, full_path_steps=round(SHARE * steps), path_warmup=warmup)
    supernet = Supernet(SPACE, data.features, generator=torch.Generator().manual_seed(seed))
    start = time.thread_time()
    train_supernet(supernet, rows, options)
    return supernet, time.thread_time() - start, steps


def inherited(supernet: Supernet, rows: Dataset, subnets: int) -> list[float]:
    """Log losses on `rows` of as many random subnets, the same whenever asked."""
    rng = np.random.default_rng(1)
    archs = [SPACE.sample(rng) for _ in range(subnets)]
    return [log_loss(predict(supernet.extract(arch), rows), rows.labels) for arch in archs]


def main(
    prepared: Annotated[Path, typer.Argument(help="a folder that `nasrec prepare` wrote")],
    out: Annotated[Path, typer.Option(help="the JSON to write")],
    seeds: int = 3,
    subnets: int = 60,
    rows: int = 16384,
) -> None:
    """Train, judge, write."""
    torch.set_num_threads(1)
    data = Prepared.open(prepared)
    validation = data.split("validation").head(rows)
    found: dict[str, dict[str, list[float]]] = {}
    for seed in range(seeds):
        for warmup in (None, *PATH_WARMUPS):
            supernet, seconds, steps = train(data, warmup, seed)
            losses = inherited(supernet, validation, subnets)
            entry = found.setdefault(warmup or "none", {"cpu_s": [], "mean_log_loss": [], "best_log_loss": []})
            entry["cpu_s"].append(round(seconds, 2))
            entry["mean_log_loss"].append(round(statistics.fmean(losses), 5))
            entry["best_log_loss"].append(round(min(losses), 5))
            line: dict[str, Any] = {name: values[-1] for name, values in entry.items()}
            typer.echo(f"seed {seed}, {warmup or 'none'}: {line}")
    facts = {"rows": len(data.split("train")), "steps": steps, "warm_up_steps": round(SHARE * steps), "threads": 1}
    command = f"python -m benchmarks.path_warmup PREPARED --seeds {seeds} --subnets {subnets} --rows {rows}"
    text = json.dumps({"command": command, **facts, "validation_rows": rows, "by_warmup": found}, indent=1)
    out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
