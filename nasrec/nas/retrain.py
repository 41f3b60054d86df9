"""Training from scratch: each of a search's best on train, chosen on validation; the winner on both, scored on test."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from nasrec.arch import Arch
from nasrec.arch_file import read_arch, write_arch
from nasrec.checkpoint import load_checkpoint, save_weights
from nasrec.data.encoder import Encoder
from nasrec.data.features import Features
from nasrec.data.keepsake import load_keepsake, save_keepsake
from nasrec.errors import TrainingDiverged
from nasrec.hardware import workload_of
from nasrec.metrics import auc, log_loss
from nasrec.model.optimizer import load_weights
from nasrec.model.subnet import Subnet
from nasrec.nas.evaluate import macs_penalty
from nasrec.nas.run import SearchRun
from nasrec.nas.untrained import untrained_subnet
from nasrec.predict import predict
from nasrec.progress import stage
from nasrec.run_data import kept_encoder, prepared_data
from nasrec.train import train_subnet

KEEPSAKE = "data"  # beside the winner's weights: what scoring other rows takes, should the run's data be gone
KEPT_ROWS = 1024

Job = tuple[int, float, int]  # place among the architectures, learning rate, seed


def train_all(run: SearchRun, archs: Sequence[Arch], jobs: Sequence[Job]) -> dict[Job, dict[str, Any]]:
    """Train `archs` on train, a stage each: what came of every job."""
    names = {job: "retrain-{}-{}-{}".format(*job) for job in jobs}
    work = {name: partial(train_on_train, run, name, archs[job[0]], *job[1:]) for job, name in names.items()}
    found = run.stages(work)
    return {job: {"name": name, **found[name]} for job, name in names.items()}


def trained_value(training: Mapping[str, Any], penalty: float) -> float:
    """What is minimised among trainings: validation log loss and `macs_penalty`; infinite where it diverged."""
    return math.inf if training["log_loss"] is None else float(training["log_loss"]) + penalty


def penalties_of(run: SearchRun, archs: Sequence[Arch], features: Features) -> list[float]:
    """What MACs cost each of `archs`, as in the search."""
    return [macs_penalty(workload_of(arch, features).macs, run.options.evolution) for arch in archs]


def retrain_best(run: SearchRun, best: Sequence[Arch], features: Features) -> dict[str, Any]:
    """Train `best` from scratch and choose among them, in three rounds: all trainings, and the choice.

    All of them with the first learning rate and the first seed; the best `finals` with the other rates; each of these,
    at its best rate, with the other seeds. The winner has the lowest validation log loss at its best epoch, as a mean
    over seeds, plus `macs_penalty`; it comes with the rate and the number of epochs (the middle one of its seeds') that
    its last training takes. Raises TrainingDiverged when no training came to an end.
    """
    section = run.options.retrain
    rates, seeds = section.learning_rates, section.seeds
    tried: dict[Job, dict[str, Any]] = {}
    penalties = penalties_of(run, best, features)

    def train(jobs: Sequence[Job]) -> None:
        tried.update(train_all(run, best, jobs))

    def loss_of(job: Job) -> float:
        return trained_value(tried[job], penalties[job[0]])

    train([(place, rates[0], seeds[0]) for place in range(len(best))])
    finals = sorted(range(len(best)), key=lambda place: (loss_of((place, rates[0], seeds[0])), place))[: section.finals]
    train([(place, rate, seeds[0]) for place in finals for rate in rates[1:]])
    chosen = {place: min(rates, key=lambda rate: loss_of((place, rate, seeds[0]))) for place in finals}
    train([(place, chosen[place], seed) for place in finals for seed in seeds[1:]])
    means = {place: statistics.fmean(loss_of((place, rate, seed)) for seed in seeds) for place, rate in chosen.items()}
    place = min(finals, key=lambda place: (means[place], loss_of((place, chosen[place], seeds[0]))))
    winners = [tried[place, chosen[place], seed] for seed in seeds]
    whole = [found for found in winners if found["log_loss"] is not None]
    if not whole:
        raise TrainingDiverged("every training of the search's best diverged; lower retrain.learning_rates may help")
    return {
        "trainings": list(tried.values()),
        "place": place,
        "learning_rate": chosen[place],
        "epochs": statistics.median_low([found["best_epoch"] for found in whole]),
        "validation_log_loss": statistics.fmean(found["log_loss"] for found in whole),
    }


def train_on_train(run: SearchRun, name: str, arch: Arch, rate: float, seed: int) -> dict[str, Any]:
    """Stage `name`: train `arch` on train until validation gets no better; `log_loss` is None where it diverged."""
    data, options = prepared_data(run), run.options.retrain.train_options(seed, rate)
    model = untrained_subnet(arch, data.features, seed, run.options.retrain.embedding_std)
    checkpoint = run.trainings / f"{name}.safetensors"
    train, validation = data.split("train"), data.split("validation")
    encoder = kept_encoder(run, data)
    try:
        with stage(f"{name}: training", unit="rows") as progress:
            log = train_subnet(
                model, train, validation, options, checkpoint=checkpoint, progress=progress, encoder=encoder
            )
            losses = [score.log_loss for score in log.scores]
            progress.note(f"validation log loss {min(losses):.4f}")
    except TrainingDiverged as error:
        checkpoint.unlink(missing_ok=True)
        return {"learning_rate": rate, "seed": seed, "log_loss": None, "diverged": str(error)}
    checkpoint.unlink(missing_ok=True)
    return {
        "learning_rate": rate,
        "seed": seed,
        "log_loss": min(losses),
        "best_epoch": log.best_epoch,
        "log_losses": losses,
    }


def train_winner(run: SearchRun, arch: Arch, choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Train the winner on train and validation together with every seed: log loss and AUC on test, one entry a seed.

    The model of the first seed whose training came to an end is kept in `run.best`; entries of others say `diverged`.
    Raises TrainingDiverged where all did.
    """
    rate, epochs, seeds = choice["learning_rate"], choice["epochs"], run.options.retrain.seeds
    tests = run.stages(
        {f"winner-{seed}": partial(_train_on_both, run, arch, rate, epochs, seed, seed == seeds[0]) for seed in seeds}
    )
    whole = [seed for seed in seeds if tests[f"winner-{seed}"]["log_loss"] is not None]
    if not whole:
        raise TrainingDiverged("every training of the winner diverged; lower retrain.learning_rates may help")
    if whole[0] != seeds[0]:  # once more, to keep it
        run.stage(f"winner-{whole[0]}-kept", partial(_train_on_both, run, arch, rate, epochs, whole[0], True))
    return list(tests.values())


def _train_on_both(run: SearchRun, arch: Arch, rate: float, epochs: int, seed: int, keep: bool) -> dict[str, Any]:
    data = prepared_data(run)
    options = replace(run.options.retrain.train_options(seed, rate), stop_after=epochs, patience=None)
    model = untrained_subnet(arch, data.features, seed, run.options.retrain.embedding_std)
    rows = data.split("train").with_rows_of(data.split("validation"))
    checkpoint = run.trainings / f"winner-{seed}.safetensors"
    try:
        with stage(f"winner, seed {seed}: training", unit="rows") as progress:
            encoder = kept_encoder(run, data)
            train_subnet(model, rows, None, options, checkpoint=checkpoint, progress=progress, encoder=encoder)
    except TrainingDiverged as error:
        checkpoint.unlink(missing_ok=True)
        return {"seed": seed, "log_loss": None, "auc": None, "diverged": str(error)}
    test = data.split("test")
    logits = predict(model, test)
    if keep:
        write_model(run, arch, model)
    checkpoint.unlink(missing_ok=True)
    return {"seed": seed, "log_loss": log_loss(logits, test.labels), "auc": auc(logits, test.labels)}


def write_model(run: SearchRun, arch: Arch, model: Subnet) -> None:
    """Write `arch.json`, `weights.safetensors` and the encoder of the run's data into `run.best`."""
    data = prepared_data(run)
    save_keepsake(run.best / KEEPSAKE, data.encoder, data.split("train").head(KEPT_ROWS))
    write_arch(run.best / "arch.json", arch, data.features)
    save_weights(run.best / "weights.safetensors", model)


def read_model(run: SearchRun) -> tuple[Subnet, Encoder]:
    """The winner that `write_model` wrote, and the encoder of its data; InputError names what is missing or damaged."""
    encoder, _ = load_keepsake(run.best / KEEPSAKE)
    found = read_arch(run.best / "arch.json")
    model = Subnet(found.arch, encoder.features)
    load_weights(model, load_checkpoint(run.best / "weights.safetensors").tensors)
    return model, encoder
