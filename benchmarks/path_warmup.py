"""What each path warm-up costs and gives: `python -m benchmarks.path_warmup PREPARED --out FILE` (some minutes).

Trains a supernet for each `path_warmup`, one without, and one with a shorter warm-up, at equal steps, on one thread.
The warm-up has the share of steps that it has on Criteo (15,000 of 71,600). What it gives is the mean validation log
loss of random subnets with the weights that they inherit. The space is the Full one, with fewer and smaller widths.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from pathlib import Path
from typing import Annotated

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

SPACE = Space("full", blocks=5, dense_widths=(16, 64, 256), sparse_widths=(16, 32))
SHARE = 15_000 / 71_600  # of the steps, on Criteo
KINDS = {  # what a step of the warm-up trains, and the share of all steps
    "none": ("full-path", 0.0),
    **{name: (name, SHARE) for name in PATH_WARMUPS},
    "full-path, a quarter of its steps": ("full-path", SHARE / 4),
}


def train(data: Prepared, rows: Dataset, options: TrainOptions) -> tuple[Supernet, float]:
    """A trained supernet, and the CPU seconds that it took."""
    seed = options.seed
    supernet = Supernet(SPACE, data.features, generator=torch.Generator().manual_seed(seed))
    start = time.thread_time()
    train_supernet(supernet, rows, options)
    return supernet, time.thread_time() - start


def inherited(supernet: Supernet, rows: Dataset, subnets: int) -> list[float]:
    """Log losses on `rows` of as many random subnets, the same whenever asked."""
    rng = np.random.default_rng(1)
    archs = [SPACE.sample(rng) for _ in range(subnets)]
    return [log_loss(predict(supernet.extract(arch), rows), rows.labels) for arch in archs]


def main(
    prepared: Annotated[Path, typer.Argument(help="a folder that `nasrec prepare` wrote")],
    out: Annotated[Path, typer.Option(help="the JSON to write, after each seed")],
    seeds: int = 3,
    subnets: int = 40,
    train_rows: int = 200_000,
    rows: Annotated[int, typer.Option(help="validation rows")] = 8192,
) -> None:
    """Train, judge, write."""
    torch.set_num_threads(1)
    data = Prepared.open(prepared)
    training, validation = data.split("train").head(train_rows), data.split("validation").head(rows)
    steps = math.ceil(len(training) / TrainOptions().batch_size)
    options = f"--seeds {seeds} --subnets {subnets} --train-rows {train_rows} --rows {rows}"
    facts = {
        "command": f"python -m benchmarks.path_warmup PREPARED {options}",
        "space": {"dense_widths": SPACE.dense_widths, "sparse_widths": SPACE.sparse_widths, "blocks": SPACE.blocks},
        "steps": steps,
        "warm_up_steps": round(SHARE * steps),
        "threads": 1,
    }
    found: dict[str, dict[str, list[float]]] = {}
    for seed in range(seeds):
        for name, (warmup, share) in KINDS.items():
            training_options = TrainOptions(seed=seed, full_path_steps=round(share * steps), path_warmup=warmup)
            supernet, seconds = train(data, training, training_options)
            losses = inherited(supernet, validation, subnets)
            measured = {"cpu_s": seconds, "mean_log_loss": statistics.fmean(losses), "best_log_loss": min(losses)}
            entry = found.setdefault(name, {key: [] for key in measured})
            for key, value in measured.items():
                entry[key].append(round(value, 5))
            typer.echo(f"seed {seed}, {name}: {measured}")
        out.write_text(json.dumps({**facts, "by_warmup": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
