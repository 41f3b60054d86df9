"""Train finalists and baselines from scratch and score them on test, in float and as a chip computes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from nasrec.arch import FLOAT, Candidate, ChipChoice, Precision
from nasrec.checkpoint import load_checkpoint, save_weights
from nasrec.chip_choice import judged_chips
from nasrec.data.dataset import Dataset
from nasrec.data.features import Features
from nasrec.data.keepsake import KeptEncoder
from nasrec.data.prepared import Prepared
from nasrec.errors import TrainingDiverged
from nasrec.hardware import (
    Workload,
    arithmetic_of,
    baseline_workload,
    breakdown_of,
    costed_chips,
    measure,
    measure_workload,
    workload_of,
)
from nasrec.metrics import usable
from nasrec.model.baselines import BASELINES, Baseline
from nasrec.model.optimizer import load_weights, weights_of
from nasrec.model.subnet import Subnet
from nasrec.model.untrained import untrained
from nasrec.options import CodesignOptions
from nasrec.progress import Report, stage
from nasrec.score import calibrate, judge, store_tables
from nasrec.search.objectives import Budget
from nasrec.train import TrainOptions, train_subnet
from nasrec.winners import read_winner, write_winner

Model = TypeVar("Model", Subnet, Baseline)

BASELINE_PRECISION = Precision(8, 8)  # what baselines are rounded to on a chip
BASELINE_CHIP = ChipChoice()  # ISAAC's choices
SCREENING_ROWS = 2048  # enough to see that a chip computes noise


def train_finalist(
    candidate: Candidate, folder: Path, data: Prepared, options: CodesignOptions, encoder: KeptEncoder, limit: float
) -> dict[str, Any]:
    """Train `candidate` from scratch, write its files into `folder`, and judge it on validation rows.

    Its chip is chosen again, as costing all chips of the space takes no time beside a training: `trials` holds the
    retrained model on each chip that no other beats (see `judged_chips`), `values` with log loss as that chip computes
    it. `limit` is the log loss from which a chip is of no use.
    """

    def build() -> Subnet:
        arch, std = candidate.arch, options.winners.embedding_std
        return untrained(lambda generator: Subnet(arch, data.features, generator=generator), options.seed, std)

    trainings = options.winners.train_options(options.seed)
    model, log, rate = _best_training(folder.name, build, trainings, folder / "training", data, encoder)
    write_winner(folder, candidate, data.features, model)
    calibrate(model, data.split("train").head(options.search.score.calibration_rows))
    store_tables(model)
    rows = data.split("validation").head(options.winners.rows)
    few = rows.head(SCREENING_ROWS)

    def loss_on(chip: ChipChoice) -> float:
        arithmetic = arithmetic_of(chip)
        loss = usable(judge(model, few, arithmetic)[0])
        if loss >= limit or len(few) == len(rows):
            return loss
        return usable(judge(model, rows, arithmetic)[0])

    chips = costed_chips(workload_of(candidate.arch, data.features), asdict(options.candidate_space().chip))
    judged = judged_chips(chips, loss_on, limit)
    allowed = Budget(**options.search.budget.model_dump()).allows(chips.costs)
    trials = [
        {
            "candidate": replace(candidate, chip=chips.choice(place)).to_json(),
            "values": [loss, *chips.costs[place].tolist()],
            "feasible": bool(allowed[place]),
        }
        for place, loss in judged
    ]
    shutil.rmtree(folder / "training", ignore_errors=True)
    return {"learning_rate": rate, "validation_log_loss": log, "trials": trials}


def crown(
    name: str, candidate: Candidate, finalist: dict[str, Any], source: Path, folder: Path, data: Prepared, rows: int
) -> dict[str, Any]:
    """Write the winner's files into `folder`, with the weights of the finalist in `source`, and score it on test.

    `rows` training rows set input ranges and ADC steps. Returns the winner's part of the summary.
    """
    _, features, weights = read_winner(source)
    model = Subnet(candidate.arch, features)
    load_weights(model, weights)
    write_winner(folder, candidate, features, model)
    return {
        "name": name,
        "candidate": candidate.to_json(),
        "learning_rate": finalist["learning_rate"],
        "validation_log_loss": finalist["validation_log_loss"],
        "test": score_winner(candidate, features, weights, data.split("train").head(rows), data.split("test")),
        "hardware": breakdown_of(measure(candidate, features)),
    }


def train_baseline(
    name: str, folder: Path, data: Prepared, options: CodesignOptions, encoder: KeptEncoder
) -> dict[str, Any]:
    """Train the baseline `name` in float, score it on test and, at 8 bits, on ISAAC: its part of the summary."""

    def build(precision: Precision) -> Baseline:
        def drawn(generator: torch.Generator) -> Baseline:
            return BASELINES[name](data.features, precision=precision, generator=generator)

        return untrained(drawn, options.seed, options.baselines.embedding_std)

    trainings = options.baselines.train_options(options.seed)
    place = folder / "baselines" / name
    model, log, rate = _best_training(name, lambda: build(FLOAT), trainings, place, data, encoder)
    score = options.search.score
    calibration = data.split("train").head(score.calibration_rows)
    validation_loss, _ = judge(model, data.split("validation").head(score.rows), None)
    workload = _workload_of_baseline(name, model, data.features)
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
    kept = baseline_weights(folder, name)
    save_weights(kept, model, encoder.facts(kept))
    shutil.rmtree(place, ignore_errors=True)
    return result


def compare_baseline(name: str, folder: Path, data: Prepared, options: CodesignOptions) -> dict[str, Any]:
    """What finalists are held against: the trained baseline `name` at 8 bits, on the rows on which they are judged.

    `log_loss` is that of every lossless chip. `cheapest` is the lossless chip of the space that takes it least energy:
    its `chip`, `energy_j`, `latency_s` and `area_m2`; None where the space has none.
    """
    weights = load_checkpoint(baseline_weights(folder, name)).tensors
    model = BASELINES[name](data.features, precision=BASELINE_PRECISION)
    load_weights(model, weights)
    calibrate(model, data.split("train").head(options.search.score.calibration_rows))
    store_tables(model)
    loss, _ = judge(model, data.split("validation").head(options.winners.rows), arithmetic_of(BASELINE_CHIP))
    chips = costed_chips(_workload_of_baseline(name, model, data.features), asdict(options.candidate_space().chip))
    place = chips.cheapest_lossless()
    return {"log_loss": loss, "cheapest": None if place is None else chips.to_json(place)}


def _workload_of_baseline(name: str, model: Baseline, features: Features) -> Workload:
    shapes, rows = model.layer_shapes(), model.interaction_rows
    return baseline_workload(name, shapes, model.interaction, rows, features, length=model.embeddings.dim)


def baseline_weights(folder: Path, name: str) -> Path:
    """Where a run keeps the weights of a trained baseline."""
    return folder / "baselines" / f"{name}.safetensors"


def score_winner(
    candidate: Candidate,
    features: Features,
    weights: dict[str, Tensor],
    calibration: Dataset,
    rows: Dataset,
    progress: Report | None = None,
) -> dict[str, Any]:
    """Log loss and AUC of a trained candidate on `rows`, in float and as its chip computes.

    `progress` counts every row twice.
    """

    def build(precision: Precision | None) -> Subnet:
        arch = candidate.arch if precision is None else candidate.arch.with_precision(precision)
        return Subnet(arch, features)

    return _score_twice(build, None, candidate.chip, weights, calibration, rows, progress)


def _best_training(
    title: str,
    build: Callable[[], Model],
    trainings: Sequence[TrainOptions],
    checkpoints: Path,
    data: Prepared,
    encoder: KeptEncoder,
) -> tuple[Model, list[float], float]:
    """Train a fresh model with each of `trainings`; the one best on validation, its log loss by epoch, its rate.

    Raises TrainingDiverged where all do.
    Only one model is in memory at a time: the best one is read back from its finished checkpoint.
    """
    train, validation = data.split("train"), data.split("validation")

    def trained(options: TrainOptions, progress: Report | None = None) -> tuple[Model, list[float]]:
        model, checkpoint = build(), checkpoints / f"{options.learning_rate}.safetensors"
        log = train_subnet(model, train, validation, options, checkpoint=checkpoint, progress=progress, encoder=encoder)
        return model, [score.log_loss for score in log.scores]

    least: dict[int, float] = {}
    for place, options in enumerate(trainings):
        try:
            with stage(f"{title}, learning rate {options.learning_rate}: training", unit="rows") as progress:
                least[place] = min(trained(options, progress)[1])
                progress.note(f"validation log loss {least[place]:.4f}")
        except TrainingDiverged:
            if not least and place == len(trainings) - 1:
                raise
    best = min(least, key=lambda place: least[place])
    model, losses = trained(trainings[best])
    return model, losses, trainings[best].learning_rate


def _score_twice(
    build: Callable[[Any], Subnet | Baseline],
    precision: Precision | None,
    chip: ChipChoice,
    weights: dict[str, Tensor],
    calibration: Dataset,
    rows: Dataset,
    progress: Report | None = None,
) -> dict[str, Any]:
    """Score on `rows` in float, then at `precision` with the chip's arithmetic, its ADC steps set on `calibration`."""

    def passed(passes: int) -> Report | None:
        return progress and (lambda done, total: progress(passes * len(rows) + done, 2 * len(rows)))

    model = build(FLOAT)
    load_weights(model, weights)
    loss, area = judge(model, rows, None, passed(0))
    del model  # before the next: tables may be large
    model = build(precision)
    load_weights(model, weights)
    calibrate(model, calibration)
    store_tables(model)
    crossbar_loss, crossbar_area = judge(model, rows, arithmetic_of(chip), passed(1))
    return {
        "rows": len(rows),
        "log_loss": loss,
        "auc": area,
        "log_loss_crossbar": crossbar_loss,
        "auc_crossbar": crossbar_area,
    }
