"""Train winners and baselines from scratch and score them on test, in float and as a chip computes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nasrec.arch import FLOAT, Candidate, ChipChoice, Precision
from nasrec.data.dataset import Dataset
from nasrec.data.features import Features
from nasrec.data.prepared import Prepared
from nasrec.hardware import arithmetic_of, baseline_workload, breakdown_of, measure, measure_workload
from nasrec.model.baselines import BASELINES, Baseline
from nasrec.model.optimizer import load_weights, weights_of
from nasrec.model.subnet import Subnet
from nasrec.options import CodesignOptions
from nasrec.progress import stage
from nasrec.score import calibrate, judge, store_tables
from nasrec.train import TrainOptions, train_subnet
from nasrec.winners import write_winner

BASELINE_PRECISION = Precision(8, 8)  # what baselines are rounded to on a chip
BASELINE_CHIP = ChipChoice()  # ISAAC's choices


def train_winner(
    name: str, candidate: Candidate, folder: Path, data: Prepared, options: CodesignOptions
) -> dict[str, Any]:
    """Train `candidate` from scratch, write its files into `folder`, score it on test: its part of the summary."""
    model = Subnet(candidate.arch, data.features, generator=torch.Generator().manual_seed(options.seed))
    checkpoint = folder / "training.safetensors"
    log = _train(f"winner {name}", model, data, options.winners.train_options(options.seed), checkpoint)
    write_winner(folder, candidate, data.features, model)
    calibration = data.split("train").head(options.search.score.calibration_rows)
    result = {
        "name": name,
        "candidate": candidate.to_json(),
        "validation_log_loss": log,
        "test": score_winner(candidate, data.features, weights_of(model), calibration, data.split("test")),
        "hardware": breakdown_of(measure(candidate, data.features)),
    }
    checkpoint.unlink(missing_ok=True)
    return result


def train_baseline(name: str, folder: Path, data: Prepared, options: CodesignOptions) -> dict[str, Any]:
    """Train the baseline `name` in float, score it on test and, at 8 bits, on ISAAC: its part of the summary."""

    def build(precision: Precision) -> Baseline:
        generator = torch.Generator().manual_seed(options.seed)
        return BASELINES[name](data.features, precision=precision, generator=generator)

    best: tuple[float, Baseline, list[float], float] | None = None
    for train_options in options.baselines.train_options(options.seed):
        rate = train_options.learning_rate
        model = build(FLOAT)
        checkpoint = folder / "baselines" / name / f"{rate}.safetensors"
        log = _train(f"baseline {name}, learning rate {rate}", model, data, train_options, checkpoint)
        if best is None or min(log) < best[0]:
            best = (min(log), model, log, rate)
    assert best is not None  # options hold one learning rate at least
    _, model, log, rate = best
    score = options.search.score
    calibration = data.split("train").head(score.calibration_rows)
    validation_loss, _ = judge(model, data.split("validation").head(score.rows), None)
    workload = baseline_workload(
        name,
        model.layer_shapes(),
        model.interaction,
        model.interaction_rows,
        data.features,
        length=model.embeddings.dim,
    )
    result = {
        "name": name,
        "learning_rate": rate,
        "validation_log_loss": log,
        "scored_log_loss": validation_loss,
        "test": _score_twice(
            build, BASELINE_PRECISION, BASELINE_CHIP, weights_of(model), calibration, data.split("test")
        ),
        "hardware": breakdown_of(measure_workload(workload, BASELINE_CHIP)),
    }
    shutil.rmtree(folder / "baselines" / name, ignore_errors=True)
    return result


def score_winner(
    candidate: Candidate, features: Features, weights: dict[str, Tensor], calibration: Dataset, rows: Dataset
) -> dict[str, Any]:
    """Log loss and AUC of a trained candidate on `rows`, in float and as its chip computes."""

    def build(precision: Precision | None) -> Subnet:
        arch = candidate.arch if precision is None else candidate.arch.with_precision(precision)
        return Subnet(arch, features)

    return _score_twice(build, None, candidate.chip, weights, calibration, rows)


def _train(
    title: str, model: Subnet | Baseline, data: Prepared, options: TrainOptions, checkpoint: Path
) -> list[float]:
    """Train `model` and return the validation log loss after each epoch."""
    with stage(f"{title}: training", unit="rows") as progress:
        log = train_subnet(
            model, data.split("train"), data.split("validation"), options, checkpoint=checkpoint, progress=progress
        )
        progress.note(f"validation log loss {min(score.log_loss for score in log.scores):.4f}")
    return [score.log_loss for score in log.scores]


def _score_twice(
    build: Callable[[Any], Subnet | Baseline],
    precision: Precision | None,
    chip: ChipChoice,
    weights: dict[str, Tensor],
    calibration: Dataset,
    rows: Dataset,
) -> dict[str, Any]:
    """Score on `rows` in float, then at `precision` with the chip's arithmetic, its ADC steps set on `calibration`."""
    model = build(FLOAT)
    load_weights(model, weights)
    loss, area = judge(model, rows, None)
    model = build(precision)
    load_weights(model, weights)
    calibrate(model, calibration)
    store_tables(model)
    crossbar_loss, crossbar_area = judge(model, rows, arithmetic_of(chip))
    return {
        "rows": len(rows),
        "log_loss": loss,
        "auc": area,
        "log_loss_crossbar": crossbar_loss,
        "auc_crossbar": crossbar_area,
    }
